"""The neutral form against each wire: what goes out comes back, however it was cut."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.converse_form import ConverseForm

from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.domain.inference import (
    Finish,
    InferenceEvent,
    InferenceRequest,
    Media,
    Message,
    OutputFormat,
    ReasoningDelta,
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
    seal_of,
)
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.custom_tools import PlainInput
from aigne_hub.gateway.dialects import NeutralForm
from aigne_hub.gateway.dialects.anthropic.neutral import MessagesForm
from aigne_hub.gateway.dialects.gemini.neutral import GenerateForm
from aigne_hub.gateway.dialects.openai.neutral import ChatForm
from aigne_hub.providers.languages import Language, anthropic, converse, gemini, openai
from aigne_hub.providers.languages.efforts import effort_of
from aigne_hub.providers.profiles import (
    ANTHROPIC_LANGUAGE,
    CONVERSE_LANGUAGE,
    GEMINI_LANGUAGE,
    OPENAI,
    OPENAI_LANGUAGE,
)
from aigne_hub.providers.usage import ANTHROPIC as ANTHROPIC_USAGE
from aigne_hub.providers.usage import CONVERSE as CONVERSE_USAGE
from aigne_hub.providers.usage import GEMINI as GEMINI_USAGE
from aigne_hub.providers.usage import OPENAI as OPENAI_USAGE
from aigne_hub.providers.usage import Wire

GPT_OSS = "openai.gpt-oss-120b-1:0"
# A client's half and a provider's half of one wire, and how usage is read from it.
WIRES: dict[str, tuple[NeutralForm, Language, Wire]] = {
    OPENAI_LANGUAGE: (ChatForm(), openai, OPENAI_USAGE),
    ANTHROPIC_LANGUAGE: (MessagesForm(), anthropic, ANTHROPIC_USAGE),
    GEMINI_LANGUAGE: (GenerateForm("gemini-3-flash", stream=True), gemini, GEMINI_USAGE),
    CONVERSE_LANGUAGE: (ConverseForm(GPT_OSS), converse, CONVERSE_USAGE),
}
LOOK = {"type": "object", "properties": {"city": {"type": "string"}}}
PLAIN = InferenceRequest(
    model="gpt-5",
    messages=(
        Message("system", (Text("be brief"),)),
        Message("user", (Text("see"), Media("image", data="aGk=", mime_type="image/png"))),
        Message(
            "assistant",
            (
                Text("I look"),
                ToolCall("c1", "look", '{"city":"Oslo"}'),
                ToolCall("c2", "look", '{"city":"Rome"}'),
            ),
        ),
        Message(
            "user",
            (
                ToolResult("c1", (Text("rain"),)),
                ToolResult("c2", (Text("sun"),)),
                Text("and now?"),
            ),
        ),
    ),
    stream=True,
    max_output_tokens=700,
    temperature=0.5,
    top_p=0.25,
    stop=("END", "FIN"),
    tools=(Tool("look", "tells the weather", LOOK),),
    tool_choice=ToolChoice("required", ("look",)),
    output_format=OutputFormat(LOOK, "weather", strict=True),
    thinking=Thinking("low"),
)
# What each wire can say of it: Anthropic's models that think are not told how to sample or which
# tool to call, and a schema of theirs has no name and is closed; of Gemini's the schema has the
# name, it is strict where that is said within, and one of several calls is sealed.
CLOSED = {**LOOK, "required": ["city"], "additionalProperties": False}
PLAINS = {
    OPENAI_LANGUAGE: PLAIN,
    ANTHROPIC_LANGUAGE: replace(
        PLAIN,
        model="claude-sonnet-4-6",
        temperature=None,
        top_p=None,
        tool_choice=ToolChoice("auto"),
        output_format=OutputFormat(CLOSED, strict=True),
    ),
    GEMINI_LANGUAGE: replace(
        PLAIN,
        model="gemini-3-flash",
        messages=(
            *PLAIN.messages[:2],
            Message(
                "assistant",
                (
                    Text("I look"),
                    ToolCall("c1", "look", '{"city":"Oslo"}', seal=Seal("gemini", "c2Vh")),
                    ToolCall("c2", "look", '{"city":"Rome"}'),
                ),
            ),
            *PLAIN.messages[3:],
        ),
        output_format=OutputFormat({"title": "weather", **LOOK}, "weather"),
    ),
    CONVERSE_LANGUAGE: replace(PLAIN, model=GPT_OSS),
}
USAGE = Usage(input_tokens=5, output_tokens=9, cache_read_tokens=2, reasoning_tokens=1)
EVENTS: list[InferenceEvent] = [
    ReasoningDelta("hm"),
    TextDelta("Hel"),
    TextDelta("lo \N{SNOWMAN} \x00 \\"),
    ToolCallStart(0, "c1", "look"),
    ToolCallDelta(0, '{"a":'),
    ToolCallDelta(0, "1}"),
    ToolCallStart(1, "c2", "look"),
    ToolCallDelta(1, "{}"),
    Finish("tool_calls", Report(USAGE)),
]
# Converse does not tell how much was thought.
EVENTS_OF = dict.fromkeys(WIRES, EVENTS) | {
    CONVERSE_LANGUAGE: [
        *EVENTS[:-1],
        Finish("tool_calls", Report(USAGE._replace(reasoning_tokens=0))),
    ]
}


def folded(events: list[InferenceEvent]) -> list[InferenceEvent]:
    """Return events with neighbouring pieces of one thing put together."""
    whole: list[InferenceEvent] = []
    for event in events:
        last = whole[-1] if whole else None
        match last, event:
            case (TextDelta(a), TextDelta(b)):
                whole[-1] = TextDelta(a + b)
            case (ReasoningDelta(a), ReasoningDelta(b)):
                whole[-1] = ReasoningDelta(a + b)
            case (ToolCallDelta(i, a), ToolCallDelta(j, b)) if i == j:
                whole[-1] = ToolCallDelta(i, a + b)
            case _:
                whole.append(event)
    return whole


@pytest.mark.parametrize("name", WIRES)
def test_a_request_comes_back_as_it_went_out(name: str):
    form, language, _ = WIRES[name]
    sent = language.outgoing(PLAINS[name], OPENAI)
    assert form.request(sent.body) == PLAINS[name]
    assert sent.not_carried == ()


@pytest.mark.parametrize("name", WIRES)
@given(cuts=st.lists(st.integers(1, 60), min_size=1, max_size=60))
def test_a_stream_comes_back_however_it_is_cut(name: str, cuts: list[int]):
    form, language, wire = WIRES[name]
    writer = form.writer(PLAIN, "id", 1)
    data = b"".join(writer.feed([event]) for event in EVENTS_OF[name])
    reader = language.reader(PLAIN, wire)
    read: list[InferenceEvent] = []
    at = number = 0
    while at < len(data):
        size = cuts[number % len(cuts)]
        read += reader.feed(data[at : at + size])
        at, number = at + size, number + 1
    assert folded(read + reader.end()) == folded(EVENTS_OF[name])


@pytest.mark.parametrize("name", WIRES)
def test_a_whole_answer_comes_back(name: str):
    form, language, wire = WIRES[name]
    whole = form.writer(PLAIN, "id", 1).whole(EVENTS_OF[name])
    assert folded(language.reader(PLAIN, wire).whole(whole)) == folded(EVENTS_OF[name])


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'"x"', b'{"error":{"message":"no"}}'])
def test_what_is_no_answer_is_an_error_of_the_upstream(name: str, body: bytes):
    _, language, wire = WIRES[name]
    with pytest.raises(UpstreamError):
        language.reader(PLAIN, wire).whole(body)


@pytest.mark.parametrize("name", WIRES)
def test_a_stream_that_breaks_off_has_no_end(name: str):
    form, language, wire = WIRES[name]
    reader = language.reader(PLAIN, wire)
    cut = form.writer(PLAIN, "id", 1).feed(EVENTS[:4])
    read = [*reader.feed(cut), *reader.end()]
    assert not any(isinstance(event, Finish) for event in read)


def test_a_seal_is_marked_in_foreign_formats_only():
    seal = Seal("gemini", "a.b==")
    assert seal.text_in("gemini") == "a.b=="
    assert seal_of("a.b==", "gemini") == seal
    assert seal_of(seal.text_in("anthropic"), "anthropic") == seal


# -- OpenAI's ------------------------------------------------------------------------------


def read_openai(*chunks: object, end: bool = True) -> list[InferenceEvent]:
    reader = openai.reader(PLAIN, OPENAI_USAGE)
    frames = b"".join(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks)
    read = list(reader.feed(frames))
    return read + reader.end() if end else read


def piece(**delta: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta}]}


def call_piece(call_id: str | None, arguments: str, **more: object) -> dict[str, object]:
    function = {"arguments": arguments} | ({"name": "look"} if call_id else {})
    given = {"id": call_id} if call_id else {}
    return piece(tool_calls=[{**given, "function": function, **more}])


FINISHED = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def test_parallel_calls_that_share_an_index_are_told_apart_by_id():
    read = read_openai(call_piece("a", "{}", index=0), call_piece("b", '{"x":', index=0), FINISHED)
    assert read[:4] == [
        ToolCallStart(0, "a", "look"),
        ToolCallDelta(0, "{}"),
        ToolCallStart(1, "b", "look"),
        ToolCallDelta(1, '{"x":'),
    ]
    assert read[-1].reason == "tool_calls"


def test_pieces_without_index_or_id_belong_to_the_call_begun():
    read = read_openai(call_piece("a", ""), call_piece(None, "{"), call_piece(None, "}"))
    assert folded(read)[1:] == [ToolCallDelta(0, "{}")]


def test_an_error_in_a_stream_is_raised():
    with pytest.raises(UpstreamError, match="too hot"):
        read_openai({"error": {"message": "too hot"}})
    with pytest.raises(UpstreamError):
        read_openai({"choices": [{"delta": {}, "finish_reason": "error"}]})


def test_thoughts_in_a_list_are_thoughts():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    read = read_openai(piece(content=[thinking, {"type": "text", "text": "so"}]))
    assert read == [ReasoningDelta("hm"), TextDelta("so")]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("messages", "text"),
        ("messages", ["text"]),
        ("messages", [{"content": "no role"}]),
        ("messages", [{"role": "king", "content": "x"}]),
        ("messages", [{"role": "user", "content": [{"type": "hologram"}]}]),
        ("messages", [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]),
        ("messages", [{"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}]),
        ("tools", [{"type": "mcp"}]),
        ("response_format", {"type": "xml"}),
        ("n", 2),
        ("logprobs", True),
        ("modalities", ["text", "audio"]),
        ("temperature", "hot"),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(member: str, value: object):
    body = {"model": "m", "messages": [], member: value}
    with pytest.raises(InvalidRequest) as refused:
        ChatForm().request(orjson.dumps(body))
    assert refused.value.param is not None
    assert refused.value.param.startswith(member)


def test_members_without_a_neutral_name_are_noted():
    request = ChatForm().request(b'{"model":"m","messages":[],"store":true,"n":1}')
    assert request.not_carried == ("store",)


def test_a_budget_is_told_in_words():
    words = [effort_of(Thinking(budget_tokens=n)) for n in (1_024, 16_384, 16_385)]
    assert words == ["low", "medium", "high"]
    assert effort_of(Thinking()) is None


def test_a_custom_tools_input_is_unwrapped_once_it_is_whole():
    request = InferenceRequest("m", (), tools=(Tool("patch", is_custom=True), Tool("look")))
    plain = PlainInput(request)
    events: list[InferenceEvent] = [
        ToolCallStart(0, "a", "patch"),
        ToolCallDelta(0, '{"input":"a\\n'),
        ToolCallDelta(0, 'b"}'),
        ToolCallStart(1, "b", "look"),
        ToolCallDelta(1, "{}"),
        Finish("tool_calls"),
    ]
    read = [seen for event in events for seen in plain.read(event)]
    assert read == [events[0], ToolCallDelta(0, "a\nb"), *events[3:]]
