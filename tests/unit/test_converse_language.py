"""What models behind Bedrock's Converse are asked, and what their answers are read as."""

import json
from typing import Any

import pytest
from tests.contract import aws

from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.domain.inference import (
    Effort,
    Finish,
    HostedTool,
    InferenceEvent,
    InferenceRequest,
    Media,
    MediaMade,
    Message,
    OutputFormat,
    Part,
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
from aigne_hub.providers.languages import Outgoing, converse
from aigne_hub.providers.profiles import profile_for
from aigne_hub.providers.usage import CONVERSE

HELLO = Message("user", (Text("hello"),))
LOOK = Tool("look", "tells the weather", {"type": "object", "properties": {}})
NOVA, NOVA_2 = "amazon.nova-lite-v1:0", "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
CALLED = (
    HELLO,
    Message("assistant", (ToolCall("c1", "look", "{}"),)),
    Message("user", (ToolResult("c1", (Text("rain"),)),)),
)
ORIGIN = "bedrock-converse"


def sent(*messages: Message, model: str = NOVA, **more: Any) -> Outgoing:
    request = InferenceRequest(model, messages or (HELLO,), **more)
    return converse.outgoing(request, profile_for("bedrock"))


def body_of(*messages: Message, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(sent(*messages, **more).body)
    return body


def blocks_of(*content: Part, role: Any = "user", **more: Any) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = body_of(Message(role, content), **more)["messages"][0]["content"]
    return blocks


def test_the_plainest_request_is_its_messages():
    assert sent().operation == "converse"
    assert sent(stream=True).operation == "converse-stream"
    plain = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
    assert body_of() == body_of(stream=True) == plain
    assert sent().not_carried == ()


def test_what_the_system_says_stands_apart():
    system = Message("system", (Text("be brief"),))
    assert body_of(system, HELLO)["system"] == [{"text": "be brief"}]
    assert sent(HELLO, system).not_carried == ("system_position",)
    alone = sent(system)
    assert json.loads(alone.body)["messages"] == [
        {"role": "user", "content": [{"text": "be brief"}]}
    ]
    assert alone.not_carried == ("system_position",)
    with pytest.raises(InvalidRequest, match="nothing but text"):
        sent(Message("system", (Media("image", data="aGk="),)), HELLO)


def test_turns_alternate_and_begin_with_results():
    body = body_of(
        HELLO,
        Message("user", (Text(" "), Text("there"))),
        Message("assistant", (ToolCall("c1", "look", ""),)),
        Message("user", (Text("and?"),)),
        Message("user", (ToolResult("c1", (Text("rain"), Text("")), is_error=True),)),
        tools=(LOOK,),
    )
    use = {"toolUseId": "c1", "name": "look", "input": {}}
    result = {"toolUseId": "c1", "content": [{"text": "rain"}], "status": "error"}
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "hello"}, {"text": "there"}]},
        {"role": "assistant", "content": [{"toolUse": use}]},
        {"role": "user", "content": [{"toolResult": result}, {"text": "and?"}]},
    ]


def test_arguments_have_to_be_an_object():
    with pytest.raises(InvalidRequest, match="'c1' are no JSON object"):
        sent(Message("assistant", (ToolCall("c1", "look", "[1]"),)))


def test_an_id_of_other_letters_or_too_long_gets_others_and_stays_its_own():
    def ids(given: str) -> tuple[str, str]:
        messages = body_of(
            Message("assistant", (ToolCall(given, "look", "{}"),)),
            Message("user", (ToolResult(given),)),
            tools=(LOOK,),
        )["messages"]
        use, result = (one["content"][0] for one in messages)
        return use["toolUse"]["toolUseId"], result["toolResult"]["toolUseId"]

    assert ids("a.b:c_d-1") == ("a.b:c_d-1", "a.b:c_d-1")
    spaced, dashed, long, empty = ids("a b"), ids("a/b"), ids("x" * 65), ids("")
    for first, second in (spaced, dashed, long, empty):
        assert first == second
        assert 1 <= len(first) <= 64
    assert len({spaced, dashed, long, empty}) == 4


