"""What a provider that speaks Gemini's format is asked, and what its answers are read as."""

from typing import Any

import orjson
import pytest

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
from aigne_hub.providers.languages import Outgoing, gemini
from aigne_hub.providers.profiles import GOOGLE
from aigne_hub.providers.usage import GEMINI

HELLO = Message("user", (Text("hello"),))
LOOK = {"type": "object", "properties": {"city": {"type": ["string", "null"]}}}


def sent(*messages: Message, model: str = "gemini-3-flash", **more: Any) -> Outgoing:
    return gemini.outgoing(InferenceRequest(model, messages or (HELLO,), **more), GOOGLE)


def body_of(*messages: Message, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(sent(*messages, **more).body)
    return body


def config_of(**more: Any) -> dict[str, Any]:
    config: dict[str, Any] = body_of(**more)["generationConfig"]
    return config


def parts_of(*content: Part, role: Any = "assistant", **more: Any) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = body_of(HELLO, Message(role, content), **more)["contents"][1][
        "parts"
    ]
    return parts


def test_the_operation_names_version_model_and_method():
    assert sent().operation == "v1beta/models/gemini-3-flash:generateContent"
    assert sent(stream=True).operation == "v1beta/models/gemini-3-flash:streamGenerateContent"


def test_the_plainest_request_is_its_contents():
    assert body_of() == {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


def test_what_the_system_says_stands_apart():
    system = Message("system", (Text("be brief"),))
    body = body_of(system, HELLO)
    assert body["systemInstruction"] == {"parts": [{"text": "be brief"}]}
    late = sent(HELLO, system)
    assert orjson.loads(late.body)["systemInstruction"] == {"parts": [{"text": "be brief"}]}
    assert late.not_carried == ("system_position",)
    with pytest.raises(InvalidRequest, match="message of the user"):
        sent(system)
    with pytest.raises(InvalidRequest, match="only text"):
        sent(Message("system", (Media("image", url="https://x/a.png"),)), HELLO)


@pytest.mark.parametrize(
    ("media", "said"),
    [
        (Media("image", data="aGk="), {"inlineData": {"mimeType": "image/png", "data": "aGk="}}),
        (
            Media("audio", data="aGk=", mime_type="audio/mpeg"),
            {"inlineData": {"mimeType": "audio/mpeg", "data": "aGk="}},
        ),
        (
            Media("file", url="https://x/a.PDF?q=1.png"),
            {"fileData": {"fileUri": "https://x/a.PDF?q=1.png", "mimeType": "application/pdf"}},
        ),
        (Media("image", url="https://x/a"), {"fileData": {"fileUri": "https://x/a"}}),
    ],
)
def test_media_are_inlined_or_named(media: Media, said: dict[str, Any]):
    assert parts_of(media, role="user") == [said]


def test_a_call_and_its_results_are_objects_and_name_their_function():
    call, other = ToolCall("a", "look", '{"city":"Oslo"}'), ToolCall("b", "wait", "")
    body = body_of(
        HELLO,
        Message("assistant", (call, other)),
        Message(
            "user",
            (ToolResult("a", (Text("rain"), Text("sun"))), ToolResult("b", is_error=True)),
        ),
        model="gemini-2.5-flash",
    )
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "a", "name": "look", "args": {"city": "Oslo"}}},
                {"functionCall": {"id": "b", "name": "wait", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "id": "a",
                        "name": "look",
                        "response": {"output": "rain\nsun"},
                    }
                },
                {"functionResponse": {"id": "b", "name": "wait", "response": {"error": ""}}},
            ],
        },
    ]


def test_pictures_of_a_result_stand_within_it_where_models_take_that():
    picture = Media("image", data="aGk=")
    talk = (
        HELLO,
        Message("assistant", (ToolCall("a", "look", "{}"),)),
        Message("user", (ToolResult("a", (picture,)),)),
    )
    inlined = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    newest = body_of(*talk)["contents"][2]["parts"]
    assert newest[0]["functionResponse"]["parts"] == [inlined]
    older = body_of(*talk, model="gemini-2.5-pro")["contents"][2]["parts"]
    assert "parts" not in older[0]["functionResponse"]
    assert older[1] == inlined


