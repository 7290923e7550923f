"""OpenAI Responses for models of other providers: requests read, events written."""

import json
from typing import Any

import orjson
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from tests.unit.test_translation import EVENTS, LOOK

from aigne_hub.domain.errors import HubError, InvalidRequest, NotFound
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
from aigne_hub.gateway.dialects.responses.neutral import ResponsesForm

FORM = ResponsesForm()
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
ASKED = InferenceRequest("m", (), stream=True, tools=(Tool("patch", is_custom=True),))


def read(**members: object) -> InferenceRequest:
    return FORM.request(orjson.dumps({"model": "m", "store": False, **members}))


def frames(events: list[InferenceEvent], asked: InferenceRequest = ASKED) -> list[dict[str, Any]]:
    """Return the events of a stream, each of a known type and in its place."""
    writer = FORM.writer(asked, "id", 1)
    data = b"".join(writer.feed([event]) for event in events)
    found = []
    for number, frame in enumerate(data.decode().strip().split("\n\n")):
        name, _, payload = frame.partition("\n")
        value = json.loads(payload.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        assert value["sequence_number"] == number
        assert EVENT.validate_python(value).type == value["type"]
        found.append(value)
    return found


def test_a_request_keeps_all_it_says():
    image = {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"}
    request = read(
        instructions="be brief",
        input=[
            {"role": "developer", "content": "kindly"},
            {"role": "user", "content": [{"type": "input_text", "text": "see"}, image]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "I look"}],
            },
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "*** Begin"},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {
                "type": "custom_tool_call_output",
                "call_id": "c2",
                "output": [{"type": "input_text", "text": "ok"}],
            },
        ],
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.25,
        tools=[
            {
                "type": "function",
                "name": "look",
                "description": "d",
                "parameters": LOOK,
                "strict": True,
            },
            {
                "type": "custom",
                "name": "patch",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"},
            },
            {"type": "web_search"},
        ],
        tool_choice={"type": "function", "name": "look"},
        parallel_tool_calls=False,
        text={"format": {"type": "json_schema", "name": "n", "schema": LOOK, "strict": True}},
        reasoning={"effort": "low", "summary": "auto"},
        prompt_cache_key="k",
        include=["reasoning.encrypted_content"],
    )
    assert request.messages == (
        Message("system", (Text("be brief"),)),
        Message("system", (Text("kindly"),)),
        Message(
            "user", (Text("see"), Media("image", data="aGk=", mime_type="image/png", detail="low"))
        ),
        Message(
            "assistant",
            (
                Reasoning("hm"),
                Text("I look"),
                ToolCall("c1", "look", "{}"),
                ToolCall("c2", "patch", "*** Begin", is_custom=True),
            ),
        ),
        Message("user", (ToolResult("c1", (Text("rain"),)), ToolResult("c2", (Text("ok"),)))),
    )
    look, patch = request.tools
    assert look == Tool("look", "d", LOOK, strict=True)
    assert patch.is_custom
    assert patch.description is not None
    assert "start: x" in patch.description
    assert request.hosted_tools == (HostedTool("web_search"),)
    assert request.tool_choice == ToolChoice("required", ("look",))
    assert request.output_format == OutputFormat(LOOK, "n", strict=True)
    assert request.thinking == Thinking("low", is_shown=True)
    assert (request.max_output_tokens, request.cache_key) == (7, "k")
    assert request.parallel_tool_calls is False
    assert request.not_carried == ()


def test_a_stream_is_the_whole_sequence_of_events():
    told = frames(EVENTS)
    kinds = [event["type"].removeprefix("response.") for event in told]
    assert kinds[:2] == ["created", "in_progress"]
    assert kinds[-1] == "completed"
    whole = told[-1]["response"]
    Response.model_validate(whole)
    thought, said, first, second = whole["output"]
    assert thought["summary"][0]["text"] == "hm"
    assert said["content"][0]["text"] == "Hello \N{SNOWMAN} \x00 \\"
    assert (first["call_id"], first["arguments"]) == ("c1", '{"a":1}')
    assert (second["call_id"], second["arguments"]) == ("c2", "{}")
    # Every item is begun and ended at its place, and what ended is what the whole has.
    done = {e["output_index"]: e["item"] for e in told if e["type"].endswith("output_item.done")}
    assert [done[index] for index in range(4)] == whole["output"]
    begun = [e["output_index"] for e in told if e["type"].endswith("output_item.added")]
    assert begun == [0, 1, 2, 3]
    deltas = [e["delta"] for e in told if e["type"].endswith("output_text.delta")]
    assert "".join(deltas) == said["content"][0]["text"]
    assert whole["usage"]["input_tokens"] == 7
    assert whole["usage"]["output_tokens_details"] == {"reasoning_tokens": 1}


