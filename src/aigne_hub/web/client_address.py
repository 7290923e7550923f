"""Where a request came from, for the audit log."""

from contextvars import ContextVar

from starlette.types import ASGIApp, Receive, Scope, Send

_ADDRESS: ContextVar[str] = ContextVar("client_address", default="")


def client_address() -> str:
    """Return the address of whoever the request at hand came from, empty outside of one.

    Behind a reverse proxy that is the proxy's: what a header says anybody can have written.
    """
    return _ADDRESS.get()


class KnowsAddress:
    """ASGI middleware: keeps the address of the connection for what is done in its request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client"):
            _ADDRESS.set(scope["client"][0])
        await self._app(scope, receive, send)
