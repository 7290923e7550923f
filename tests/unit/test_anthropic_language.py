"""What Anthropic is asked for callers of other formats, and how its answers are read."""

from dataclasses import replace
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
from aigne_hub.domain.usage import Usage
from aigne_hub.providers.languages import CUSTOM_PARAMETERS, anthropic
from aigne_hub.providers.languages.claude import generation_of
from aigne_hub.providers.profiles import ANTHROPIC, COMPATIBLE, profile_for
from aigne_hub.providers.usage import ANTHROPIC as WIRE

USER = Message("user", (Text("hi"),))
LOOK = Tool("look", parameters={"type": "object", "properties": {}})
OLD, STEADY, NEW = "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-4-7"
OWN = Seal("anthropic", "sig")


def asked(*messages: Message, **members: Any) -> dict[str, Any]:
    """Return the body for a conversation of which nothing is lost."""
    body, lost = with_losses(*messages, **members)
    assert lost == ()
    return body


def with_losses(*messages: Message, **members: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    request = InferenceRequest(**{"model": OLD, "messages": messages or (USER,), **members})
    sent = anthropic.outgoing(request, ANTHROPIC)
    assert (sent.operation, sent.headers) == ("messages", b"")
    return orjson.loads(sent.body), sent.not_carried


def test_a_limit_is_always_asked_for_and_never_more_than_was_held():
    assert asked(max_output_tokens=7, output_max=50)["max_tokens"] == 7
    assert asked(output_max=50)["max_tokens"] == 50
    assert asked(output_max=128_000)["max_tokens"] == anthropic.OUTPUT_UNASKED_MAX
    assert asked(max_output_tokens=64_000)["max_tokens"] == 64_000
    assert asked()["max_tokens"] == anthropic.OUTPUT_DEFAULT


def test_turns_alternate_and_results_come_first():
    body = asked(
        Message("system", (Text("be"), Text("brief", "1h"))),
        USER,
        Message("user", (Text("again"),)),
        Message(
            "assistant", (Text(" "), ToolCall("c.1", "look", ""), ToolCall("c2", "look", "{}"))
        ),
        Message("user", (ToolResult("c.1", (Text("rain"),)), Text("so"))),
        Message("user", (ToolResult("c2", is_error=True),)),
        tools=(LOOK,),
    )
    assert [block["text"] for block in body["system"]] == ["be", "brief"]
    assert body["system"][1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    first, second, third = body["messages"]
    assert [block["text"] for block in first["content"]] == ["hi", "again"]
    calls = second["content"]
    assert [(call["type"], call["input"]) for call in calls] == [("tool_use", {})] * 2
    assert calls[1]["id"] == "c2"
    assert calls[0]["id"].startswith("c_1_")
    kinds = [block["type"] for block in third["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]
    assert third["content"][0]["tool_use_id"] == calls[0]["id"]
    assert third["content"][1] == {"type": "tool_result", "tool_use_id": "c2", "is_error": True}


def test_instructions_that_come_late_or_alone_are_noted():
    late = with_losses(USER, Message("system", (Text("be brief"),)))
    assert late[0]["system"] == [{"type": "text", "text": "be brief"}]
    assert late[1] == ("system_position",)
    alone = with_losses(Message("system", (Text("be brief"),)))
    assert [one["role"] for one in alone[0]["messages"]] == ["user"]
    assert alone[1] == ("system_position",)


def test_thoughts_of_its_own_go_back_verbatim_and_others_are_left_out():
    body, lost = with_losses(
        USER,
        Message(
            "assistant",
            (
                Reasoning("hm", OWN),
                Reasoning(seal=Seal("anthropic", "dark"), is_redacted=True),
                Reasoning("foreign", Seal("openai", "enc")),
                Reasoning("bare"),
                ToolCall("c", "look", "{}", seal=Seal("gemini", "g")),
            ),
        ),
        Message("user", (ToolResult("c", (Text("rain"),)),)),
    )
    assert body["messages"][1]["content"][:2] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "dark"},
    ]
    assert lost == ("reasoning",)


def test_media():
    content = (
        Media("image", data="aGk=", mime_type="image/webp"),
        Media("image", "https://a.example/b.png", detail="auto"),
        Media("file", data="aGk=", name="a.pdf"),
        Media("file", data="aGk=", mime_type="text/csv"),
        Media("file", "https://a.example/b.pdf", cache="5m"),
    )
    blocks = asked(Message("user", content))["messages"][0]["content"]
    assert [block["source"] for block in blocks] == [
        {"type": "base64", "media_type": "image/webp", "data": "aGk="},
        {"type": "url", "url": "https://a.example/b.png"},
        {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
        {"type": "text", "media_type": "text/plain", "data": "hi"},
        {"type": "url", "url": "https://a.example/b.pdf"},
    ]
    assert blocks[2]["title"] == "a.pdf"
    assert blocks[4]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.parametrize(
    "message",
    [
        Message("user", (Media("audio", data="aGk="),)),
        Message("user", (Media("file", data="aGk=", mime_type="application/zip"),)),
        Message("user", (Media("file", data="/w==", mime_type="text/plain"),)),
        Message("system", (Media("image", data="aGk="),)),
        Message("assistant", (ToolCall("c", "look", "[1]"),)),
        Message("assistant", (ToolCall("c", "look", "{"),)),
    ],
)
def test_what_it_has_no_place_for_is_refused(message: Message):
    with pytest.raises(InvalidRequest):
        asked(message)


def test_tools_and_their_choice():
    shown = Tool("show", "d", {"properties": {}}, strict=True, cache="1h")
    patch = Tool("patch", is_custom=True)
    body = asked(
        tools=(LOOK, shown, patch),
        hosted_tools=(HostedTool("web_search"),),
        tool_choice=ToolChoice("required", ("look",)),
        parallel_tool_calls=False,
    )
    assert body["tools"] == [
        {"name": "look", "input_schema": LOOK.parameters},
        {
            "name": "show",
            "description": "d",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"name": "patch", "input_schema": CUSTOM_PARAMETERS},
        anthropic.SEARCH,
    ]
    choice = {"type": "tool", "name": "look", "disable_parallel_tool_use": True}
    assert body["tool_choice"] == choice
    single = asked(tools=(LOOK, shown, patch), tool_choice=ToolChoice("auto", ("show",)))
    assert [tool["name"] for tool in single["tools"]] == ["show"]
    several = asked(tools=(LOOK, shown, patch), tool_choice=ToolChoice("auto", ("look", "show")))
    assert [tool["name"] for tool in several["tools"]] == ["look", "show"]
    for mode, kind in (("auto", "auto"), ("none", "none"), ("required", "any")):
        given = ToolChoice(mode)  # type: ignore[arg-type] # one of three words
        assert asked(tools=(LOOK,), tool_choice=given)["tool_choice"] == {"type": kind}
    assert "tool_choice" not in asked(tool_choice=ToolChoice("auto"))
    assert with_losses(model="claude-3-5-haiku", tools=(shown,))[1] == ("strict",)
    with pytest.raises(InvalidRequest):
        asked(hosted_tools=(HostedTool("code_execution"),))


def test_searches_are_noted_where_there_are_none():
    request = InferenceRequest(OLD, (USER,), hosted_tools=(HostedTool("web_search"),))
    sent = anthropic.outgoing(request, profile_for("bedrock"))
    assert "tools" not in orjson.loads(sent.body)
    assert sent.not_carried == ("hosted_tools",)


def test_a_schema_is_closed_and_any_json_is_asked_for_in_words():
    schema = {"type": "object", "properties": {"a": {"type": "object"}}, "anyOf": [{}]}
    wanted = OutputFormat(schema, "weather", "of a city")
    said = asked(output_format=wanted)["output_config"]["format"]
    assert said["type"] == "json_schema"
    assert said["schema"] == {
        "type": "object",
        "properties": {"a": {"type": "object", "additionalProperties": False}},
        "anyOf": [{}],
        "additionalProperties": False,
        "title": "weather",
        "description": "of a city",
    }
    body, lost = with_losses(output_format=OutputFormat())
    assert "JSON" in body["system"][0]["text"]
    assert lost == ("output_format",)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("claude-3-5-haiku-20241022", (3, 5)),
        ("claude-3-7-sonnet-20250219", (3, 7)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-opus-4-1-20250805", (4, 1)),
        ("anthropic/claude-4.7-opus", (4, 7)),
        ("claude-fable-5", (5, 0)),
        ("deepseek-chat", None),
    ],
)
def test_a_generation_is_known_by_its_name(name: str, version: tuple[int, int] | None):
    assert generation_of(name).version == version


@pytest.mark.parametrize(
    ("model", "wanted", "limit", "said"),
    [
        (OLD, Thinking("low"), 50_000, {"type": "enabled", "budget_tokens": 4_096}),
        (OLD, Thinking("high"), 5_000, {"type": "enabled", "budget_tokens": 2_500}),
        (OLD, Thinking(budget_tokens=9_000), 5_000, {"type": "enabled", "budget_tokens": 4_999}),
        (OLD, Thinking("low"), 1_500, None),
        (OLD, Thinking("none"), 5_000, {"type": "disabled"}),
        ("claude-3-5-haiku", Thinking("low"), 5_000, None),
        (STEADY, Thinking("xhigh"), 500, {"type": "adaptive", "effort": "high"}),
        (NEW, Thinking("xhigh"), 500, {"type": "adaptive", "effort": "xhigh"}),
        (NEW, Thinking("minimal"), 500, {"type": "adaptive", "effort": "low"}),
        (NEW, Thinking(budget_tokens=9_000), 500, {"type": "adaptive", "effort": "medium"}),
        (
            NEW,
            Thinking("low", is_shown=False),
            500,
            {"type": "adaptive", "display": "omitted", "effort": "low"},
        ),
        ("other", Thinking("low"), 50_000, {"type": "enabled", "budget_tokens": 4_096}),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(
    model: str, wanted: Thinking, limit: int, said: dict[str, Any] | None
):
    body, lost = with_losses(model=model, thinking=wanted, max_output_tokens=limit)
    assert lost == (("thinking",) if said is None else ())
    given = {**body.get("thinking", {}), **body.get("output_config", {})}
    assert given == (said or {})


def test_thinking_is_dropped_where_it_would_be_refused():
    wanted: dict[str, Any] = {"thinking": Thinking("low"), "tools": (LOOK,), "output_max": 50_000}
    forced = with_losses(model=NEW, tool_choice=ToolChoice("required"), **wanted)
    assert "thinking" not in forced[0]
    assert forced[1] == ("thinking",)
    call = ToolCall("c", "look", "{}")
    result = Message("user", (ToolResult("c", (Text("rain"),)),))
    for first, model, kept in (
        ((), OLD, False),
        ((Reasoning("hm", OWN),), OLD, True),
        ((), STEADY, True),
    ):
        turns = USER, Message("assistant", (*first, call)), result
        body, lost = with_losses(*turns, model=model, **wanted)
        assert ("thinking" in body, "thinking" not in lost) == (kept, kept)


@pytest.mark.parametrize(
    ("members", "said", "lost"),
    [
        ({"model": OLD, "temperature": 0.5}, {"temperature": 0.5}, ()),
        ({"model": OLD, "temperature": 1.5}, {"temperature": 1}, ("temperature",)),
        ({"model": OLD, "temperature": 0.5, "top_p": 0.2}, {"temperature": 0.5}, ("top_p",)),
        (
            {"model": "claude-3-5-haiku", "temperature": 0.5, "top_p": 0.2, "top_k": 3},
            {"temperature": 0.5, "top_p": 0.2, "top_k": 3},
            (),
        ),
        ({"model": NEW, "temperature": 0.5, "top_k": 3}, {}, ("temperature", "top_k")),
        ({"model": NEW, "temperature": 1, "top_p": 1.0}, {}, ()),
        ({"model": OLD, "temperature": 1.0, "top_p": 0.5}, {"top_p": 0.5}, ()),
        (
            {"temperature": 0.5, "thinking": Thinking("low"), "max_output_tokens": 50_000},
            {},
            ("temperature",),
        ),
    ],
)
def test_sampling(members: dict[str, Any], said: dict[str, Any], lost: tuple[str, ...]):
    body, noted = with_losses(**members)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == said
    assert noted == lost


def test_labels_and_hints():
    body, lost = with_losses(end_user="u", service_tier="default", seed=1, presence_penalty=0.5)
    assert (body["metadata"], body["service_tier"]) == ({"user_id": "u"}, "standard_only")
    assert lost == ("presence_penalty", "seed")
    assert with_losses(end_user="u" * 300, service_tier="flex")[1] == ("end_user", "service_tier")
    assert asked(stop=("END",))["stop_sequences"] == ["END"]
    with pytest.raises(InvalidRequest):
        asked(stop=("\n",))


def test_the_end_of_a_conversation_is_marked_for_callers_without_marks():
    turns = (USER, Message("assistant", (Text("yes"),)), USER)
    assert asked(*turns)["cache_control"] == {"type": "ephemeral"}
    assert asked(cache_key="k")["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in asked()
    assert "cache_control" not in asked(*turns, tools=(replace(LOOK, cache="5m"),))
    request = InferenceRequest("m", turns, cache_key="k")
    elsewhere = anthropic.outgoing(request, COMPATIBLE)
    assert "cache_control" not in orjson.loads(elsewhere.body)
    assert elsewhere.not_carried == ("cache_key",)


def test_of_too_many_marks_the_last_stay():
    content = tuple(Text(str(number), "5m") for number in range(5))
    body, lost = with_losses(Message("user", content), tools=(replace(LOOK, cache="5m"),))
    marked = ["cache_control" in block for block in body["messages"][0]["content"]]
    assert marked == [False, False, True, True, True]
    assert lost == ("cache",)


# -- the answer ----------------------------------------------------------------------------


def test_an_index_that_is_none_is_the_first():
    kind = "content_block_delta"
    events = ({"type": kind, "index": [1], "delta": {"type": "text_delta", "text": "a"}},)
    assert read(*events) == [TextDelta("a")]


def read(*events: dict[str, Any], end: bool = True) -> list[InferenceEvent]:
    reader = anthropic.reader(InferenceRequest("m", ()), WIRE)
    frames = (
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))
        for event in events
    )
    found = list(reader.feed(b"".join(frames)))
    return found + reader.end() if end else found


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def stop(reason: str, **more: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, **more}}


BEGIN = {
    "type": "message_start",
    "message": {
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 7,
            "cache_read_input_tokens": 2,
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3},
            "output_tokens": 1,
        }
    },
}
END = {**stop("end_turn"), "usage": {"output_tokens": 9}}