@pytest.mark.parametrize(
    ("media", "said"),
    [
        (Media("image", data="aGk="), {"image": {"format": "png"}}),
        (Media("image", data="aGk=", mime_type="image/jpg"), {"image": {"format": "jpeg"}}),
        (Media("audio", data="aGk=", mime_type="audio/mpeg"), {"audio": {"format": "mp3"}}),
        (Media("audio", data="aGk=", mime_type="audio/x-wav"), {"audio": {"format": "wav"}}),
        (Media("video", data="aGk=", mime_type="video/quicktime"), {"video": {"format": "mov"}}),
        (Media("file", data="aGk="), {"document": {"format": "pdf", "name": "document"}}),
        (
            Media("file", data="aGk=", mime_type="text/plain; charset=utf-8", name="a_b/c  (1).x"),
            {"document": {"format": "txt", "name": "a b c (1)"}},
        ),
        (
            Media("file", data="aGk=", mime_type="application/json"),
            {"document": {"format": "txt", "name": "document"}},
        ),
        (
            Media("file", data="aGk=", name="sums.xlsx"),
            {"document": {"format": "xlsx", "name": "sums"}},
        ),
    ],
)
def test_media_are_inlined_by_what_they_are(media: Media, said: dict[str, Any]):
    ((kind, inside),) = said.items()
    assert blocks_of(media) == [{kind: {**inside, "source": {"bytes": "aGk="}}}]


def test_media_by_an_address_are_refused_unless_it_is_amazons():
    (block,) = blocks_of(Media("video", url="s3://films/a.mp4"))
    assert block["video"] == {
        "format": "mp4",
        "source": {"s3Location": {"uri": "s3://films/a.mp4"}},
    }
    with pytest.raises(InvalidRequest, match="inline or from S3"):
        blocks_of(Media("image", url="https://x/a.png"))
    with pytest.raises(InvalidRequest, match="no image of the type image/tiff"):
        blocks_of(Media("image", data="aGk=", mime_type="image/tiff"))


def test_documents_have_names_of_their_own():
    two = (Media("file", data="aGk=", name="a.pdf"), Media("file", data="aGk=", name="a.pdf"))
    assert [block["document"]["name"] for block in blocks_of(*two)] == ["a", "a 2"]


def test_what_an_assistant_showed_is_noted():
    made = Message("assistant", (Media("image", data="aGk="), Text("here")))
    assert sent(HELLO, made).not_carried == ("media",)


def test_only_reasoning_of_this_wire_goes_back():
    own = Reasoning("hm", Seal(ORIGIN, "c2ln"))
    hidden = Reasoning(seal=Seal(ORIGIN, "aGlk"), is_redacted=True)
    assert blocks_of(own, hidden, role="assistant") == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "aGlk"}},
    ]
    foreign = Message("assistant", (Reasoning("hm", Seal("anthropic", "x")), Text("a")))
    assert sent(HELLO, foreign).not_carried == ("reasoning",)
    assert sent(HELLO, Message("assistant", (Reasoning("hm"), Text("a")))).not_carried == (
        "reasoning",
    )


MARK = {"cachePoint": {"type": "default"}}


def test_marks_stand_behind_what_they_mark():
    system = Message("system", (Text("rules", cache="5m"),))
    body = body_of(system, Message("user", (Text("a", cache="5m"), Text("b"))))
    assert body["system"] == [{"text": "rules"}, MARK]
    assert body["messages"][0]["content"] == [{"text": "a"}, MARK, {"text": "b"}]
    asked = Message("user", (Text("a", cache="1h"),))
    assert sent(asked).not_carried == ("cache",)
    assert sent(asked, model=LLAMA).not_carried == ("cache",)
    assert MARK not in blocks_of(Text("a", cache="5m"), model=LLAMA)


def test_a_mark_moves_with_its_result_and_the_first_of_too_many_go():
    result = ToolResult("c1", (Text("rain"),), cache="5m")
    blocks = body_of(HELLO, Message("user", (result,)), tools=(LOOK,))["messages"][0]["content"]
    assert [next(iter(block)) for block in blocks] == ["toolResult", "cachePoint", "text"]
    many = tuple(Text(str(number), cache="5m") for number in range(6))
    assert [number for number, b in enumerate(blocks_of(*many)) if b == MARK] == [3, 5, 7, 9]
    assert sent(Message("user", many)).not_carried == ("cache",)


