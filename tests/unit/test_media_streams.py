"""Streams of speech, transcripts and pictures: byte for byte, however the network cuts them."""

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.event_meter import EventMeter
from aigne_hub.gateway.dialects.openai.images import OpenAIImages
from aigne_hub.gateway.dialects.openai.speech import OpenAISpeech
from aigne_hub.gateway.dialects.openai.transcriptions import OpenAITranscriptions
from aigne_hub.gateway.dialects.openai.videos import OpenAIVideos
from aigne_hub.providers.usage import OPENAI

TYPE = (b"multipart/form-data; boundary=xYz",)
FORM = (
    b'--xYz\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
    b'--xYz\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
    b'--xYz\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
    + b"s" * 8_000
    + b"\r\n--xYz--\r\n"
)
HEARING, SPEECH, IMAGES = OpenAITranscriptions(TYPE), OpenAISpeech(), OpenAIImages()
HEARD = HEARING.ask(FORM)
SPOKEN = SPEECH.ask(b'{"model":"m","input":"hello","stream_format":"sse"}')
TOKENS = {"input_tokens": 14, "output_tokens": 45, "total_tokens": 59}


def pictured(count: int = 1) -> Any:
    body = {"model": "m", "prompt": "a", "n": count, "stream": True, "partial_images": 1}
    return IMAGES.ask(json.dumps(body).encode())


def frame(event: dict[str, Any], *, named: bool = True) -> bytes:
    name = f"event: {event['type']}\n" if named else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


DELTAS = [{"type": "transcript.text.delta", "delta": word} for word in ("I ", "sée ", '"x"')]
DONE = {"type": "transcript.text.done", "text": 'I sée "x"', "usage": {"type": "tokens", **TOKENS}}
STREAM = b": hello\n\n" + b"".join(map(frame, DELTAS))


def fed(meter: EventMeter, data: bytes, cuts: list[int]) -> bytes:
    out, at = b"", 0
    for cut in [*sorted(cuts), len(data)]:
        out += meter.feed(data[at:cut])
        at = cut
    meter.end()
    return out


@given(st.lists(st.integers(0, len(STREAM) + 200), max_size=12), st.booleans(), st.booleans())
def test_a_transcript_passes_byte_for_byte_however_it_is_cut(cuts, named, terminated):
    end = frame(DONE, named=named) + (b"data: [DONE]\n\n" if terminated else b"")
    meter = HEARING.meter(HEARD, OPENAI)
    assert fed(meter, STREAM + end, cuts) == STREAM
    assert (meter.complete, meter.plain, meter.failure) == (True, False, None)
    assert meter.delivered_bytes == len('I sée "x"'.encode())
    last = meter.last("0.25", Usage())
    changed = {**DONE, "usage": {**DONE["usage"], "credits": "0.25"}}
    name = b"event: transcript.text.done\n" if named else b""
    rest = last.removeprefix(name + b"data: ")
    assert json.loads(rest.partition(b"\n")[0]) == changed
    assert rest.partition(b"\n\n")[2] == (b"data: [DONE]\n\n" if terminated else b"")
    # What was reported, and the length of what was heard for a price by the second.
    assert meter.usage == Usage(input_tokens=14, output_tokens=45, duration_ms=1_000)


def test_a_stream_without_its_end_is_not_complete():
    meter = HEARING.meter(HEARD, OPENAI)
    fed(meter, STREAM, [])
    assert (meter.complete, meter.usage) == (False, None)
    meter = HEARING.meter(HEARD, OPENAI)
    fed(meter, STREAM + b"data: [DONE]\n\n", [])
    assert (meter.complete, meter.failure is not None) == (False, True)


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error":{"message":"no more"}}\n\n',
        b'event: error\ndata: {"type":"error","message":"no more"}\n\n',
    ],
)
def test_an_error_among_events_is_a_failure_and_does_not_leave(event):
    meter = HEARING.meter(HEARD, OPENAI)
    assert fed(meter, STREAM + event + frame(DONE), []) == STREAM
    assert meter.failure is not None
    assert not meter.complete


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (b'{"text":"hi","usage":{"type":"duration","seconds":9}}', Usage(duration_ms=9_000)),
        (b'{"text":"hi"}', None),
        (b'{"text":"hi","duration":2.5}', Usage(duration_ms=2_500)),
    ],
)
def test_an_answer_without_events_is_taken_whole(body, usage):
    meter = HEARING.meter(HEARD, OPENAI)
    assert fed(meter, body, [3, 9]) == b""
    assert (meter.complete, meter.plain, meter.usage) == (True, True, usage)
    assert meter.last("1", Usage()) == body