def test_a_stream_is_read_block_by_block():
    events = read(
        BEGIN,
        {"type": "ping"},
        {"type": "news", "index": 0},
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": "s"},
            {"type": "signature_delta", "signature": "ig"},
        ),
        *block(1, {"type": "redacted_thinking", "data": "dark"}),
        *block(
            2,
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"query":"x"}'},
        ),
        *block(3, {"type": "web_search_tool_result", "content": [{"title": "t"}]}),
        *block(
            4,
            {"type": "text", "text": ""},
            {"type": "text_delta", "text": "so"},
            {"type": "citations_delta", "citation": {"cited_text": "x"}},
        ),
        *block(
            5,
            {"type": "tool_use", "id": "a", "name": "look", "input": {}},
            {"type": "input_json_delta", "partial_json": ""},
            {"type": "input_json_delta", "partial_json": '{"x":1}'},
        ),
        *block(6, {"type": "tool_use", "id": "b", "name": "look", "input": {}}),
        END,
        {"type": "message_stop"},
        *block(7, {"type": "text", "text": "too late"}),
    )
    assert events[:-1] == [
        ReasoningDelta("hm"),
        ReasoningSeal(OWN),
        ReasoningSeal(Seal("anthropic", "dark"), is_redacted=True),
        TextDelta("so"),
        ToolCallStart(0, "a", "look"),
        ToolCallDelta(0, '{"x":1}'),
        ToolCallStart(1, "b", "look"),
        ToolCallDelta(1, "{}"),
    ]
    end = events[-1]
    assert isinstance(end, Finish)
    assert end.report.usage == Usage(
        input_tokens=5,
        output_tokens=9,
        cache_read_tokens=2,
        cache_write_tokens=7,
        cache_write_1h_tokens=3,
    )


def test_what_stands_in_the_start_of_a_block_is_not_missed():
    events = read(
        *block(0, {"type": "text", "text": "hi"}),
        *block(1, {"type": "tool_use", "id": "a", "name": "look", "input": {"x": 1}}),
        stop("tool_use"),
    )
    assert events[:-1] == [
        TextDelta("hi"),
        ToolCallStart(0, "a", "look"),
        ToolCallDelta(0, '{"x":1}'),
    ]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_reasons(said: str, reason: str):
    (end,) = read(stop(said, stop_sequence="END"))
    assert isinstance(end, Finish)
    assert (end.reason, end.stop_sequence) == (reason, "END")


def test_errors_are_raised_and_say_who_is_overloaded():
    for kind, is_overload in (("overloaded_error", True), ("api_error", False)):
        error = {"type": "error", "error": {"type": kind, "message": "too hot"}}
        with pytest.raises(UpstreamError, match="too hot") as raised:
            read(error)
        assert raised.value.is_overload is is_overload
    with pytest.raises(UpstreamError):
        read({"type": "error"})


def test_a_stream_without_a_reason_has_no_end():
    assert read(BEGIN, *block(0, {"type": "text", "text": "hi"})) == [TextDelta("hi")]