def test_tools_and_a_choice_of_them():
    custom = Tool("patch", is_custom=True, strict=True, cache="5m")
    made = sent(tools=(LOOK, custom), tool_choice=ToolChoice("required"))
    config = json.loads(made.body)["toolConfig"]
    first, second = (one["toolSpec"] for one in config["tools"])
    assert first == {
        "name": "look",
        "description": "tells the weather",
        "inputSchema": {"json": {"type": "object", "properties": {}}},
    }
    assert second["strict"] is True
    assert second["inputSchema"]["json"]["required"] == ["input"]
    assert config["toolChoice"] == {"any": {}}
    assert made.not_carried == ("cache",)
    one = body_of(tools=(LOOK, custom), tool_choice=ToolChoice("required", ("look",)))
    assert one["toolConfig"]["toolChoice"] == {"tool": {"name": "look"}}
    assert len(one["toolConfig"]["tools"]) == 2


def test_a_free_choice_is_unsaid_and_among_names_only_those_are_offered():
    free = body_of(tools=(LOOK,), tool_choice=ToolChoice("auto"))
    assert "toolChoice" not in free["toolConfig"]
    some = body_of(tools=(LOOK, Tool("wait")), tool_choice=ToolChoice("auto", ("look",)))
    assert [one["toolSpec"]["name"] for one in some["toolConfig"]["tools"]] == ["look"]
    assert sent(tools=(LOOK,), parallel_tool_calls=False).not_carried == ("parallel_tool_calls",)


def test_no_choice_is_no_tools_unless_calls_were_made():
    assert "toolConfig" not in body_of(tools=(LOOK,), tool_choice=ToolChoice("none"))
    kept = sent(*CALLED, tools=(LOOK,), tool_choice=ToolChoice("none"))
    assert len(json.loads(kept.body)["toolConfig"]["tools"]) == 1
    assert kept.not_carried == ("tool_choice",)
    bare = sent(*CALLED)
    assert json.loads(bare.body)["toolConfig"] == {
        "tools": [
            {
                "toolSpec": {
                    "name": "look",
                    "inputSchema": {"json": {"type": "object", "properties": {}}},
                }
            }
        ]
    }
    assert bare.not_carried == ("tools",)


def test_a_search_is_noted_and_any_other_tool_of_a_provider_refused():
    assert sent(hosted_tools=(HostedTool("web_search"),)).not_carried == ("hosted_tools",)
    with pytest.raises(InvalidRequest, match="'code_execution'"):
        sent(hosted_tools=(HostedTool("code_execution"),))


def test_limits_and_sampling():
    made = sent(max_output_tokens=9, temperature=1.5, top_p=0.5, top_k=3, stop=("END",))
    body = json.loads(made.body)
    assert body["inferenceConfig"] == {
        "maxTokens": 9,
        "temperature": 1,
        "topP": 0.5,
        "stopSequences": ["END"],
    }
    assert body["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 3}}
    assert made.not_carried == ("temperature",)
    assert sent(model=LLAMA, top_k=3, temperature=0.5).not_carried == ("top_k",)
    with pytest.raises(InvalidRequest, match="empty"):
        sent(stop=("",))


def test_what_has_no_place_is_noted():
    named = {
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "seed": 1,
        "end_user": "u",
        "cache_key": "k",
    }
    assert sent(**named).not_carried == tuple(named)


@pytest.mark.parametrize(
    ("tier", "said", "noted"),
    [
        ("auto", None, ()),
        ("default", {"type": "default"}, ()),
        ("flex", {"type": "flex"}, ()),
        ("priority", {"type": "priority"}, ()),
        ("scale", None, ("service_tier",)),
    ],
)
def test_tiers(tier: str, said: object, noted: tuple[str, ...]):
    made = sent(service_tier=tier)
    assert json.loads(made.body).get("serviceTier") == said
    assert made.not_carried == noted


def test_a_schema_is_text_and_any_json_a_sentence():
    wanted = OutputFormat({"type": "object"}, "weather", "of a city")
    assert body_of(output_format=wanted)["outputConfig"] == {
        "textFormat": {
            "type": "json_schema",
            "structure": {
                "jsonSchema": {
                    "schema": '{"type":"object"}',
                    "name": "weather",
                    "description": "of a city",
                }
            },
        }
    }
    made = sent(output_format=OutputFormat())
    assert "JSON object" in json.loads(made.body)["system"][0]["text"]
    assert made.not_carried == ("output_format",)


def nova(effort: str) -> dict[str, Any]:
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}


