"""What Gemini's callers say, in the neutral form, and what they are answered."""

import base64
from typing import Any

import orjson
import pytest

from aigne_hub.domain.errors import InvalidRequest
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
from aigne_hub.gateway.dialects.gemini.neutral import GenerateForm
from aigne_hub.gateway.dialects.gemini.schema import DEPTH_MAX, is_exact, json_schema
from aigne_hub.gateway.dialects.gemini.writer import GenerateWriter, usage_metadata

FORM = GenerateForm("m", stream=False)
HELLO = {"role": "user", "parts": [{"text": "hi"}]}


def request(**members: Any) -> InferenceRequest:
    return FORM.request(orjson.dumps({"contents": [HELLO], **members}))


def messages(*contents: object) -> tuple[Message, ...]:
    return request(contents=list(contents)).messages


def model(*parts: object) -> dict[str, object]:
    return {"role": "model", "parts": list(parts)}


def user(*parts: object) -> dict[str, object]:
    return {"role": "user", "parts": list(parts)}


def test_both_spellings_and_objects_that_stand_alone_are_read():
    read = request(
        contents={"parts": {"inline_data": {"mime_type": "image/png", "data": "a-_="}}},
        system_instruction={"parts": {"text": "be brief"}},
        generation_config={
            "max_output_tokens": 9,
            "top_k": 40.0,
            "stop_sequences": ["x"],
            "thinking_config": {"thinking_budget": 7},
        },
    )
    assert read == InferenceRequest(
        model="m",
        messages=(
            Message("system", (Text("be brief"),)),
            Message("user", (Media("image", data="a+/=", mime_type="image/png"),)),
        ),
        max_output_tokens=9,
        top_k=40,
        stop=("x",),
        thinking=Thinking(budget_tokens=7, is_shown=False),
    )
    with pytest.raises(InvalidRequest, match="both spellings"):
        request(generationConfig={"topK": 1, "top_k": 2})


def test_an_answer_in_pieces_is_one_message():
    """Clients keep each chunk of a stream as a content of its own."""
    (said,) = messages(
        model({"text": "h", "thought": True}),
        model({"text": "m", "thought": True}),
        model({"text": "", "thought": True, "thoughtSignature": "YQ=="}),
        model({"text": "Hel"}),
        model({"text": "lo"}),
        model({"text": "", "thoughtSignature": "Yg=="}),
    )
    assert said == Message(
        "assistant",
        (
            Reasoning("hm", Seal("gemini", "YQ==")),
            Text("Hello"),
            Reasoning(seal=Seal("gemini", "Yg=="), is_redacted=True),
        ),
    )


def test_seals_of_others_are_found_in_signatures():
    foreign = Seal("anthropic", "x.y==")
    writer = GenerateWriter("m", "r", shows_thoughts=True)
    answer = orjson.loads(
        writer.whole([ReasoningDelta("hm"), ReasoningSeal(foreign), Finish("stop")])
    )
    (part,) = answer["candidates"][0]["content"]["parts"]
    # Clients decode it, and write it in the other alphabet.
    told = base64.b64decode(part["thoughtSignature"], validate=True)
    part["thoughtSignature"] = base64.urlsafe_b64encode(told).decode()
    assert messages(model(part)) == (Message("assistant", (Reasoning("hm", foreign),)),)


def test_results_without_an_id_are_those_of_the_calls_in_their_order():
    def call(**args: str) -> dict[str, Any]:
        return {"functionCall": {"name": "look", "args": args}}

    def result(response: object) -> dict[str, Any]:
        return {"functionResponse": {"name": "look", "response": response}}

    read = messages(
        model(call(city="Oslo"), call(city="Rome")),
        user({"text": "so"}, result({"output": "rain"}), result({"result": [1]})),
        model(call()),
        {"role": "function", "parts": [result({"error": "no"})]},
    )
    assert read[0].content == (
        ToolCall("call_0", "look", '{"city":"Oslo"}'),
        ToolCall("call_1", "look", '{"city":"Rome"}'),
    )
    assert read[1].content == (
        ToolResult("call_0", (Text("rain"),)),
        ToolResult("call_1", (Text('{"result":[1]}'),)),
        Text("so"),
    )
    assert read[3].content == (ToolResult("call_2", (Text("no"),), is_error=True),)
    with pytest.raises(InvalidRequest, match="answers no call"):
        messages(user(result({})))


def test_pictures_within_a_result_are_its_content():
    inline = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    read = messages(
        model({"functionCall": {"id": "a", "name": "look"}}),
        user({"functionResponse": {"id": "a", "name": "look", "parts": [inline]}}),
    )
    assert read[1].content == (
        ToolResult("a", (Media("image", data="aGk=", mime_type="image/png"),)),
    )


