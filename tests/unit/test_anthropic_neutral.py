"""Anthropic's callers in the neutral form: what is carried, noted and refused, and the answer."""

from typing import Any

import orjson
import pytest

from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.domain.inference import (
    Finish,
    HostedTool,
    InferenceEvent,
    InferenceRequest,
    Media,
    MediaMade,
    Message,
    OutputFormat,
    Reasoning,
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
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects.anthropic.neutral import CountForm, MessagesForm
from aigne_hub.gateway.dialects.anthropic.writer import HIDDEN_OF_A_PING, MessageWriter

FORM = MessagesForm()
LOOK = {"type": "object", "properties": {"city": {"type": "string"}}}
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def read(**members: Any) -> InferenceRequest:
    said = [{"role": "user", "content": "hi"}]
    body = {"model": "m", "max_tokens": 9, "messages": said, **members}
    return FORM.request(orjson.dumps(body))


def content(role: str, *blocks: object) -> tuple[Any, ...]:
    return read(messages=[{"role": role, "content": list(blocks)}]).messages[0].content


def test_plain_members_have_neutral_names():
    request = read(
        system="be brief",
        stream=True,
        temperature=0.5,
        top_p=0.25,
        top_k=3,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        service_tier="standard_only",
    )
    assert request == InferenceRequest(
        "m",
        (Message("system", (Text("be brief"),)), Message("user", (Text("hi"),))),
        stream=True,
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.25,
        top_k=3,
        stop=("END",),
        end_user="u",
        service_tier="default",
    )


def test_marks_of_the_prompt_cache_are_kept():
    request = read(
        system=[{"type": "text", "text": "a", "cache_control": HOUR}],
        tools=[{"name": "look", "input_schema": LOOK, "cache_control": MARK}],
        cache_control=MARK,
    )
    assert request.messages[0].content == (Text("a", "1h"),)
    assert request.messages[1].content == (Text("hi", "5m"),)
    assert request.tools == (Tool("look", parameters=LOOK, cache="5m"),)


def test_pictures_and_documents_are_carried():
    base64 = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    page = {"type": "url", "url": "https://a.example/b.pdf"}
    plain = {"type": "text", "media_type": "text/plain", "data": "words"}
    found = {"type": "search_result", "title": "t", "source": "s"}
    assert content(
        "user",
        {"type": "image", "source": base64},
        {"type": "document", "source": page, "title": "b", "context": "old"},
        {"type": "document", "source": plain, "title": "c"},
        {**found, "content": [{"type": "text", "text": "x"}]},
    ) == (
        Media("image", data="aGk=", mime_type="image/png"),
        Text("old"),
        Media("file", "https://a.example/b.pdf", name="b"),
        Text("c\nwords"),
        Text("t\ns\nx"),
    )


def test_results_of_tools_stand_first_and_say_when_they_are_errors():
    base64 = {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert content(
        "user",
        {"type": "text", "text": "so?"},
        {"type": "tool_result", "tool_use_id": "a", "content": "rain", "is_error": True},
        {
            "type": "tool_result",
            "tool_use_id": "b",
            "content": [{"type": "image", "source": base64}],
        },
        {"type": "tool_result", "tool_use_id": "c"},
        {
            "type": "tool_result",
            "tool_use_id": "d",
            "content": [{"type": "tool_reference", "tool_name": "fetch"}],
        },
    ) == (
        ToolResult("a", (Text("rain"),), is_error=True),
        ToolResult("b", (Media("image", data="aGk=", mime_type="image/png"),)),
        ToolResult("c"),
        ToolResult("d", (Text("This tool can be called now: fetch."),)),
        Text("so?"),
    )


def test_thoughts_keep_their_seals_and_know_whose_they_are():
    assert content(
        "assistant",
        {"type": "thinking", "thinking": "hm", "signature": "own"},
        {"type": "thinking", "thinking": "so", "signature": "hub.openai.enc"},
        {"type": "thinking", "thinking": "bare", "signature": ""},
        {"type": "redacted_thinking", "data": "dark"},
        {"type": "redacted_thinking", "data": "call.hub.gemini.sig"},
        {"type": "tool_use", "id": "t", "name": "look", "input": {"city": "Oslo"}},
    ) == (
        Reasoning("hm", Seal("anthropic", "own")),
        Reasoning("so", Seal("openai", "enc")),
        Reasoning("bare"),
        Reasoning(seal=Seal("anthropic", "dark"), is_redacted=True),
        ToolCall("t", "look", '{"city":"Oslo"}', seal=Seal("gemini", "sig")),
    )


def test_tools_and_their_choice():
    request = read(
        tools=[
            {"type": "custom", "name": "look", "description": "d", "input_schema": LOOK},
            {"type": "web_search_20260318", "name": "web_search"},
            {"type": "tool_search_tool_bm25_20251119", "name": "find"},
        ],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    assert request.tools == (Tool("look", "d", LOOK),)
    assert request.hosted_tools == (HostedTool("web_search"),)
    assert request.not_carried == ("tools.tool_search",)
    assert (request.tool_choice, request.parallel_tool_calls) == (ToolChoice("required"), False)
    for given, meant in (
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "look"}, ToolChoice("required", ("look",))),
    ):
        offered = [{"name": "look", "input_schema": LOOK}]
        assert read(tool_choice=given, tools=offered).tool_choice == meant


def test_nobody_else_is_told_to_use_a_tool_of_anthropics():
    searching = [{"type": "web_search_20260318", "name": "web_search"}]
    request = read(tools=searching, tool_choice={"type": "tool", "name": "web_search"})
    assert (request.tool_choice, request.not_carried) == (None, ("tool_choice",))


def test_a_tool_is_strict_where_every_provider_can_hold_it():
    closed = {**LOOK, "required": ["city"], "additionalProperties": False}
    for schema, strict, noted in ((closed, True, ()), (LOOK, None, ("tools.strict",))):
        request = read(tools=[{"name": "look", "input_schema": schema, "strict": True}])
        assert (request.tools[0].strict, request.not_carried) == (strict, noted)


@pytest.mark.parametrize(
    ("members", "meant"),
    [
        ({"thinking": {"type": "disabled"}}, Thinking("none", is_shown=False)),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Thinking(budget_tokens=2000)),
        ({"thinking": {"type": "adaptive"}}, Thinking()),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            Thinking(is_shown=False),
        ),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            Thinking("xhigh"),
        ),
        ({"output_config": {"effort": "low"}}, Thinking("low", is_shown=False)),
        ({}, None),
    ],
)
def test_thinking(members: dict[str, Any], meant: Thinking | None):
    assert read(**members).thinking == meant