@pytest.mark.parametrize(
    ("model", "effort", "said", "is_noted"),
    [
        (NOVA_2, "low", nova("low"), False),
        (NOVA_2, "max", nova("high"), False),
        (NOVA_2, "none", {"reasoningConfig": {"type": "disabled"}}, False),
        ("openai.gpt-oss-20b-1:0", "high", {"reasoning_effort": "high"}, False),
        ("openai.gpt-oss-20b-1:0", "none", {"reasoning_effort": "low"}, True),
        ("us.openai.gpt-5.6-luna", "xhigh", {"reasoning": {"effort": "xhigh"}}, False),
        ("moonshot.kimi-k2-thinking", "medium", {"reasoning_effort": "medium"}, False),
        (NOVA, "low", None, True),
        (NOVA, "none", None, False),
        (LLAMA, "low", None, True),
    ],
)  # fmt: skip
def test_an_effort_stands_in_the_makers_own_member(
    model: str, effort: Effort, said: object, is_noted: bool
):
    made = sent(model=model, thinking=Thinking(effort))
    assert json.loads(made.body).get("additionalModelRequestFields") == said
    assert made.not_carried == (("thinking",) if is_noted else ())


def test_nova_thinks_less_where_it_is_bounded():
    made = sent(model=NOVA_2, thinking=Thinking("high"), max_output_tokens=9)
    fields = json.loads(made.body)["additionalModelRequestFields"]
    assert fields == nova("medium")
    assert made.not_carried == ("thinking",)


# -- answers --------------------------------------------------------------------------------

SAID = {"usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8}}


def reader() -> Any:
    return converse.reader(InferenceRequest(NOVA, ()), CONVERSE)


def whole(*blocks: dict[str, Any], reason: str = "end_turn") -> list[InferenceEvent]:
    message = {"role": "assistant", "content": list(blocks)}
    answer = {"output": {"message": message}, "stopReason": reason, **SAID}
    events: list[InferenceEvent] = reader().whole(json.dumps(answer).encode())
    return events


def streamed(*events: tuple[str, dict[str, Any]]) -> list[InferenceEvent]:
    one = reader()
    read = [event for name, value in events for event in one.feed(aws.event(name, value))]
    return [*read, *one.end()]


def delta(index: int, **said: Any) -> tuple[str, dict[str, Any]]:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": said}


def stop(index: int) -> tuple[str, dict[str, Any]]:
    return "contentBlockStop", {"contentBlockIndex": index}


def begun(index: int, use: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": use}}


ENDED = (("messageStop", {"stopReason": "end_turn"}), ("metadata", SAID))


def test_a_whole_answer():
    use = {"toolUseId": "t1", "name": "look", "input": {"city": "Oslo"}}
    own = {"toolUseId": "t2", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}
    events = whole(
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "aGlk"}},
        {"text": "a"},
        {"citationsContent": {"content": [{"text": "b"}], "citations": [{"title": "t"}]}},
        {"image": {"format": "jpeg", "source": {"bytes": "aGk="}}},
        {"toolUse": own},
        {"toolResult": {"toolUseId": "t2", "content": [{"text": "found"}]}},
        {"toolUse": use},
        reason="tool_use",
    )
    assert events[:-1] == [
        ReasoningDelta("hm"),
        ReasoningSeal(Seal(ORIGIN, "c2ln")),
        ReasoningSeal(Seal(ORIGIN, "aGlk"), is_redacted=True),
        TextDelta("a"),
        TextDelta("b"),
        MediaMade(Media("image", data="aGk=", mime_type="image/jpeg")),
        ToolCallStart(0, "t1", "look"),
        ToolCallDelta(0, '{"city":"Oslo"}'),
    ]
    assert isinstance(events[-1], Finish)
    assert events[-1].reason == "tool_calls"
    assert events[-1].report.usage == Usage(input_tokens=3, output_tokens=5)


