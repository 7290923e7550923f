"""Answers that no upstream should give: an error of the upstream's, or an answer; never a fault."""

import base64
import struct
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bodies import SCHEMA
from tests.hostile import ANY_JSON, Path, dumped, put, spoilt, spoilt_often
from tests.replies import (
    CHAT,
    CHAT_EVENTS,
    COMPLETION,
    COMPLETION_EVENTS,
    GENERATED,
    GENERATED_EVENTS,
    IMAGE_EVENTS,
    IMAGES,
    MESSAGE,
    MESSAGE_EVENTS,
    RESPONSE,
    RESPONSE_EVENTS,
    SPEECH_EVENTS,
    TRANSCRIPT,
    TRANSCRIPT_EVENTS,
    VECTORS,
)

from aigne_hub.domain.errors import HubError, UpstreamError
from aigne_hub.domain.inference import (
    Finish,
    InferenceEvent,
    InferenceRequest,
    Message,
    Text,
    Thinking,
    Tool,
)
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.custom_tools import PlainInput
from aigne_hub.gateway.dialects import Ask, Dialect, NeutralForm, StreamMeter
from aigne_hub.gateway.dialects.aigne.chat import EnvelopeForm
from aigne_hub.gateway.dialects.aigne.flat import FlatForm
from aigne_hub.gateway.dialects.anthropic.messages import AnthropicMessages
from aigne_hub.gateway.dialects.anthropic.neutral import MessagesForm
from aigne_hub.gateway.dialects.gemini.called import Called
from aigne_hub.gateway.dialects.gemini.embedding_form import GeminiEmbeddingForm
from aigne_hub.gateway.dialects.gemini.generate import GeminiGenerate
from aigne_hub.gateway.dialects.gemini.neutral import GenerateForm
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat, OpenAICompletions
from aigne_hub.gateway.dialects.openai.embedding_form import OpenAIEmbeddingForm
from aigne_hub.gateway.dialects.openai.images import OpenAIImages
from aigne_hub.gateway.dialects.openai.neutral import ChatForm
from aigne_hub.gateway.dialects.openai.speech import OpenAISpeech
from aigne_hub.gateway.dialects.openai.transcriptions import OpenAITranscriptions
from aigne_hub.gateway.dialects.responses.create import OpenAIResponses
from aigne_hub.gateway.dialects.responses.neutral import ResponsesForm
from aigne_hub.providers.frames import FRAME_BYTES_MAX
from aigne_hub.providers.languages import (
    EmbeddingLanguage,
    Language,
    anthropic,
    gemini,
    gemini_embeddings,
    openai,
    openai_embeddings,
)
from aigne_hub.providers.usage import ANTHROPIC, GEMINI, OPENAI, Wire

Json = dict[str, Any]
REQUEST = InferenceRequest(
    "m",
    (Message("user", (Text("hi"),)),),
    tools=(Tool("look", parameters=SCHEMA), Tool("see", is_custom=True)),
    thinking=Thinking("low"),
)
FORMS: tuple[NeutralForm, ...] = (
    ChatForm(),
    ResponsesForm(),
    MessagesForm(),
    GenerateForm("m", stream=True),
    EnvelopeForm(),
    FlatForm(),
)
# What reads a wire for callers of others, how its usage is read, and good answers.
WIRES: dict[str, tuple[Language, Wire, Json, list[Json]]] = {
    "openai": (openai, OPENAI, CHAT, CHAT_EVENTS),
    "anthropic": (anthropic, ANTHROPIC, MESSAGE, MESSAGE_EVENTS),
    "gemini": (gemini, GEMINI, GENERATED, GENERATED_EVENTS),
}
every = pytest.mark.parametrize("name", WIRES)


def frames(events: Any) -> bytes:
    listed = events if isinstance(events, list) else [events]
    return b"".join(b"data: %b\n\n" % dumped(event) for event in listed)


def written(events: list[InferenceEvent], seen: set[str]) -> None:
    """Write an answer for callers of every format, whole and in pieces; each only once."""
    if repr(events) in seen:
        return
    seen.add(repr(events))
    for form in FORMS:
        form.writer(REQUEST, "id", 1).whole(events)
        writer = form.writer(REQUEST, "id", 1)
        for event in events:
            writer.feed([event])


