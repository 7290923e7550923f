"""What a request line asks for, and which of them are remembered."""

from typing import Any

import pytest

from aigne_hub.gateway.routes import routes
from aigne_hub.gateway.targets import Targets


def targets() -> Any:
    return Targets(routes(None))  # type: ignore[arg-type] - nothing is called


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (b"/v1/chat/completions", True),
        (b"/v1/messages?beta=true", True),
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