@pytest.mark.parametrize(
    ("reason", "read"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("some_new_one", "stop"),
    ],
)
def test_why_an_answer_ended(reason: str, read: str):
    (finish,) = whole(reason=reason)
    assert isinstance(finish, Finish)
    assert finish.reason == read


@pytest.mark.parametrize("reason", ["malformed_tool_use", "malformed_model_output"])
def test_what_the_model_made_badly_is_an_error(reason: str):
    with pytest.raises(UpstreamError, match=reason):
        whole({"text": "a"}, reason=reason)


def test_a_call_is_one_though_the_model_says_it_ended():
    *_, finish = whole({"toolUse": {"toolUseId": "t", "name": "look", "input": {}}})
    assert isinstance(finish, Finish)
    assert finish.reason == "tool_calls"


def test_a_streamed_seal_is_known_at_the_end_of_its_block():
    events = streamed(
        delta(0, reasoningContent={"text": "hm"}),
        delta(0, reasoningContent={"signature": "c2"}),
        delta(0, reasoningContent={"signature": "ln"}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": "aGlk"}),
        stop(1),
        *ENDED,
    )
    assert events[:-1] == [
        ReasoningDelta("hm"),
        ReasoningSeal(Seal(ORIGIN, "c2ln")),
        ReasoningSeal(Seal(ORIGIN, "aGlk"), is_redacted=True),
    ]


def test_a_streamed_call_without_arguments_has_none():
    events = streamed(
        begun(0, {"toolUseId": "t1", "name": "look"}),
        stop(0),
        begun(1, {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}),
        delta(1, toolUse={"input": '{"q":1}'}),
        stop(1),
        begun(2, {"name": "wait"}),
        delta(2, toolUse={"input": ""}),
        *ENDED,
    )
    assert events[:-1] == [
        ToolCallStart(0, "t1", "look"),
        ToolCallDelta(0, "{}"),
        ToolCallStart(1, "tooluse_1", "wait"),
        ToolCallDelta(1, "{}"),
    ]


def test_usage_comes_last_and_its_absence_ends_an_answer_too():
    events = streamed(delta(0, text="a"), *ENDED)
    assert isinstance(events[-1], Finish)
    assert events[-1].report.usage == Usage(input_tokens=3, output_tokens=5)
    bare = streamed(delta(0, text="a"), ENDED[0])
    assert bare == [TextDelta("a"), Finish("stop")]
    assert streamed(delta(0, text="a")) == [TextDelta("a")]


@pytest.mark.parametrize(
    ("kind", "is_overload"),
    [
        ("throttlingException", True),
        ("serviceUnavailableException", True),
        ("internalServerException", False),
        ("modelStreamErrorException", False),
        ("validationException", False),
    ],
)
def test_an_exception_in_a_stream_ends_it_behind_what_was_said(kind: str, is_overload: bool):
    one, read = reader(), []
    data = aws.event(*delta(0, text="a")) + aws.exception(kind, "Slow down.")
    with pytest.raises(UpstreamError, match=r"Slow down\.") as raised:
        read.extend(one.feed(data))
    assert read == [TextDelta("a")]
    assert raised.value.is_overload is is_overload


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "damaged"),
        (aws.message({":message-type": "error", ":error-message": "Broken."}, b""), "Broken"),
        (aws.message({":event-type": "contentBlockDelta"}, b"{"), "not valid JSON"),
        (aws.message({":event-type": "contentBlockDelta"}, b"[]"), "not an object"),
    ],
)
def test_what_is_no_event_is_an_error(data: bytes, words: str):
    with pytest.raises(UpstreamError, match=words):
        list(reader().feed(data))


@pytest.mark.parametrize("said", [None, 1, "x", [], {}, {"text": 1}, {"toolUse": []}])
def test_nonsense_in_an_event_says_nothing(said: object):
    events = [
        ("initial-response", {}),
        ("contentBlockStart", {"contentBlockIndex": [1], "start": said}),
        ("contentBlockStart", {"start": said}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": said}),
        ("metadata", {"usage": said}),
        ("messageStop", {"stopReason": said}),
    ]
    assert not [one for one in streamed(*events) if not isinstance(one, Finish)]