def test_a_schema_is_strict_where_every_provider_can_hold_it():
    closed = {**LOOK, "required": ["city"], "additionalProperties": False}
    for given, strict in ((closed, True), (LOOK, None), ({**LOOK, "items": [LOOK]}, None)):
        wanted = {"type": "json_schema", "schema": given}
        meant = OutputFormat(given, strict=strict)
        assert read(output_config={"format": wanted}).output_format == meant
        assert read(output_format=wanted).output_format == meant


def test_what_is_merely_a_hint_is_noted():
    request = read(
        context_management={"edits": []},
        speed="fast",
        container=None,
        mcp_servers=[],
        inference_geo="global",
        output_config={"task_budget": {"type": "tokens", "total": 9}},
        tools=[{"name": "look", "input_schema": LOOK, "defer_loading": True, "strict": False}],
        messages=[
            {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s"}]},
            {"role": "user", "content": [{"type": "web_search_tool_result"}]},
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "x", "citations": [{"type": "y"}]}],
            },
        ],
    )
    assert set(request.not_carried) == {
        *("context_management", "speed", "output_config.task_budget", "tools.defer_loading"),
        *("server_tool_use", "web_search_tool_result", "citations"),
    }


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("container", "c"),
        ("mcp_servers", [{"url": "https://a.example"}]),
        ("inference_geo", "us"),
        ("tools", [{"type": "bash_20250124", "name": "bash"}]),
        ("tools", [{"name": "look"}]),
        ("tool_choice", {"type": "most"}),
        ("thinking", {"type": "deep"}),
        ("output_config", {"effort": "huge"}),
        ("output_config", {"format": {"type": "xml"}}),
        ("output_format", {"type": "xml"}),
        ("messages", [{"role": "tool", "content": "x"}]),
        ("messages", [{"role": "user", "content": [{"type": "container_upload"}]}]),
        (
            "messages",
            [{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}],
        ),
        ("messages", [{"role": "assistant", "content": [{"type": "tool_use", "id": "t"}]}]),
        ("system", 5),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(member: str, value: object):
    with pytest.raises(InvalidRequest) as refused:
        read(**{member: value})
    assert refused.value.param is not None
    assert refused.value.param.startswith(member)


def test_tokens_are_estimated_whatever_is_asked():
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * 40}], "container": "c"}
    answer = orjson.loads(CountForm().estimate(orjson.dumps(body)))
    assert answer == {"input_tokens": 10, "is_estimate": True}


# -- the answer ----------------------------------------------------------------------------

END = Finish("stop", Report(Usage(input_tokens=5, output_tokens=3)))


def streamed(*events: InferenceEvent, shows_thoughts: bool = True) -> list[dict[str, Any]]:
    writer = MessageWriter("m", "msg_1", shows_thoughts=shows_thoughts)
    frames = b"".join(writer.feed([event]) for event in events).split(b"\n\n")[:-1]
    read = []
    for frame in frames:
        name, data = frame.split(b"\n")
        read.append(orjson.loads(data.removeprefix(b"data: ")))
        assert name == b"event: " + read[-1]["type"].encode()
    return read


def whole(*events: InferenceEvent, shows_thoughts: bool = True) -> dict[str, Any]:
    writer = MessageWriter("m", "msg_1", shows_thoughts=shows_thoughts)
    return orjson.loads(writer.whole(events))