@pytest.mark.parametrize("arguments", ["[]", "{", '"x"'])
def test_arguments_that_are_no_object_are_refused(arguments: str):
    with pytest.raises(InvalidRequest, match="no JSON object"):
        sent(HELLO, Message("assistant", (ToolCall("a", "look", arguments),)))


def test_a_result_of_no_call_is_refused():
    with pytest.raises(InvalidRequest, match="'a'"):
        sent(Message("user", (ToolResult("a"),)))


def test_seals_go_back_on_the_parts_they_came_with():
    seal = Seal("gemini", "c2Vh")
    assert parts_of(ToolCall("a", "look", "{}", seal=seal))[0]["thoughtSignature"] == "c2Vh"
    assert parts_of(Reasoning("hm", seal), Text("so")) == [
        {"text": "hm", "thought": True, "thoughtSignature": "c2Vh"},
        {"text": "so"},
    ]
    # A seal without thoughts was the text's.
    redacted = Reasoning(seal=seal, is_redacted=True)
    assert parts_of(redacted, Text("so")) == [{"text": "so", "thoughtSignature": "c2Vh"}]
    assert parts_of(redacted) == [{"text": "", "thoughtSignature": "c2Vh"}]


def test_foreign_reasoning_is_left_out_and_named():
    thought = Reasoning("hm", Seal("anthropic", "c2Vh"))
    request = sent(HELLO, Message("assistant", (thought, Text("so"))))
    assert orjson.loads(request.body)["contents"][1]["parts"] == [{"text": "so"}]
    assert request.not_carried == ("reasoning",)


def test_calls_that_nobody_sealed_are_marked_for_models_that_want_a_seal():
    foreign = ToolCall("a", "look", "{}", seal=Seal("anthropic", "x"))
    parts = parts_of(foreign, ToolCall("b", "look", "{}"))
    assert [part.get("thoughtSignature") for part in parts] == [gemini.UNSIGNED, None]
    older = parts_of(foreign, model="gemini-2.5-flash")
    assert "thoughtSignature" not in older[0]


def test_tools_have_their_schema_as_it_is():
    tools = (Tool("look", "looks", LOOK, strict=True), Tool("wait"), Tool("patch", is_custom=True))
    request = sent(tools=tools, hosted_tools=(HostedTool("web_search"),))
    declared = orjson.loads(request.body)["tools"][0]["functionDeclarations"]
    assert declared[:2] == [
        {"name": "look", "description": "looks", "parametersJsonSchema": LOOK},
        {"name": "wait"},
    ]
    assert declared[2]["parametersJsonSchema"]["required"] == ["input"]
    assert orjson.loads(request.body)["tools"][1] == {"googleSearch": {}}
    assert request.not_carried == ("strict",)
    with pytest.raises(InvalidRequest, match="teleport"):
        sent(hosted_tools=(HostedTool("teleport"),))


@pytest.mark.parametrize(
    ("choice", "offered", "said"),
    [
        (ToolChoice("auto"), ["a", "b"], {"mode": "AUTO"}),
        (ToolChoice("none"), ["a", "b"], {"mode": "NONE"}),
        (ToolChoice("required"), ["a", "b"], {"mode": "ANY"}),
        (
            ToolChoice("required", ("a",)),
            ["a", "b"],
            {"mode": "ANY", "allowedFunctionNames": ["a"]},
        ),
        (ToolChoice("auto", ("b",)), ["b"], {"mode": "AUTO"}),
    ],
)
def test_the_choice_of_a_tool(choice: ToolChoice, offered: list[str], said: dict[str, Any]):
    body = body_of(tools=(Tool("a"), Tool("b")), tool_choice=choice)
    declared = body["tools"][0]["functionDeclarations"]
    assert [tool["name"] for tool in declared] == offered
    assert body["toolConfig"] == {"functionCallingConfig": said}