@pytest.mark.parametrize("body", [b'{"error":{"message":"no"}}', b"<html>", b"data"])
def test_an_answer_that_is_neither_is_a_failure(body):
    meter = HEARING.meter(HEARD, OPENAI)
    fed(meter, body, [])
    assert meter.failure is not None
    assert not meter.complete


def test_an_end_without_usage_gets_what_was_counted():
    meter = SPEECH.meter(SPOKEN, OPENAI)
    fed(meter, frame({"type": "speech.audio.done"}), [])
    shown = json.loads(meter.last("2", Usage(input_tokens=3, output_tokens=4))[30:])
    assert meter.usage is None
    assert shown["usage"] == {
        "input_tokens": 3,
        "output_tokens": 4,
        "total_tokens": 7,
        "credits": "2",
    }


def test_speech_is_reported_with_its_characters():
    meter = SPEECH.meter(SPOKEN, OPENAI)
    fed(meter, frame({"type": "speech.audio.done", "usage": TOKENS}), [])
    assert meter.usage == Usage(
        input_tokens=14, output_tokens=45, audio_output_tokens=45, characters=5
    )


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_are_counted_as_they_are_completed(count: int):
    partial = {"type": "image_generation.partial_image", "b64_json": "aGk="}
    whole = {"type": "image_generation.completed", "size": "1024x1024", "quality": "low"}
    pieces = [frame(partial), frame({**whole, "usage": TOKENS})] * count
    meter = IMAGES.meter(pictured(count), OPENAI)
    assert fed(meter, b"".join(pieces), []) == b"".join(pieces[:-1])
    assert meter.usage == Usage(
        input_tokens=14,
        output_tokens=45,
        image_output_tokens=45,
        images=count,
        image_kind="1024x1024/low",
    )
    assert (meter.complete, meter.delivered_bytes) == (True, count - 1)


def test_what_is_held_for_a_recording_covers_what_it_can_be_charged():
    card = RateCard.of("r", {"second": 7_000, "input": 3_000_000, "output": 5_000_000})
    rolls = random.Random(7)
    for _ in range(50):
        content = rolls.randbytes(rolls.randrange(4_000))
        ask = HEARING.ask(FORM.replace(b"s" * 8_000, content))
        held = HEARING.quote(ask, card, input_tokens=0, output_max=0).amount(0)
        assert card.cost(HEARING.counted(ask, ask.size.text_bytes // 4, 40)) <= held


def test_what_is_held_for_speech_is_its_characters():
    card = RateCard.of("r", {"characters": 15_000_000})
    for stream in (b"", b',"stream_format":"sse"'):
        ask = SPEECH.ask(b'{"model":"m","input":"\xc3\xa9\xc3\xa9"%b}' % stream)
        quote = SPEECH.quote(ask, card, input_tokens=9, output_max=9)
        assert quote.amount(quote.tokens_wanted) == 30
        assert card.cost(SPEECH.counted(ask, 1, 0)) == 30


@pytest.mark.parametrize(
    ("told", "seconds"), [("8", 8), (8, 8), (None, 4), ("", 4), ("x", 4), (0, 4), (1.5, 4)]
)
def test_a_video_is_charged_by_the_seconds_its_job_names_else_those_asked_for(told, seconds):
    videos = OpenAIVideos()
    ask = videos.ask(b'{"prompt":"a","seconds":"4"}')
    body = json.dumps({"id": "video_1", "status": "queued", "seconds": told, "error": None})
    usage = videos.usage(ask, body.encode(), OPENAI).usage or videos.counted(ask, 0, 1)
    assert usage.duration_ms == seconds * 1_000
    assert ask.made == ("video", "video_1")
    assert videos.counted(ask, 3, 0) == Usage(input_tokens=3)


def test_seconds_given_twice_are_not_held_for_as_one_and_sent_as_the_other():
    videos = OpenAIVideos()
    ask = videos.ask(b'{"model":"m","prompt":"a","seconds":"4","seconds":"12"}')
    assert ask.seconds == 12
    assert videos.outgoing(ask, "m").count(b'"seconds"') == 1
