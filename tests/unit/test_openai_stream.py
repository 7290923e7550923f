"""The stream meter: any chunking of the same bytes gives the same bytes and the same count."""

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects.openai.stream import OpenAIStreamMeter, text_bytes
from aigne_hub.providers.frames import FORMS_MAX, Form
from aigne_hub.providers.usage import OPENAI


def frame(**value) -> bytes:
    return b"data: " + json.dumps({"object": "chat.completion.chunk", **value}).encode() + b"\n\n"


def content(text: str, finish: str | None = None, **more) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return frame(choices=[choice], **more)


USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
DONE = b"data: [DONE]\n\n"
CONTENT = re.compile(rb'"content":"([^"\\]*)"')
PLAIN = [content("Hello"), content(", wörld\n"), content("", "stop")]
WHOLE = b"".join([*PLAIN, frame(choices=[], usage=USAGE), DONE])


def run(pieces: list[bytes], *, shows_usage: bool = False) -> tuple[bytes, OpenAIStreamMeter]:
    meter = OpenAIStreamMeter(OPENAI, shows_usage=shows_usage)
    out = b"".join(meter.feed(piece) for piece in pieces)
    meter.end()
    return out, meter


@given(st.lists(st.integers(1, len(WHOLE) - 1), max_size=12), st.booleans())
def test_chunking_changes_nothing(cuts: list[int], shows_usage: bool):
    points = [0, *sorted(set(cuts)), len(WHOLE)]
    pieces = [WHOLE[a:b] for a, b in itertools.pairwise(points)]
    out, meter = run(pieces, shows_usage=shows_usage)
    assert out == b"".join(PLAIN)
    assert meter.complete
    assert meter.failure is None
    assert meter.usage == Usage(input_tokens=7, output_tokens=3)
    assert meter.delivered_bytes == len("Hello, wörld\n".encode())


def test_the_usage_chunk_is_dropped_for_a_caller_who_did_not_ask():
    out, meter = run([WHOLE])
    assert meter.last("0.5", Usage()) == DONE
    assert b"usage" not in out


def test_the_usage_chunk_carries_credits_for_a_caller_who_asked():
    _, meter = run([WHOLE], shows_usage=True)
    event, done = meter.last("0.5", Usage()).split(b"\n\n")[:2]
    assert json.loads(event[6:])["usage"] == {**USAGE, "credits": "0.5"}
    assert done == b"data: [DONE]"


def test_counted_usage_is_shown_when_the_upstream_sent_none():
    _, meter = run([*PLAIN, DONE], shows_usage=True)
    event = meter.last("1", Usage(input_tokens=4, output_tokens=2)).split(b"\n\n")[0]
    assert json.loads(event[6:])["usage"] == {
        "prompt_tokens": 4,
        "completion_tokens": 2,
        "total_tokens": 6,
        "credits": "1",
    }


def test_usage_on_the_last_content_chunk_is_held_back_with_it():
    last = content("!", "stop", usage=USAGE)
    out, meter = run([content("Hi"), last, DONE])
    assert out == content("Hi")
    assert meter.usage == Usage(input_tokens=7, output_tokens=3)
    assert meter.last("0", Usage()) == last + DONE


def test_null_usage_in_every_chunk_is_mere_content():
    out, meter = run([content("a", usage=None), content("b", "stop", usage=None), DONE])
    assert out == content("a", usage=None) + content("b", "stop", usage=None)
    assert meter.usage is None
    assert meter.complete


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_ending_is_understood(end: str):
    mixed = WHOLE.replace(b"\n", end.encode())
    _, meter = run([mixed])
    assert meter.complete
    assert meter.usage == Usage(input_tokens=7, output_tokens=3)


def test_comments_pass_and_count_nothing():
    out, meter = run([b": keep-alive\n\n", content("x", "stop"), DONE])
    assert out == b": keep-alive\n\n" + content("x", "stop")
    assert meter.delivered_bytes == 1


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error":{"message":"overloaded"}}\n\n',
        b'event: error\ndata: {"error":{"message":"overloaded"}}\n\n',
    ],
)
def test_an_error_event_is_a_failure_and_does_not_pass(event: bytes):
    out, meter = run([content("a"), event])
    assert out == content("a")
    assert isinstance(meter.failure, UpstreamError)
    assert "overloaded" in meter.failure.message
    assert not meter.complete


OPENROUTER = {"code": 502, "message": "Provider disconnected"}


