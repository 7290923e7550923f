import pytest


@pytest.fixture(params=["uvloop", "asyncio"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param == "uvloop"}
