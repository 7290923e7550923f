"""Whole answers of chat completions: which of them are none."""

import json
from typing import Any

import pytest

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat
from aigne_hub.providers.usage import OPENAI

DIALECT = OpenAIChat()
ASK = DIALECT.ask(b'{"model":"m","messages":[]}')
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def read(*choices: object, **more: Any) -> Usage | None:
    body = json.dumps({"choices": choices, "usage": USAGE, **more}).encode()
    return DIALECT.usage(ASK, body, OPENAI).usage


# https://openrouter.ai/docs/api/reference/errors-and-debugging, November 2026.
def test_an_answer_that_ends_with_an_error_is_none():
    error = {"code": 502, "message": "Provider disconnected"}
    good = {"message": {"content": "a"}, "finish_reason": "stop"}
    for broken in ({"finish_reason": "error"}, {"finish_reason": "error", "error": error}):
        with pytest.raises(UpstreamError, match="ended its answer with an error"):
            read(good, broken)


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": '"finish_reason":"error"'}, "finish_reason": "stop"},
        {"message": {"content": "a", "finish_reason": "error"}, "finish_reason": "stop"},
        {"finish_reason": "stop", "error": None},
        {"finish_reason": {"error": "error"}},
        "error",
        None,
    ],
)
def test_an_error_elsewhere_is_only_what_it_says(choice: object):
    assert read(choice, error=None) == Usage(input_tokens=7, output_tokens=3)