# https://openrouter.ai/docs/api/reference/errors-and-debugging, November 2026.
@pytest.mark.parametrize(
    ("event", "said"),
    [
        (content("", "error", error=OPENROUTER), "Provider disconnected"),
        (content("", "error"), "ended its answer with an error"),
        (
            frame(choices=[{"delta": {}, "finish_reason": "error", "error": OPENROUTER}]),
            "Provider disconnected",
        ),
        (content("", "error", usage=USAGE), "ended its answer with an error"),
    ],
)
def test_an_answer_that_ends_with_an_error_is_a_failure(event: bytes, said: str):
    out, meter = run([b": OPENROUTER PROCESSING\n\n", content("Hi"), event, DONE])
    assert out == b": OPENROUTER PROCESSING\n\n" + content("Hi")
    assert meter.failure is not None
    assert said in meter.failure.message
    assert not meter.complete


def test_azures_first_chunk_without_choices_is_not_the_usage_chunk():
    # https://learn.microsoft.com/en-us/azure/foundry/openai/concepts/content-streaming, 2026-11.
    first = frame(choices=[], prompt_filter_results=[{"prompt_index": 0}], usage=None)
    last = frame(choices=[{"index": 0, "finish_reason": None, "content_filter_offsets": {}}])
    out, meter = run([first, *PLAIN, last, frame(choices=[], usage=USAGE), DONE])
    assert out == first + b"".join(PLAIN) + last
    assert meter.usage == Usage(input_tokens=7, output_tokens=3)
    assert meter.complete


def test_what_keeps_a_waiting_connection_alive_is_no_beginning():
    meter = OpenAIStreamMeter(OPENAI, shows_usage=False)
    # https://api-docs.deepseek.com/quick_start/rate_limit, November 2026.
    assert meter.feed(b": keep-alive\n\n") == b": keep-alive\n\n"
    assert not meter.begun
    assert meter.delivered_bytes == 0
    meter.end()
    assert not meter.complete


def test_text_that_looks_like_markers_is_only_text():
    tricky = content('say [DONE] and "usage": {"error": 1}')
    out, meter = run([tricky, content("", "stop"), DONE])
    assert out == tricky + content("", "stop")
    assert meter.failure is None


@pytest.mark.parametrize(
    "tail",
    [[], [content("more")], [b"data: {\n\n"], [b"data: not json [DONE]\n\n"], [b"data: [DO"]],
)
def test_a_stream_that_breaks_off_is_not_complete(tail: list[bytes]):
    _, meter = run([content("a"), *tail])
    assert not meter.complete


@given(st.lists(st.integers(1, 200), max_size=6))
def test_an_event_that_is_not_json_fares_alike_however_it_is_cut(cuts: list[int]):
    whole = content("a") + b'data: {"choices":[{"delta":{"content":"b\n\n' + DONE
    points = [0, *sorted({cut for cut in cuts if cut < len(whole)}), len(whole)]
    out, meter = run([whole[a:b] for a, b in itertools.pairwise(points)])
    assert out == whole.removesuffix(DONE)
    assert (meter.complete, meter.failure) == (True, None)


def test_a_finish_reason_and_a_clean_end_are_complete_without_done():
    _, meter = run([content("a"), content("", "stop")])
    assert meter.complete


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": 1},
        {"prompt_tokens": 5, "completion_tokens": 10**12},
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}},
        {"prompt_tokens": "5", "completion_tokens": 1.5},
        [1],
        "none",
    ],
)
def test_figures_that_cannot_be_true_are_not_believed(usage: object):
    _, meter = run([*PLAIN, frame(choices=[], usage=usage), DONE])
    assert meter.usage is None
    assert meter.complete


@given(st.text(min_size=1, max_size=200))
def test_text_is_measured_as_utf8_however_it_is_escaped(text: str):
    size = len(text.encode(errors="surrogatepass"))
    for ascii_only in (True, False):
        data = json.dumps({"content": text}, ensure_ascii=ascii_only, separators=(",", ":"))
        try:
            encoded = data.encode()
        except UnicodeEncodeError:
            continue
        if "\ud800" <= max(text) <= "\udfff":
            continue
        assert text_bytes(encoded) == size


GROQ = {"x_groq": {"id": "req_1", "usage": USAGE}}


def test_usage_beside_the_end_is_read_wherever_it_stands():
    out, meter = run([content("Hi"), content("", "stop", **GROQ), DONE])
    assert out == content("Hi") + content("", "stop", **GROQ)
    assert meter.usage == Usage(input_tokens=7, output_tokens=3)
    assert meter.complete


def test_usage_beside_the_end_is_shown_after_it():
    out, meter = run([content("Hi"), content("", "stop", **GROQ), DONE], shows_usage=True)
    shown = json.loads(meter.last("0.5", Usage()).split(b"\n\n")[0][6:])["usage"]
    assert shown["prompt_tokens"] == 7
    assert shown["credits"] == "0.5"
    assert out.endswith(content("", "stop", **GROQ))