def test_what_bounds_and_colours_an_answer():
    assert config_of(
        max_output_tokens=7,
        temperature=0,
        top_p=0.5,
        top_k=3,
        presence_penalty=1,
        frequency_penalty=-1,
        seed=4,
        stop=("a", "b"),
    ) == {
        "maxOutputTokens": 7,
        "temperature": 0,
        "topP": 0.5,
        "topK": 3,
        "presencePenalty": 1,
        "frequencyPenalty": -1,
        "seed": 4,
        "stopSequences": ["a", "b"],
    }


def test_a_format_has_its_name_within_the_schema():
    assert config_of(output_format=OutputFormat()) == {"responseMimeType": "application/json"}
    said = config_of(output_format=OutputFormat(LOOK, "weather", "of a day", strict=True))
    assert said == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"title": "weather", "description": "of a day", **LOOK},
    }
    named = config_of(output_format=OutputFormat({"title": "Own"}, "weather"))
    assert named["responseJsonSchema"] == {"title": "Own"}


@pytest.mark.parametrize(
    ("model", "effort", "said", "lost"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}, False),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}, True),
        ("gemini-2.5-flash", "medium", {"thinkingBudget": 8_192}, False),
        ("gemini-2.5-flash", "max", {"thinkingBudget": 24_576}, False),
        ("gemini-3-flash", "none", {"thinkingLevel": "minimal"}, True),
        ("gemini-3-pro-preview", "minimal", {"thinkingLevel": "low"}, False),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "high"}, False),
        ("gemini-3.1-pro", "medium", {"thinkingLevel": "medium"}, False),
        ("gemini-4-argon", "xhigh", {"thinkingLevel": "high"}, False),
        ("gemini-flash-latest", "low", {"thinkingLevel": "low"}, False),
        ("gemini-2.0-flash", "low", None, True),
        ("gemma-3-27b-it", "low", None, True),
    ],
)
def test_an_effort_in_the_words_of_the_model(
    model: str, effort: Effort, said: dict[str, Any] | None, lost: bool
):
    request = sent(model=model, thinking=Thinking(effort, is_shown=False))
    config = orjson.loads(request.body).get("generationConfig", {})
    assert config.get("thinkingConfig") == said
    assert request.not_carried == (("thinking",) if lost else ())


def test_a_budget_in_tokens_and_whether_thoughts_are_shown():
    def thinking(model: str, wanted: Thinking) -> Any:
        return config_of(model=model, thinking=wanted)["thinkingConfig"]

    assert thinking("gemini-2.5-flash", Thinking(budget_tokens=99_999)) == {
        "includeThoughts": True,
        "thinkingBudget": 24_576,
    }
    assert thinking("gemini-2.5-pro", Thinking(budget_tokens=2_000, is_shown=False)) == {
        "thinkingBudget": 2_000
    }
    assert thinking("gemini-3-flash", Thinking(budget_tokens=2_000, is_shown=False)) == {
        "thinkingLevel": "low"
    }
    assert thinking("gemini-2.5-flash", Thinking()) == {"includeThoughts": True}


def test_what_has_no_place_is_named():
    request = sent(
        Message("user", (Text("a", cache="5m"), Media("image", url="u", detail="low", name="n"))),
        end_user="u",
        cache_key="k",
        service_tier="scale",
        parallel_tool_calls=False,
    )
    assert set(request.not_carried) == {
        *("end_user", "cache_key", "cache", "detail", "name", "service_tier"),
        "parallel_tool_calls",
    }
    assert body_of(service_tier="flex")["serviceTier"] == "flex"
    assert sent(service_tier="auto", parallel_tool_calls=True).not_carried == ()


# -- answers -------------------------------------------------------------------------------


def read(*chunks: object, calls_before: int = 0) -> list[InferenceEvent]:
    calls = tuple(ToolCall(str(n), "look", "{}") for n in range(calls_before))
    request = InferenceRequest("gemini-3-flash", (Message("assistant", calls),))
    reader = gemini.reader(request, GEMINI)
    frames = b"".join(b"data: %b\r\n\r\n" % orjson.dumps(chunk) for chunk in chunks)
    return [*reader.feed(frames), *reader.end(), *reader.end()]