def test_tools_of_both_kinds():
    read = request(
        tools=[
            {
                "functionDeclarations": [
                    {
                        "name": "a",
                        "description": "x",
                        "parameters": {
                            "type": "OBJECT",
                            "properties": {"of_what": {"type": "STRING"}},
                        },
                    },
                    {"name": "b", "parametersJsonSchema": {"type": "object"}, "response": {"a": 1}},
                ]
            },
            {"google_search": {}},
        ],
        toolConfig={"functionCallingConfig": {"mode": "any", "allowedFunctionNames": ["a"]}},
    )
    assert read.tools == (
        Tool("a", "x", {"type": "object", "properties": {"of_what": {"type": "string"}}}),
        Tool("b", parameters={"type": "object"}),
    )
    assert read.hosted_tools == (HostedTool("web_search"),)
    assert read.tool_choice == ToolChoice("required", ("a",))
    assert read.not_carried == ("response",)


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({}, None),
        ({"thinkingBudget": 0}, Thinking("none", is_shown=False)),
        ({"thinkingBudget": -1}, Thinking(is_shown=False)),
        ({"thinkingLevel": "HIGH", "includeThoughts": True}, Thinking("high")),
        ({"thinkingBudget": 5, "includeThoughts": True}, Thinking(budget_tokens=5)),
    ],
)
def test_how_much_is_thought(config: dict[str, Any], wanted: Thinking | None):
    said = {"thinkingConfig": config} if config else {}
    assert request(generationConfig=said).thinking == wanted


def test_formats():
    def wanted(**config: Any) -> OutputFormat | None:
        return request(generationConfig=config).output_format

    assert wanted(responseMimeType="text/plain") is None
    assert wanted(responseMimeType="application/json") == OutputFormat()
    loose = {"type": "object", "title": "Not a name", "properties": {"a": {}}}
    assert wanted(responseJsonSchema=loose) == OutputFormat(loose)
    exact = {"title": "W", "type": "OBJECT", "properties": {"a": {}}, "required": ["a"]}
    assert wanted(responseSchema=exact) == OutputFormat(
        {
            "title": "W",
            "properties": {"a": {}},
            "required": ["a"],
            "type": "object",
            "additionalProperties": False,
        },
        "W",
        strict=True,
    )


def test_a_schema_of_googles_is_a_json_schema():
    said = json_schema(
        {
            "type": "OBJECT",
            "property_ordering": ["b", "none", "a"],
            "properties": {
                "a": {"type": "ARRAY", "min_items": "1", "items": {"type": "INTEGER"}},
                "b": {"type": "STRING", "nullable": True, "enum": ["x"], "format": "enum"},
                "min_items": {"any_of": [{"type": "NUMBER"}], "nullable": True, "example": 3},
                "d": {"ref": "#/defs/D"},
            },
            "defs": {"D": {"type": ["STRING", "NULL"]}},
        },
        "schema",
        is_closed=False,
    )
    assert list(said["properties"]) == ["b", "a", "min_items", "d"]
    assert said == {
        "type": "object",
        "properties": {
            "a": {"type": "array", "minItems": 1, "items": {"type": "integer"}},
            "b": {"type": ["string", "null"], "enum": ["x", None], "format": "enum"},
            "min_items": {"anyOf": [{"type": "number"}, {"type": "null"}], "examples": [3]},
            "d": {"$ref": "#/$defs/D"},
        },
        "$defs": {"D": {"type": ["string", "null"]}},
    }


def test_a_schema_without_an_end_is_refused():
    schema: dict[str, Any] = {"type": "STRING"}
    for _ in range(DEPTH_MAX + 1):
        schema = {"type": "ARRAY", "items": schema}
    with pytest.raises(InvalidRequest, match="too deeply"):
        json_schema(schema, "schema", is_closed=True)
    assert not is_exact({"items": schema})
    lists: list[Any] = []
    for _ in range(500):
        lists = [lists]
    assert not is_exact({"anyOf": lists})


@pytest.mark.parametrize(
    ("schema", "exact"),
    [
        ({"type": "string"}, True),
        ({"type": "object"}, False),
        ({"type": ["object", "null"]}, False),
        ({"properties": {"a": {}}, "required": ["a"]}, False),
        ({"properties": {"a": {}}, "required": ["a"], "additionalProperties": False}, True),
        ({"properties": {"a": {}}, "additionalProperties": False}, False),
        ({"type": "array", "items": {"type": "object"}}, False),
        ({"anyOf": [{"type": "object"}]}, False),
        ({"$defs": {"a": {"type": "object"}}}, False),
    ],
)
def test_what_can_be_kept_to_strictly(schema: dict[str, Any], exact: bool):
    assert is_exact(schema) is exact