def shape(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what a stream does: blocks opened, deltas, blocks closed."""
    said: list[tuple[Any, ...]] = []
    for event in events:
        match event["type"]:
            case "content_block_start":
                said.append(("start", event["index"], event["content_block"]["type"]))
            case "content_block_delta":
                said.append((event["index"], *list(event["delta"].values())[1:]))
            case "content_block_stop":
                said.append(("stop", event["index"]))
    return said


def test_a_stream_is_a_sequence_of_blocks():
    events = streamed(
        ReasoningDelta("h"),
        ReasoningDelta("m"),
        ReasoningSeal(Seal("openai", "enc")),
        ReasoningSeal(Seal("anthropic", "dark"), is_redacted=True),
        TextDelta("a"),
        TextDelta("b"),
        ToolCallStart(0, "t", "look", Seal("gemini", "sig")),
        ToolCallDelta(0, "{}"),
        Finish("tool_calls"),
    )
    assert [event["type"] for event in events[:2]] == ["message_start", "content_block_start"]
    assert events[0]["message"]["id"] == "msg_1"
    assert shape(events) == [
        ("start", 0, "thinking"),
        (0, "h"),
        (0, "m"),
        (0, "hub.openai.enc"),
        ("stop", 0),
        ("start", 1, "redacted_thinking"),
        ("stop", 1),
        ("start", 2, "text"),
        (2, "a"),
        (2, "b"),
        ("stop", 2),
        ("start", 3, "redacted_thinking"),
        ("stop", 3),
        ("start", 4, "tool_use"),
        (4, "{}"),
        ("stop", 4),
    ]
    sealed = [event for event in events if event.get("index") == 3]
    assert sealed[0]["content_block"]["data"] == "call.hub.gemini.sig"
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-1] == {"type": "message_stop"}


def test_calls_whose_fragments_are_mixed_follow_one_another():
    events = streamed(
        ToolCallStart(0, "a", "look"),
        ToolCallStart(1, "b", "look"),
        ToolCallDelta(1, '{"x":'),
        ToolCallDelta(0, '{"y":'),
        ToolCallStart(2, "c", "look"),
        ToolCallDelta(0, "1}"),
        ToolCallDelta(1, "2}"),
        Finish("tool_calls"),
    )
    assert shape(events) == [
        ("start", 0, "tool_use"),
        (0, '{"y":'),
        (0, "1}"),
        ("stop", 0),
        ("start", 1, "tool_use"),
        (1, '{"x":'),
        (1, "2}"),
        ("stop", 1),
        ("start", 2, "tool_use"),
        ("stop", 2),
    ]


def test_thoughts_are_kept_from_a_caller_who_did_not_ask():
    events = (ReasoningDelta("h"), ReasoningSeal(Seal("openai", "s")), TextDelta("a"), END)
    assert whole(*events, shows_thoughts=False)["content"] == [{"type": "text", "text": "a"}]
    asked = FORM.writer(read(thinking={"type": "adaptive"}), "1", 0)
    silent = FORM.writer(read(), "1", 0)
    for writer, count in ((asked, 2), (silent, 1)):
        assert len(orjson.loads(writer.whole(events))["content"]) == count


def test_a_caller_who_sees_no_thoughts_is_told_that_there_are_some():
    thoughts = [ReasoningDelta("h")] * (2 * HIDDEN_OF_A_PING + 1)
    events = streamed(*thoughts, TextDelta("a"), END, shows_thoughts=False)
    kinds = [event["type"] for event in events]
    assert kinds[:4] == ["message_start", "ping", "ping", "content_block_start"]
    assert whole(*thoughts, TextDelta("a"), END, shows_thoughts=False)["content"] == [
        {"type": "text", "text": "a"}
    ]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("stop", "end_turn"),
        ("stop_sequence", "stop_sequence"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
    ],
)
def test_reasons(reason: Any, said: str):
    message = whole(TextDelta("x"), Finish(reason, stop_sequence="END"))
    assert (message["stop_reason"], message["stop_sequence"]) == (said, "END")


def test_usage_is_in_anthropics_words():
    usage = Usage(
        input_tokens=5,
        output_tokens=9,
        cache_read_tokens=2,
        cache_write_tokens=7,
        cache_write_1h_tokens=3,
        reasoning_tokens=1,
        searches=2,
    )
    told = whole(TextDelta("x"), Finish("stop", Report(usage)))["usage"]
    assert told == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 2,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3},
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 1},
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "standard",
    }


def test_a_call_is_an_object_or_the_answer_is_none():
    def called(arguments: str, reason: Any = "tool_calls") -> Any:
        start = ToolCallStart(0, "t", "look")
        message = whole(start, ToolCallDelta(0, arguments), Finish(reason))
        return message["content"][0]["input"]

    assert called('{"a":1}') == {"a": 1}
    assert called("") == {}
    assert called('{"a":', "length") == {}
    for broken in ('{"a":', "[1]"):
        with pytest.raises(UpstreamError):
            called(broken)


def test_a_picture_is_named_in_the_text():
    image = MediaMade(Media("image", data="aGk=", mime_type="image/png"))
    (block,) = whole(image, END)["content"]
    assert block["text"] == "![image](data:image/png;base64,aGk=)"