def test_a_whole_answer_is_what_a_stream_ends_with():
    whole = json.loads(FORM.writer(ASKED, "id", 1).whole(EVENTS))
    assert whole == frames(EVENTS)[-1]["response"]


def test_fragments_of_several_calls_may_be_mixed():
    told = frames(
        [
            ToolCallStart(0, "a", "look"),
            ToolCallStart(1, "b", "patch"),
            ToolCallDelta(0, "{"),
            ToolCallDelta(1, "*** "),
            ToolCallDelta(0, "}"),
            ToolCallDelta(1, "End"),
            Finish("tool_calls"),
        ]
    )
    first, second = told[-1]["response"]["output"]
    assert (first["type"], first["arguments"]) == ("function_call", "{}")
    assert (second["type"], second["input"]) == ("custom_tool_call", "*** End")


@pytest.mark.parametrize(
    ("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_short_says_why(reason: Any, why: str):
    last = frames([TextDelta("Hel"), Finish(reason)])[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": why}


def test_seals_come_back_to_where_they_came_from():
    seal, of_call, redacted = Seal("anthropic", "s1"), Seal("gemini", "s2"), Seal("anthropic", "s3")
    output = frames(
        [
            ReasoningSeal(redacted, is_redacted=True),
            ReasoningDelta("hm"),
            ReasoningSeal(seal),
            ToolCallStart(0, "c", "look", of_call),
            ToolCallDelta(0, "{}"),
            Finish("tool_calls", Report(Usage(1, 1))),
        ]
    )[-1]["response"]["output"]
    (message,) = read(input=output).messages
    assert message == Message(
        "assistant",
        (
            Reasoning("", redacted, is_redacted=True),
            Reasoning("hm", seal),
            ToolCall("c", "look", "{}", seal=of_call),
        ),
    )


def test_tools_in_a_namespace_are_called_by_both_names():
    member = {"type": "function", "name": "close", "parameters": LOOK}
    group = {"type": "namespace", "name": "agents", "description": "d", "tools": [member]}
    call = {"type": "function_call", "call_id": "c", "namespace": "agents", "name": "close"}
    request = read(tools=[group], input=[{**call, "arguments": "{}"}])
    (tool,) = request.tools
    assert (tool.name, tool.namespace) == ("agents__close", "agents")
    assert request.messages[0].content == (ToolCall("c", "agents__close", "{}"),)
    events = [ToolCallStart(0, "c", tool.name), ToolCallDelta(0, "{}"), Finish("tool_calls")]
    (item,) = json.loads(FORM.writer(request, "id", 1).whole(events))["output"]
    assert (item["namespace"], item["name"]) == ("agents", "close")
    assert read(input=[item]).messages == request.messages


CLOSE = {"type": "function", "name": "close", "parameters": LOOK}
SEARCH = {"type": "tool_search", "execution": "client", "description": "d", "parameters": LOOK}


def test_tools_in_the_input_are_offered_once_and_say_nothing():
    given = {"type": "additional_tools", "role": "developer", "tools": [CLOSE, {**CLOSE}]}
    request = read(tools=[CLOSE], input=[given, {"role": "user", "content": "hi"}])
    assert [tool.name for tool in request.tools] == ["close"]
    assert request.messages == (Message("user", (Text("hi"),)),)
    custom = {"type": "custom", "name": "exec"}
    group = {"type": "namespace", "name": "functions", "tools": [custom]}
    request = read(tools=[CLOSE], input=[{**given, "tools": [group]}])
    assert [tool.name for tool in request.tools] == ["close", "functions__exec"]
    assert request.tools[1].is_custom


def test_a_search_of_the_callers_is_a_function_and_offers_what_it_found():
    request = read(tools=[SEARCH], input="hi")
    assert request.tools == (Tool("tool_search", "d", LOOK, is_search=True),)
    events: list[InferenceEvent] = [
        ToolCallStart(0, "c", "tool_search"),
        ToolCallDelta(0, '{"city":'),
        ToolCallDelta(0, '"Paris"}'),
        Finish("tool_calls"),
    ]
    told = frames(events, request)
    assert [event["type"].removeprefix("response.") for event in told[2:]] == [
        *("output_item.added", "output_item.done", "completed")
    ]
    item = told[-2]["item"]
    assert (item["type"], item["execution"]) == ("tool_search_call", "client")
    assert (item["call_id"], item["arguments"]) == ("c", {"city": "Paris"})
    output = {"type": "tool_search_output", "call_id": "c", "tools": [CLOSE]}
    request = read(tools=[SEARCH], input=[item, output])
    assert [tool.name for tool in request.tools] == ["tool_search", "close"]
    assert request.messages == (
        Message("assistant", (ToolCall("c", "tool_search", '{"city":"Paris"}'),)),
        Message("user", (ToolResult("c", (Text("These tools can be called now: close."),)),)),
    )
    (_, result) = read(tools=[SEARCH], input=[item, {**output, "tools": []}]).messages
    assert result.content == (ToolResult("c", (Text("Nothing was found."),)),)


def test_a_search_for_what_is_no_json_is_passed_on():
    events = [ToolCallStart(0, "c", "tool_search"), ToolCallDelta(0, "{"), Finish("length")]
    writer = FORM.writer(read(tools=[SEARCH], input="hi"), "id", 1)
    (item,) = json.loads(writer.whole(events))["output"]
    assert item["arguments"] == "{"


def test_a_picture_is_an_item():
    item = frames([MediaMade(Media("image", data="aGk=")), Finish("stop")])[-1]["response"][
        "output"
    ][0]
    assert (item["type"], item["result"]) == ("image_generation_call", "aGk=")


@pytest.mark.parametrize(
    ("member", "value", "kind"),
    [
        ("previous_response_id", "resp_1", NotFound),
        ("conversation", "conv_1", NotFound),
        ("prompt", {"id": "p"}, NotFound),
        ("background", True, InvalidRequest),
        ("top_logprobs", 2, InvalidRequest),
        ("input", 3, InvalidRequest),
        ("input", [{"role": "king", "content": ""}], InvalidRequest),
        ("input", [{"type": "computer_call"}], InvalidRequest),
        ("input", [{"type": "function_call", "call_id": "c"}], InvalidRequest),
        (
            "input",
            [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}],
            InvalidRequest,
        ),
        ("input", [{"role": "user", "content": [{"type": "hologram"}]}], InvalidRequest),
        ("tools", [{"type": "code_interpreter"}], InvalidRequest),
        ("input", [{"type": "additional_tools", "tools": 3}], InvalidRequest),
        ("input", [{"type": "tool_search_call", "call_id": None}], InvalidRequest),
        ("tool_choice", {"type": "file_search"}, InvalidRequest),
        ("text", {"format": {"type": "xml"}}, InvalidRequest),
        ("reasoning", {"effort": "heroic"}, InvalidRequest),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(
    member: str, value: object, kind: type[HubError]
):
    with pytest.raises(kind) as refused:
        read(**{member: value})
    assert refused.value.param is not None
    assert refused.value.param.startswith(member)


def test_what_is_left_out_is_named():
    request = FORM.request(
        b'{"model":"m","input":"hi","metadata":{"a":"b"},"text":{"verbosity":"low"},"odd":1,'
        b'"reasoning":{"context":"all_turns"},"tools":[{"type":"tool_search"}]}'
    )
    assert request.not_carried == (
        *("store", "metadata", "text.verbosity", "tools.tool_search"),
        *("reasoning.context", "odd"),
    )
    assert request.messages == (Message("user", (Text("hi"),)),)
