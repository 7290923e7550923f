"""AIGNE's chat input and output, and the neutral form."""

from typing import Any

import orjson
import pytest
from tests.aigne import checked, merged

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    Finish,
    InferenceEvent,
    InferenceRequest,
    Media,
    MediaMade,
    Message,
    OutputFormat,
    ReasoningDelta,
    ReasoningSeal,
    Seal,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
    ToolResult,
)
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects import Served
from aigne_hub.gateway.dialects.aigne.chat import AigneChat
from aigne_hub.gateway.dialects.aigne.neutral import envelope_request, request_of
from aigne_hub.gateway.dialects.aigne.stream import AigneStreamMeter, text_bytes
from aigne_hub.gateway.dialects.aigne.writer import END, EnvelopeWriter

CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
SERVED = Served("c1", "openai/a/b", "0.000000123", Usage(7, 3, 2, 1))
PLAIN = InferenceRequest("m", ())
EVENTS: list[InferenceEvent] = [
    ReasoningDelta("hm"),
    ReasoningSeal(Seal("anthropic", "x")),
    TextDelta("Hel"),
    TextDelta('lo \N{SNOWMAN} "\\\n\n: 99\n\n'),
    ToolCallStart(0, "c1", "look", Seal("gemini", "sig")),
    ToolCallDelta(0, '{"city":'),
    ToolCallDelta(0, '"Oslo"}'),
    ToolCallStart(1, "c2", "look"),
    ToolCallDelta(1, "{}"),
    MediaMade(Media("image", data="aGk=", mime_type="image/png")),
    MediaMade(Media("image", url="https://example.com/a.png")),
    Finish("tool_calls"),
]


def read(options: dict[str, Any] | None = None, **given: Any) -> InferenceRequest:
    return request_of(
        {"messages": [], "modelOptions": options or {}, **given}, "m", stream=False, limit=None
    )


def test_an_input_is_read_whole():
    arguments = {"city": "Oslo"}
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": arguments}}
    picture = {"type": "file", "data": "aGk=", "mimeType": "image/png", "filename": "a.png"}
    request = read(
        {"temperature": 0.5, "topP": 0.25, "reasoningEffort": "low", "parallelToolCalls": False},
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "be brief"}]},
            {"role": "user", "content": [{"type": "text", "text": "see"}, picture]},
            {"role": "agent", "content": "I look", "toolCalls": [call]},
            {"role": "tool", "content": "rain", "toolCallId": "c1"},
            {"role": "user", "content": "and now?"},
        ],
        tools=[{"type": "function", "function": {"name": "look", "parameters": CITY}}],
        toolChoice={"type": "function", "function": {"name": "look"}},
        responseFormat={"type": "json_schema", "jsonSchema": {"name": "w", "schema": CITY}},
        outputFileType="url",
    )
    assert request == InferenceRequest(
        "m",
        (
            Message("system", (Text("be brief"),)),
            Message(
                "user",
                (
                    Text("see"),
                    Media("image", data="aGk=", mime_type="image/png", name="a.png"),
                ),
            ),
            Message("assistant", (Text("I look"), ToolCall("c1", "look", '{"city":"Oslo"}'))),
            Message("user", (ToolResult("c1", (Text("rain"),)), Text("and now?"))),
        ),
        temperature=0.5,
        top_p=0.25,
        parallel_tool_calls=False,
        tools=(Tool("look", parameters=CITY),),
        tool_choice=ToolChoice("required", ("look",)),
        output_format=OutputFormat(CITY, "w"),
        thinking=Thinking("low"),
    )


@pytest.mark.parametrize(
    ("effort", "thinking"),
    [
        ("minimal", Thinking("minimal")),
        (0, Thinking("none")),
        (2_048, Thinking(budget_tokens=2_048)),
        (None, None),
    ],
)
def test_effort_is_a_word_or_a_number(effort: object, thinking: Thinking | None):
    assert read({"reasoningEffort": effort}).thinking == thinking


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "url", "url": "https://x.test/a"}, "image"),
        ({"type": "url", "url": "https://x.test/a.pdf?x=1"}, "file"),
        ({"type": "file", "data": "aGk=", "mimeType": "audio/wav"}, "audio"),
        ({"type": "file", "data": "aGk=", "filename": "a.PDF"}, "file"),
        ({"type": "url", "url": "data:application/pdf;base64,aGk="}, "file"),
    ],
)
def test_a_file_is_what_its_type_or_name_says(part: dict[str, str], kind: str):
    media = read(messages=[{"role": "user", "content": [part]}]).messages[0].content[0]
    assert isinstance(media, Media)
    assert media.kind == kind


def test_caches_are_marked_where_the_client_wants_them():
    def marks(config: object) -> list[str | None]:
        request = read(
            {"cacheConfig": config},
            messages=[
                {"role": "system", "content": "s"},
                {"role": "user", "content": [{"type": "text", "text": "a"}]},
                {"role": "user", "content": "b"},
            ],
            tools=[{"type": "function", "function": {"name": "look"}}],
        )
        found = [part.cache for m in request.messages for part in m.content]  # type: ignore[union-attr] # texts
        return [request.tools[0].cache, *found]

    assert marks(None) == [None] * 4
    assert marks({"autoBreakpoints": {"lastMessage": True}}) == ["5m", "5m", None, "5m"]
    assert marks({"ttl": "1h", "autoBreakpoints": {"tools": False}}) == [None, "1h", None, None]
    assert marks({"enabled": False}) == marks({"strategy": "manual"}) == [None] * 4
    control = {"role": "user", "content": "c", "cacheControl": {"type": "ephemeral", "ttl": "1h"}}
    assert read(messages=[control]).messages[0].content == (Text("c", "1h"),)