def chunk(*parts: object, finish: str | None = None, **more: object) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], **more}


def test_thoughts_text_and_their_seals():
    events = read(
        chunk({"text": "hm", "thought": True}),
        chunk({"text": "", "thought": True, "thoughtSignature": "YQ=="}),
        chunk({"text": "Hel"}, {"text": "lo"}),
        chunk({"text": "", "thoughtSignature": "Yg=="}, finish="STOP"),
    )
    assert events[:-1] == [
        ReasoningDelta("hm"),
        ReasoningSeal(Seal("gemini", "YQ==")),
        TextDelta("Hel"),
        TextDelta("lo"),
        ReasoningSeal(Seal("gemini", "Yg=="), is_redacted=True),
    ]
    assert events[-1].reason == "stop"


def test_calls_are_whole_and_those_without_an_id_get_one_that_is_new():
    call = {"functionCall": {"name": "look", "args": {"city": "Oslo"}}}
    events = read(
        chunk({**call, "thoughtSignature": "YQ=="}),
        chunk({"functionCall": {"name": "wait", "id": "theirs"}}, finish="STOP"),
        calls_before=2,
    )
    assert events[:-1] == [
        ToolCallStart(0, "call_2", "look", Seal("gemini", "YQ==")),
        ToolCallDelta(0, '{"city":"Oslo"}'),
        ToolCallStart(1, "theirs", "wait"),
        ToolCallDelta(1, "{}"),
    ]
    assert events[-1].reason == "tool_calls"


def test_media_that_were_made():
    inline = {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}}
    file = {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x/a"}}
    assert read(chunk(inline, file))[:2] == [
        MediaMade(Media("audio", data="aGk=", mime_type="audio/wav")),
        MediaMade(Media("file", url="https://x/a", mime_type="application/pdf")),
    ]


@pytest.mark.parametrize(
    ("reason", "read_as"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("OTHER", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_why_an_answer_ended(reason: str, read_as: str):
    assert read(chunk({"text": "a"}, finish=reason))[-1].reason == read_as


def test_a_blocked_prompt_is_a_filtered_answer():
    events = read(
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    )
    assert [event.reason for event in events] == ["content_filter"]
    assert events[0].report.usage == Usage(input_tokens=4)


@pytest.mark.parametrize(
    "value",
    [
        {"error": {"code": 503, "message": "too hot"}},
        [{"error": {"code": 503, "message": "too hot"}}],
        chunk(finish="MALFORMED_FUNCTION_CALL") | {},
        [1],
        "text",
    ],
)
def test_what_is_no_answer_raises(value: object):
    with pytest.raises(UpstreamError):
        read(chunk({"text": "a"}), value)


def test_an_error_as_bare_json_within_a_stream_raises():
    reader = gemini.reader(InferenceRequest("m", ()), GEMINI)
    assert not list(reader.feed(b'data: {"candidates":[]}\n\n{"error":{"message":"too hot"}}'))
    with pytest.raises(UpstreamError, match="too hot"):
        reader.end()


def test_usage_is_the_last_and_has_what_was_searched_for_before():
    found = chunk({"text": "a"})
    found["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["x", "y"]}
    events = read(
        {**found, "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1}},
        chunk(
            {"text": "b"},
            finish="STOP",
            usageMetadata={
                "promptTokenCount": 9,
                "cachedContentTokenCount": 4,
                "candidatesTokenCount": 3,
                "thoughtsTokenCount": 5,
                "totalTokenCount": 17,
            },
        ),
    )
    end = events[-1]
    assert isinstance(end, Finish)
    assert end.report.usage == Usage(
        input_tokens=5, cache_read_tokens=4, output_tokens=8, reasoning_tokens=5, searches=2
    )


def test_a_stream_without_a_reason_has_no_end():
    assert read(chunk({"text": "a"})) == [TextDelta("a")]
    assert read(chunk({"text": "a"}), {"candidates": [{"index": 1}]}) == [TextDelta("a")]