def unwrapped(events: Iterable[InferenceEvent]) -> list[InferenceEvent]:
    plain = PlainInput(REQUEST)
    return [seen for event in events for seen in plain.read(event)]


def told_whole(name: str, body: bytes, seen: set[str]) -> bool:
    """Translate a whole answer; return whether it was one."""
    language, wire, *_ = WIRES[name]
    try:
        events = unwrapped(language.reader(REQUEST, wire).whole(body))
        written(events, seen)
    except UpstreamError:
        return False
    assert isinstance(events[-1], Finish)
    assert sum(isinstance(event, Finish) for event in events) == 1
    return True


def told(name: str, *pieces: bytes, seen: set[str]) -> bool:
    """Translate a stream; return whether it was an answer."""
    language, wire, *_ = WIRES[name]
    reader = language.reader(REQUEST, wire)
    events: list[InferenceEvent] = []
    try:
        for piece in pieces:
            events += reader.feed(piece)
        events += reader.end()
        written(unwrapped(events), seen)
    except UpstreamError:
        return False
    assert sum(isinstance(event, Finish) for event in events) <= 1
    return bool(events) and isinstance(events[-1], Finish)


def faults(bodies: Iterable[tuple[str, Any]], read: Callable[[Any], object]) -> list[str]:
    """Return what no answer may do: raise anything else than an error of the upstream's."""
    found = []
    for done, body in bodies:
        try:
            read(body)
        except Exception as error:  # noqa: BLE001 - all of them are told at once
            found.append(f"{done}: {error!r}"[:300])
    return found


@every
def test_a_good_answer_is_told_in_every_format(name: str):
    _, _, whole, events = WIRES[name]
    assert told_whole(name, dumped(whole), set())
    assert told(name, frames(events), seen=set())


@every
def test_a_whole_answer_with_any_member_spoilt_is_told_or_an_error(name: str):
    seen: set[str] = set()
    assert faults(spoilt(WIRES[name][2]), lambda body: told_whole(name, dumped(body), seen)) == []


@every
def test_events_with_any_member_spoilt_are_told_or_an_error(name: str):
    seen: set[str] = set()
    assert faults(spoilt(WIRES[name][3]), lambda one: told(name, frames(one), seen=seen)) == []


@every
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_answers_with_several_members_spoilt_are_told_or_an_error(name: str, data: st.DataObject):
    told_whole(name, dumped(data.draw(spoilt_often(WIRES[name][2]) | ANY_JSON)), set())
    told(name, frames(data.draw(spoilt_often(WIRES[name][3]) | ANY_JSON)), seen=set())


@every
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_bytes_of_any_kind_are_an_error(name: str, data: st.DataObject):
    stream = frames(WIRES[name][3])
    at, on = sorted(data.draw(st.tuples(*[st.integers(0, len(stream))] * 2)))
    more = data.draw(st.binary(max_size=8))
    pieces = (stream[:at], more, stream[on:])
    told(name, *pieces, seen=set())
    told_whole(name, b"".join(pieces), set())
    told_whole(name, more, set())