def test_what_has_no_place_is_noted():
    message = {"role": "user", "content": "a", "name": "Ann"}
    request = read({"logitBias": {}}, messages=[message], preferInputFileType="url")
    assert request.not_carried == ("preferInputFileType", "modelOptions.logitBias", "name")


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"messages": [{"role": "king"}]}, "input.messages[0].role"),
        ({"messages": "x"}, "input.messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "input.messages[0].toolCallId"),
        ({"messages": [{"role": "user", "content": [{"type": "local", "path": "/x"}]}]}, "input."),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "input.messages"),
        ({"messages": [{"role": "agent", "toolCalls": [{"id": "a"}]}]}, "input.messages[0].tool"),
        ({"responseFormat": {"type": "xml"}}, "input.responseFormat.type"),
        ({"toolChoice": {}}, "input.toolChoice"),
        ({"toolChoice": ["auto"]}, "input.toolChoice"),
        ({"options": {"reasoningEffort": "huge"}}, "modelOptions.reasoningEffort"),
        ({"options": {"reasoningEffort": True}}, "modelOptions.reasoningEffort"),
        ({"options": {"modalities": ["audio"]}}, "modelOptions.modalities"),
        ({"options": {"temperature": "hot"}}, "temperature"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(given: dict[str, Any], param: str):
    with pytest.raises(InvalidRequest) as refused:
        read(**given)
    assert (refused.value.param or "").startswith(param)


def told(request: InferenceRequest, events: list[InferenceEvent]) -> dict[str, Any]:
    """Return what a client has of an answer; asserts that both shapes say the same."""
    chat = AigneChat()
    whole, stream = (
        chat.ask(orjson.dumps({"input": {"messages": [], "model": "m"}, "options": options}))
        for options in ({}, {"streaming": True})
    )
    assert whole.presented is not None
    assert stream.presented is not None
    body = whole.presented(EnvelopeWriter(request).whole(events), SERVED)
    meter, writer = AigneStreamMeter(), EnvelopeWriter(request)
    passed = b"".join(meter.feed(writer.feed([event])) for event in events)
    assert meter.complete
    assert END not in passed
    passed += stream.presented(meter.last("", Usage()), SERVED)
    value = checked(orjson.loads(body))
    assert checked(merged(passed)) == value
    bare = orjson.dumps({k: v for k, v in value.items() if k not in {"usage", "model"}})
    assert chat.output_of(bare) == meter.delivered_bytes == text_bytes(passed)
    return value


def test_both_shapes_of_an_answer_say_the_same():
    assert told(PLAIN, EVENTS) == {
        "thoughts": "hm",
        "text": 'Hello \N{SNOWMAN} "\\\n\n: 99\n\n',
        "toolCalls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "look", "arguments": {"city": "Oslo"}},
                "metadata": {"thoughtSignature": "sig"},
            },
            {"id": "c2", "type": "function", "function": {"name": "look", "arguments": {}}},
        ],
        "files": [
            {"type": "file", "data": "aGk=", "mimeType": "image/png"},
            {"type": "url", "url": "https://example.com/a.png"},
        ],
        "usage": {
            "inputTokens": 10,
            "outputTokens": 3,
            "cacheReadInputTokens": 2,
            "cacheCreationInputTokens": 1,
            "modelCallId": "c1",
            "aigneHubCredits": 1.23e-07,
            "credits": "0.000000123",
        },
        "model": "a/b",
        "modelWithProvider": "openai/a/b",
    }


def test_json_is_parsed_and_what_is_none_is_text():
    wanted = InferenceRequest("m", (), output_format=OutputFormat(CITY))
    good = told(wanted, [TextDelta('{"city":'), TextDelta('"Oslo"}'), Finish("stop")])
    assert good["json"] == {"city": "Oslo"}
    assert "text" not in good
    assert (
        told(wanted, [TextDelta("I can"), TextDelta("not"), Finish("stop")])["text"] == "I cannot"
    )


def test_what_credit_pays_for_is_the_limit_that_is_sent():
    chat = AigneChat()
    options: dict[str, Any] = {"model": "a/m"}
    given = {"messages": [], "modelOptions": options}
    ask = chat.ask(orjson.dumps({"input": given, "options": {"streaming": True}}))
    assert ask.output_limit is None
    sent = envelope_request(chat.outgoing(ask, "m", "max_tokens", 50))
    assert (sent.model, sent.max_output_tokens, sent.stream) == ("m", 50, True)
    options["maxTokens"] = 9
    own = chat.ask(orjson.dumps({"input": given}))
    assert own.output_limit == 9
    assert envelope_request(chat.outgoing(own, "m", "x", None)).max_output_tokens == 9


def test_a_stream_without_its_end_is_not_complete():
    meter = AigneStreamMeter()
    meter.feed(EnvelopeWriter(PLAIN).feed(EVENTS[:-1]))
    meter.end()
    assert not meter.complete
