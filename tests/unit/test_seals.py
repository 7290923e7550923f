"""What one provider seals comes back to it through every format that a caller may speak."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from aigne_hub.domain.inference import (
    Finish,
    InferenceEvent,
    InferenceRequest,
    Message,
    ReasoningDelta,
    ReasoningSeal,
    Seal,
    Text,
    TextDelta,
    Thinking,
    ToolCallDelta,
    ToolCallStart,
)
from aigne_hub.gateway.dialects import NeutralForm
from aigne_hub.gateway.dialects.anthropic.neutral import MessagesForm
from aigne_hub.gateway.dialects.gemini.neutral import GenerateForm
from aigne_hub.gateway.dialects.openai.neutral import ChatForm
from aigne_hub.gateway.dialects.responses.neutral import ResponsesForm
from aigne_hub.providers.languages import Language, anthropic, gemini
from aigne_hub.providers.profiles import ANTHROPIC, GOOGLE, Profile

Turns = Callable[[dict[str, Any]], dict[str, Any]]
ASKED = InferenceRequest("m", (Message("user", (Text("hi"),)),), thinking=Thinking("high"))


def chat(answer: dict[str, Any]) -> dict[str, Any]:
    said = answer["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": "a", "content": "rain"}
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}, said, result]}


def messages(answer: dict[str, Any]) -> dict[str, Any]:
    result = {"type": "tool_result", "tool_use_id": "a", "content": "rain"}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": [result]},
    ]
    return {"model": "m", "max_tokens": 9, "messages": turns}


def contents(answer: dict[str, Any]) -> dict[str, Any]:
    result = {"functionResponse": {"id": "a", "name": "look", "response": {"output": "rain"}}}
    asked = {"role": "user", "parts": [{"text": "hi"}]}
    said = answer["candidates"][0]["content"]
    return {"contents": [asked, said, {"role": "user", "parts": [result]}]}


def items(answer: dict[str, Any]) -> dict[str, Any]:
    result = {"type": "function_call_output", "call_id": "a", "output": "rain"}
    return {"model": "m", "input": [{"role": "user", "content": "hi"}, *answer["output"], result]}


CALLERS: dict[str, tuple[NeutralForm, Turns]] = {
    "chat completions": (ChatForm(), chat),
    "messages": (MessagesForm(), messages),
    "gemini": (GenerateForm("m", stream=False), contents),
    "responses": (ResponsesForm(), items),
}
CALL = ToolCallDelta(0, '{"city":"Oslo"}')
# What a provider answered, and what it wants to see again.
CLAUDE: list[InferenceEvent] = [
    ReasoningDelta("hm"),
    ReasoningSeal(Seal("anthropic", "c2lnbmVk")),
    ReasoningSeal(Seal("anthropic", "aGlkZGVu"), is_redacted=True),
    TextDelta("so"),
    ToolCallStart(0, "a", "look"),
    CALL,
    Finish("tool_calls"),
]
GEMINI: list[InferenceEvent] = [
    ReasoningDelta("hm"),
    TextDelta("so"),
    ToolCallStart(0, "a", "look", Seal("gemini", "c2lnbmVk")),
    CALL,
    Finish("tool_calls"),
]
PROVIDERS: dict[str, tuple[list[InferenceEvent], Language, Profile, list[dict[str, Any]]]] = {
    "anthropic": (
        CLAUDE,
        anthropic,
        ANTHROPIC,
        [
            {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"},
            {"type": "redacted_thinking", "data": "aGlkZGVu"},
        ],
    ),
    "gemini": (
        GEMINI,
        gemini,
        GOOGLE,
        [
            {
                "functionCall": {"id": "a", "name": "look", "args": {"city": "Oslo"}},
                "thoughtSignature": "c2lnbmVk",
            }
        ],
    ),
}


def sent_again(caller: str, provider: str, events: list[InferenceEvent]) -> bytes:
    form, turns = CALLERS[caller]
    _, language, profile, _ = PROVIDERS[provider]
    answer = orjson.loads(form.writer(ASKED, "id", 1).whole(events))
    request = form.request(orjson.dumps(turns(answer)))
    return language.outgoing(request, profile).body


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_seals_come_back_verbatim(caller: str, provider: str):
    events, _, _, wanted = PROVIDERS[provider]
    body = sent_again(caller, provider, events)
    for part in wanted:
        assert orjson.dumps(part) in body


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_seals_go_to_nobody_else(caller: str, provider: str):
    other = next(name for name in PROVIDERS if name != provider)
    body = sent_again(caller, other, PROVIDERS[provider][0])
    assert b"c2lnbmVk" not in body
    assert b"aGlkZGVu" not in body