def test_usage_on_the_end_and_in_a_chunk_of_its_own_is_shown_once_and_last():
    last = content("", "stop", usage=USAGE)
    _, meter = run([content("Hi"), last, frame(choices=[], usage=USAGE), DONE], shows_usage=True)
    end, usage, done, _ = meter.last("0.5", Usage()).split(b"\n\n")
    assert end + b"\n\n" == last
    assert json.loads(usage[6:])["usage"] == {**USAGE, "credits": "0.5"}
    assert done == b"data: [DONE]"
    assert meter.usage == Usage(input_tokens=7, output_tokens=3)


@pytest.mark.parametrize("again", [{"service_tier": "flex"}, {}])
def test_the_tier_that_served_is_read_from_the_stream(again: dict[str, str]):
    flex = {"service_tier": "flex"}
    usage = frame(choices=[], usage=USAGE, **again)
    _, meter = run([content("Hi", **flex), content("", "stop", **flex), usage, DONE])
    assert meter.usage == Usage(input_tokens=7, output_tokens=3, service_tier="flex")


def test_a_tier_in_the_text_is_only_text():
    tricky = content('{"service_tier":"flex"}')
    _, meter = run([tricky, content('"service_tier":"flex"', "stop"), WHOLE])
    assert meter.usage == Usage(input_tokens=7, output_tokens=3)


def test_what_is_not_understood_is_remembered_for_the_operator():
    new = {**USAGE, "dream_tokens": 4}
    _, meter = run([*PLAIN, frame(choices=[], usage=new), DONE])
    assert meter.report == Report(Usage(input_tokens=7, output_tokens=3), None, ("dream_tokens",))


HOSTILE = st.lists(
    st.sampled_from(
        [
            "word",
            "é",
            '"',
            "\\",
            "\n",
            "\r",
            "[DONE]",
            "\n\ndata: [DONE]\n\n",
            "error",
            "usage",
            '","error":{"message":"no"},"a":"',
            '","usage":{"prompt_tokens":1},"a":"',
            '"}}],"obfuscation":"',
        ]
    ),
    max_size=3,
).map("".join)


class Unknown(Form):
    """A form that is never known."""

    def text_in(self, _data: bytes) -> int:
        return -1


@given(
    st.lists(st.tuples(HOSTILE, st.none() | HOSTILE), min_size=1, max_size=5),
    st.integers(1, 3),
    st.sampled_from([b"", DONE, content("!", "stop", usage=USAGE) + DONE, b'data: {"choices"']),
)
def test_events_fare_alike_whether_their_form_is_known(
    said: list[tuple[str, str | None]], together: int, rest: bytes
):
    known, other = (OpenAIStreamMeter(OPENAI, shows_usage=False) for _ in range(2))
    other._form = Unknown()
    events = [
        f'data: {{"choices":[{{"delta":{{"content":"{text}"}}}}]{padded}}}\n\n'.encode()
        for text, padding in [("plain", "x"), ("plain", None), ("a", None), *said, *said]
        for padded in ["" if padding is None else f',"obfuscation":"{padding}"']
    ]
    pieces = [b"".join(events[at : at + together]) for at in range(0, len(events), together)]
    for piece in (*pieces[:-1], pieces[-1] + rest):
        assert known.feed(piece) == other.feed(piece)
        assert known.delivered_bytes == other.delivered_bytes
        assert (known.complete, known.begun) == (other.complete, other.begun)
        assert (known.failure is None) == (other.failure is None)
        assert known.report == other.report
        assert (known._held, known._splitter.partial) == (other._held, other._splitter.partial)


@pytest.mark.parametrize("padding", ["", ',"obfuscation":"Xy2"'])
def test_an_event_of_a_known_form_is_measured_by_its_text_alone(padding: str):
    def event(text: str, padding: str = padding) -> bytes:
        return f'data: {{"id":"c","content":"{text}","index":0{padding}}}\n\n'.encode()

    form = Form()
    assert form.text_in(event("one")) == -1
    form.learn(event("one"), CONTENT)
    assert form.text_in(event("two ö", padding.replace("Xy2", "k"))) == len("two ö".encode())
    assert form.text_in(event("")) == 0
    assert form.text_in(event("one") + event("three")) == len("onethree")
    for other in ('a"b', "a\\nb", "a\nb"):
        assert form.text_in(event(other)) == -1
        assert form.text_in(event("a") + event(other)) == -1
    assert form.text_in(event("a") + DONE) == -1
    assert form.text_in(event("a") + event("b")[:-1]) == -1
    assert form.text_in(event("a")[:-1]) == -1
    assert form.text_in(event("").replace(b'""', b'"')) == -1
    assert form.text_in(event("a").replace(b'"index":0', b'"index":1')) == -1


def test_a_form_that_changes_all_the_time_is_no_longer_looked_for():
    form = Form()
    events = [b'data: {"id":"%d","content":"a"}\n\n' % number for number in range(FORMS_MAX + 1)]
    for event in events:
        form.learn(event, CONTENT)
    assert form.text_in(events[-2]) == 1
    assert form.text_in(events[-1]) == -1