@every
def test_a_line_without_end_is_given_up(name: str):
    language, wire, *_ = WIRES[name]
    reader = language.reader(REQUEST, wire)
    piece = b"data: " + b"x" * 1_048_576
    for _ in range(FRAME_BYTES_MAX // len(piece)):
        assert list(reader.feed(piece)) == []
    with pytest.raises(UpstreamError, match="never ends"):
        list(reader.feed(2 * piece))


@every
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_every_end_of_a_line_is_understood(name: str, end: str):
    data = frames(WIRES[name][3]).replace(b"\n", end.encode())
    assert told(name, *(data[at : at + 1] for at in range(len(data))), seen=set())


def report(name: str, value: Any) -> Report:
    """Return what is believed of a whole answer's usage."""
    language, wire, *_ = WIRES[name]
    finish = language.reader(REQUEST, wire).whole(dumped(value))[-1]
    assert isinstance(finish, Finish)
    return finish.report


USED: dict[str, Path] = {
    "openai": ("usage", "completion_tokens"),
    "anthropic": ("usage", "output_tokens"),
    "gemini": ("usageMetadata", "candidatesTokenCount"),
}


@every
def test_negative_usage_is_not_believed(name: str):
    good = report(name, WIRES[name][2])
    assert good.usage is not None
    spoiled = report(name, put(WIRES[name][2], USED[name], -5))
    assert spoiled.usage is None
    assert "negative" in str(spoiled.refused)


@every
def test_usage_told_twice_is_counted_once(name: str):
    language, wire, whole, events = WIRES[name]
    last = [event for event in events if USED[name][0] in event][-1]
    at = events.index(last)
    reader = language.reader(REQUEST, wire)
    read = [*reader.feed(frames([*events[:at], last, *events[at:]])), *reader.end()]
    ends = [event for event in read if isinstance(event, Finish)]
    assert [end.report.usage for end in ends] == [report(name, whole).usage]


def test_the_input_of_a_tool_that_breaks_off_is_told_as_it_is_or_an_error():
    cut = '{"city":"Os'
    at = ("choices", 0, "message", "tool_calls", 0, "function", "arguments")
    events = openai.reader(REQUEST, OPENAI).whole(dumped(put(CHAT, at, cut)))
    for form in FORMS:
        try:
            said = form.writer(REQUEST, "id", 1).whole(events)
        except UpstreamError:
            continue
        assert dumped(cut)[1:-1] in said or b"MALFORMED" in said, said


# -- vectors -------------------------------------------------------------------------------

PACKED = base64.b64encode(struct.pack("<2f", 0.5, 1)).decode()
EMBEDDED = {"embeddings": [{"values": [0.5, 1]}], "usageMetadata": {"promptTokenCount": 9}}
VECTORS_OF: dict[str, tuple[EmbeddingLanguage, Wire, Json, Path]] = {
    "openai": (openai_embeddings, OPENAI, VECTORS, ("data", 0, "embedding")),
    "gemini": (gemini_embeddings, GEMINI, EMBEDDED, ("embeddings", 0, "values")),
}
EMBED = OpenAIEmbeddingForm()
EMBED_BODIES = [
    b'{"model":"m","input":["a"],"encoding_format":"%b"}' % form for form in (b"float", b"base64")
]


def embedded(name: str, value: Any) -> bool:
    """Translate an answer of vectors for each kind of caller; return whether it was one."""
    language, wire, *_ = VECTORS_OF[name]
    request = EMBED.texts(EMBED_BODIES[0])
    try:
        answer = language.answer(request, dumped(value), wire)
        said = [EMBED.vectors(body, request, answer) for body in EMBED_BODIES]
    except UpstreamError:
        return False
    for is_batch in (True, False):
        form = GeminiEmbeddingForm("m", is_batch=is_batch)
        said.append(form.vectors(b"", request, answer))
    assert all(b"null" not in one for one in said)
    return True


@pytest.mark.parametrize("name", VECTORS_OF)
def test_vectors_with_any_member_spoilt_are_told_or_an_error(name: str):
    *_, good, at = VECTORS_OF[name]
    assert embedded(name, good)
    assert faults(spoilt(good), lambda value: embedded(name, value)) == []
    for vector in ([1e300], [True], [None], [], "\u00e9", "aGk="):
        assert not embedded(name, put(good, at, vector))


def test_packed_vectors_have_numbers_alone():
    assert embedded("openai", put(VECTORS, ("data", 0, "embedding"), PACKED))
    none = base64.b64encode(struct.pack("<2f", float("nan"), 1)).decode()
    assert not embedded("openai", put(VECTORS, ("data", 0, "embedding"), none))


# -- relayed -------------------------------------------------------------------------------

_CALLED = Called("v1beta", "m", "streamGenerateContent", streams=True)
_SPEECH, _IMAGES = OpenAISpeech(), OpenAIImages()
_HEARING = OpenAITranscriptions((b"multipart/form-data; boundary=xYz",))
_FORM = (
    b'--xYz\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
    b'--xYz\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
    b'--xYz\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
    + b"s" * 8_000
    + b"\r\n--xYz--\r\n"
)


class Relay(NamedTuple):
    """A dialect, what was asked in it, and good answers of each kind that it has."""

    dialect: Dialect
    wire: Wire
    ask: Ask
    whole: Json  # none of sound
    events: list[Json]


_ASK = Ask(b"", "m", stream=True, shows_usage=True, stores=True)
_DRAW = _IMAGES.ask(b'{"model":"m","prompt":"a","stream":true,"partial_images":1}')
_SPEAK = _SPEECH.ask(b'{"model":"m","input":"hello","stream_format":"sse"}')
_GENERATE, _LIST = GeminiGenerate(_CALLED), GeminiGenerate(_CALLED._replace(streams=False))
RELAYED = {
    "openai": Relay(OpenAIChat(), OPENAI, _ASK, CHAT, CHAT_EVENTS),
    "completions": Relay(OpenAICompletions(), OPENAI, _ASK, COMPLETION, COMPLETION_EVENTS),
    "responses": Relay(OpenAIResponses(), OPENAI, _ASK, RESPONSE, RESPONSE_EVENTS),
    "anthropic": Relay(AnthropicMessages(), ANTHROPIC, _ASK, MESSAGE, MESSAGE_EVENTS),
    "gemini": Relay(_GENERATE, GEMINI, _ASK, GENERATED, GENERATED_EVENTS),
    "gemini-list": Relay(_LIST, GEMINI, _ASK, GENERATED, GENERATED_EVENTS),
    "images": Relay(_IMAGES, OPENAI, _DRAW, IMAGES, IMAGE_EVENTS),
    "speech": Relay(_SPEECH, OPENAI, _SPEAK, {}, SPEECH_EVENTS),
    "transcripts": Relay(_HEARING, OPENAI, _HEARING.ask(_FORM), TRANSCRIPT, TRANSCRIPT_EVENTS),
}
relayed = pytest.mark.parametrize("name", RELAYED)


def metered(name: str, *pieces: bytes) -> StreamMeter:
    relay = RELAYED[name]
    meter = relay.dialect.meter(copy(relay.ask), relay.wire)
    for piece in pieces:
        relay.dialect.output_of(meter.feed(piece))
        assert meter.delivered_bytes >= 0
    meter.end()
    assert meter.usage is None or meter.usage.total_tokens >= 0
    if meter.complete and meter.failure is None:
        meter.last("0.5", Usage(input_tokens=1, output_tokens=1))
    return meter


def charged(name: str, body: bytes) -> bool:
    """Read a whole answer as it is relayed; return whether it was one."""
    relay = RELAYED[name]
    try:
        report = relay.dialect.usage(copy(relay.ask), body, relay.wire)
    except HubError:
        return False
    assert report.usage is None or report.usage.total_tokens >= 0
    assert relay.dialect.output_of(body) >= 0
    return True


@relayed
def test_a_good_answer_is_metered(name: str):
    relay = RELAYED[name]
    meter = metered(name, frames(relay.events))
    assert meter.complete
    assert meter.usage is not None
    assert charged(name, dumped(relay.whole)) is bool(relay.whole)


@relayed
def test_answers_with_any_member_spoilt_are_metered(name: str):
    relay = RELAYED[name]
    assert faults(spoilt(relay.whole), lambda body: charged(name, dumped(body))) == []
    assert faults(spoilt(relay.events), lambda events: metered(name, frames(events))) == []


@relayed
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_bytes_of_any_kind_are_metered(name: str, data: st.DataObject):
    relay = RELAYED[name]
    stream = frames(relay.events)
    at, on = sorted(data.draw(st.tuples(*[st.integers(0, len(stream))] * 2)))
    pieces = (stream[:at], data.draw(st.binary(max_size=8)), stream[on:])
    metered(name, *pieces)
    charged(name, b"".join(pieces))
    metered(name, frames(data.draw(spoilt_often(relay.events) | ANY_JSON)))


@relayed
@pytest.mark.parametrize("number", range(3))
def test_a_last_event_that_only_one_decoder_reads_leaves_as_it_is(name: str, number: int):
    """One decoder does not look into what it skips, where another finds no UTF-8."""
    events = RELAYED[name].events
    for at in range(len(events)):
        spoiled = frames(events[: at + 1])[:-3] + b',"x":"\xff"}\n\n' + frames(events[at + 1 :])
        metered(name, spoiled, *(number * (b"data: x\n\n",)))