@pytest.mark.parametrize(
    "body",
    [
        {"cachedContent": "cachedContents/x"},
        {"contents": [{"role": "king", "parts": []}]},
        {"contents": ["x"]},
        {"contents": [user({"fileData": {"fileUri": "gs://a/b"}})]},
        {"contents": [user({"functionCall": {"name": "a"}})]},
        {"contents": [model({"functionResponse": {"name": "a"}})]},
        {"contents": [model({"executableCode": {"code": "1"}})]},
        {"contents": [user({"inlineData": {"data": "a"}})]},
        {"systemInstruction": {"parts": [{"text": "x", "inlineData": {}}]}},
        {"tools": [{"codeExecution": {}}]},
        {"tools": [{"functionDeclarations": [{"description": "x"}]}]},
        {
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "a", "parameters": {}, "parametersJsonSchema": {}}
                    ]
                }
            ]
        },
        {"toolConfig": {"functionCallingConfig": {"mode": "SOMETIMES"}}},
        {"generationConfig": {"candidateCount": 2}},
        {"generationConfig": {"responseModalities": ["IMAGE"]}},
        {"generationConfig": {"responseMimeType": "text/x.enum"}},
        {"generationConfig": {"responseLogprobs": True}},
        {"generationConfig": {"topK": 1.5}},
        {"generationConfig": {"temperature": "hot"}},
        {"generationConfig": []},
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(body: dict[str, Any]):
    with pytest.raises(InvalidRequest) as refused:
        request(**body)
    assert refused.value.param is not None
    assert refused.value.param.startswith(next(iter(body)))


def test_what_is_left_out_is_noted():
    read = request(
        safety_settings=[{"category": "x"}],
        labels={},
        serviceTier="flex",
        generationConfig={"mediaResolution": "LOW", "candidateCount": 1, "seed": 5},
        toolConfig={"retrievalConfig": {"a": 1}},
    )
    assert set(read.not_carried) == {"safetySettings", "mediaResolution", "retrievalConfig"}
    assert (read.service_tier, read.seed) == ("flex", 5)
    assert request(serviceTier="STANDARD").service_tier == "default"
    assert request(serviceTier="unspecified").service_tier is None


# -- answers -------------------------------------------------------------------------------


def written(*events: InferenceEvent, shows: bool = True) -> dict[str, Any]:
    answer: dict[str, Any] = orjson.loads(
        GenerateWriter("m", "r", shows_thoughts=shows).whole(events)
    )
    return answer


def test_a_whole_answer():
    answer = written(
        ReasoningDelta("h"),
        ReasoningDelta("m"),
        TextDelta("Hel"),
        TextDelta("lo"),
        MediaMade(Media("image", data="aGk=", mime_type="image/png")),
        ToolCallStart(0, "a", "look", Seal("gemini", "YQ==")),
        ToolCallDelta(0, '{"x":1}'),
        Finish("tool_calls", Report(Usage(3, 5, 2, reasoning_tokens=4))),
    )
    assert answer == {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "hm", "thought": True},
                        {"text": "Hello"},
                        {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                        {
                            "functionCall": {"id": "a", "name": "look", "args": {"x": 1}},
                            "thoughtSignature": "YQ==",
                        },
                    ],
                    "role": "model",
                },
                "finishReason": "STOP",
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 5,
            "candidatesTokenCount": 1,
            "totalTokenCount": 10,
            "cachedContentTokenCount": 2,
            "thoughtsTokenCount": 4,
        },
        "modelVersion": "m",
        "responseId": "r",
    }


def test_thoughts_are_for_those_who_asked():
    answer = written(ReasoningDelta("hm"), TextDelta("so"), Finish("length"), shows=False)
    candidate = answer["candidates"][0]
    assert candidate["content"]["parts"] == [{"text": "so"}]
    assert candidate["finishReason"] == "MAX_TOKENS"
    assert written(Finish("content_filter"))["candidates"][0]["finishReason"] == "SAFETY"


@pytest.mark.parametrize("arguments", ["{", "[1]"])
def test_a_call_that_is_no_object_is_malformed(arguments: str):
    answer = written(
        ToolCallStart(0, "a", "look"), ToolCallDelta(0, arguments), Finish("tool_calls")
    )
    candidate = answer["candidates"][0]
    assert candidate["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert candidate["content"]["parts"] == []


def test_calls_whose_pieces_come_mixed_are_written_whole():
    writer = GenerateWriter("m", "r", shows_thoughts=True)
    pieces = [
        ToolCallStart(0, "a", "look"),
        ToolCallStart(1, "b", "look"),
        ToolCallDelta(1, "{"),
        ToolCallDelta(0, "{}"),
        ToolCallDelta(1, "}"),
    ]
    assert writer.feed(pieces) == b""
    frames = writer.feed([Finish("tool_calls")]).split(b"\r\n\r\n")
    first = orjson.loads(frames[0].removeprefix(b"data: "))
    calls = [part["functionCall"]["id"] for part in first["candidates"][0]["content"]["parts"]]
    assert calls == ["a", "b"]
    assert len(frames) == 3


def test_sounds_and_pictures_stand_in_the_details():
    said = usage_metadata(Usage(9, 8, audio_input_tokens=2, image_output_tokens=3))
    assert said["promptTokensDetails"] == [{"modality": "AUDIO", "tokenCount": 2}]
    assert said["candidatesTokensDetails"] == [{"modality": "IMAGE", "tokenCount": 3}]
