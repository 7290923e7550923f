"""What a request line asks for, and which of them are remembered."""

import asyncio
import threading
from typing import Any

import pytest

from aigne_hub.gateway.dialects.gemini.called import METHOD_NAMES
from aigne_hub.gateway.dialects.gemini.generate import METHODS
from aigne_hub.gateway.formats import Format
from aigne_hub.gateway.paths import called
from aigne_hub.gateway.routes import PATHS, routes
from aigne_hub.gateway.targets import Targets, Unloaded


def targets() -> Any:
    return Targets(routes(None))  # type: ignore[arg-type] - nothing is called


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (b"/v1/chat/completions", True),
        (b"/v1/chat/completions?beta=true", True),
        (b"/v1/models/a:generateContent", False),
        (b"/v1beta/models/google%2Fa:generateContent?key=secret", False),
        (b"/ai-kit/v1beta/models/a:streamGenerateContent?alt=sse", False),
    ],
)
def test_targets_that_may_hold_a_key_are_not_remembered(url: bytes, kept: bool):
    found = targets()
    first, second = found.look_up(b"POST", url), found.look_up(b"POST", url)
    assert first.handler is not None
    assert (first is second) is kept


@pytest.mark.parametrize(
    "url", [b"/v1/models?key=secret", b"/v1beta/models?key=secret", b"/v1beta/models/a%2Fb?key=k"]
)
def test_lists_of_models_are_not_either_when_a_key_is_in_their_target(url: bytes):
    found = targets()
    first, second = found.look_up(b"GET", url), found.look_up(b"GET", url)
    assert first.handler is not None
    assert first is not second


def test_a_slash_in_a_model_may_be_escaped():
    found = targets().look_up(b"POST", b"/v1beta/models/google%2fa:countTokens")
    assert found.path == "/v1beta/models/google/a:countTokens"
    assert found.handler is not None


async def test_what_a_format_is_loaded_by_is_not_remembered_and_what_answers_in_it_is():
    loading = threading.Event()
    answered = []

    async def answer(exchange: Any) -> None:
        answered.append(exchange)

    def load(_plane: Any) -> dict[str, Any]:
        assert threading.current_thread() is not threading.main_thread()
        assert not loading.is_set(), "loaded twice"
        loading.set()
        return {"/v1/x": answer}

    found = Format(load, None)  # type: ignore[arg-type] - the plane is not asked
    seen = Targets(lambda _method, path: found.handler(path))
    first = seen.look_up(b"POST", b"/v1/x")
    assert seen.look_up(b"POST", b"/v1/x") is not first
    assert not loading.is_set()
    assert first.handler is not None
    # Calls that come while it is loaded wait for the same.
    await asyncio.gather(*(first.handler(number) for number in range(3)))  # type: ignore[arg-type]
    assert answered == [0, 1, 2]
    known = seen.look_up(b"POST", b"/v1/x")
    assert known.handler is answer
    assert seen.look_up(b"POST", b"/v1/x") is known


def test_every_path_has_what_answers_it_in_its_format():
    routed = routes(None)  # type: ignore[arg-type] - nothing is called
    asked = [
        *(("POST", path) for path in PATHS),
        ("POST", "/v1beta/models/a:countTokens"),
        *(("GET", path) for path in ("/v1/models", "/v1/models/a", "/v1/videos", "/v1/videos/v")),
        *(("GET", path) for path in ("/v1beta/models", "/v1beta/models/a")),
        ("DELETE", "/v1/responses/resp_1"),
    ]
    made: dict[Any, set[str]] = {}
    for method, path in asked:
        handler = routed(method, path)
        assert handler is not None, path
        if not isinstance(handler, Unloaded):
            continue
        found, (name,) = handler._answer.func.__self__, handler._answer.args  # type: ignore[attr-defined]
        assert name in found._load(), path
        made.setdefault(found, set()).add(name)
    # And nothing is made that no path asks for.
    assert all(set(found._load()) == names for found, names in made.items())


@pytest.mark.parametrize("name", sorted(METHOD_NAMES))
def test_the_names_of_geminis_methods_are_those_that_it_answers(name: str):
    assert set(METHODS) == METHOD_NAMES
    assert called(f"/v1/models/a:{name}") == ("v1", "a", name, False)
