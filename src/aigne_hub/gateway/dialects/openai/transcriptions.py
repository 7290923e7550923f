"""OpenAI transcriptions and translations: what is said in a sound.

Charged by what the answer reports, seconds or tokens. Where it reports neither, the hub counts:
seconds by the sound's own header, ten tokens for each, and the text that came back.
https://platform.openai.com/docs/api-reference/audio/createTranscription, checked against the
published OpenAPI description of August 2026.
"""

from typing import Any

import msgspec

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import BYTES_PER_TOKEN, Quote, Size, count_text, quote_units
from aigne_hub.domain.usage import HEARD_MS_PER_TOKEN, Report, Usage
from aigne_hub.gateway.dialects.event_meter import Event, EventMeter
from aigne_hub.gateway.dialects.form import read_form
from aigne_hub.gateway.dialects.form_ask import FormAsk, flag, named_model
from aigne_hub.gateway.dialects.openai.stream import text_bytes
from aigne_hub.gateway.dialects.openai.usage import Reporting, report_of
from aigne_hub.gateway.dialects.openai.whole import OpenAIWhole
from aigne_hub.gateway.dialects.reading import UNREADABLE, answered, decoded, is_present
from aigne_hub.gateway.dialects.sound import Length, length_of
from aigne_hub.providers.usage import Wire

# The fastest speech, and the times and numbers that a subtitle or a list of words adds to it.
OUTPUT_TOKENS_PER_S = 25
OUTPUT_TOKENS_MIN = 256
NO_SOUND = Length(0, 0)
# Answers that are no JSON.
_WORDS = frozenset({"text", "srt", "vtt"})


class SoundAsk(FormAsk):
    """A FormAsk with how long its sound is, and whether its answer is plain text."""

    length: Length = NO_SOUND
    is_text: bool = False


class _Answer(Reporting):
    text: msgspec.Raw = msgspec.Raw()
    duration: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


_decode_answer = msgspec.json.Decoder(_Answer).decode


class _Product:
    """event_meter.Product of a transcript: text."""

    ends = frozenset({"transcript.text.done"})
    count = 1

    def __init__(self, ask: SoundAsk) -> None:
        self._ask = ask

    def measure(self, event: Event) -> int:
        raw = event.delta if is_present(event.delta) else event.text
        return text_bytes(b'"text":' + bytes(raw))

    def completed(self, report: Report, _event: Event) -> Report:
        return _with_seconds(report, self._ask)

    def shown(self, usage: Usage) -> dict[str, Any]:
        return {
            "type": "tokens",
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }


class OpenAITranscriptions(OpenAIWhole):
    """dialects.Dialect for `/v1/audio/transcriptions`, made for one request.

    `content_types` are the values of that header.
    """

    type = "transcription"
    operation = "audio/transcriptions"
    forwards: tuple[bytes, ...] = (b"content-type",)

    def __init__(self, content_types: tuple[bytes, ...] = ()) -> None:
        self._content_types = content_types

    def ask(self, body: bytes) -> SoundAsk:
        form = read_form(body, self._content_types)
        model = named_model(form)
        length = length_of(form.file("file"))
        written = len(form.field("prompt") or "")
        heard, most = (ms // HEARD_MS_PER_TOKEN for ms in length)
        return SoundAsk(
            body=body,
            model=model,
            stream=flag(form, "stream"),
            # Counted is what is heard alone: by it a hub that died amid a stream is charged for.
            size=Size(written + most + 1, heard * BYTES_PER_TOKEN),
            form=form,
            length=length,
            is_text=form.field("response_format") in _WORDS,
        )

    def quote(self, ask: Any, rates: RateCard, *, input_tokens: int, **_: int) -> Quote:
        # A model's context bounds what it reads at once, not the length of a recording.
        return quote_units(
            rates,
            input_tokens=max(input_tokens, ask.size.tokens_bound),
            output_tokens=OUTPUT_TOKENS_MIN + ask.length.bound_ms * OUTPUT_TOKENS_PER_S // 1000,
            duration_ms=ask.length.bound_ms,
        )

    def outgoing(self, ask: Any, model: str, *_: object) -> bytes:
        changed: bytes = ask.form.with_field("model", model)
        return changed

    def usage(self, ask: Any, body: bytes, wire: Wire) -> Report:
        if ask.is_text and body.lstrip()[:1] != b"{":
            return _of_words(body)
        answer = answered(_decode_answer, body)
        report = report_of(wire, answer)
        if report.usage is None and is_present(answer.duration):
            told = wire.read({"usage": {"seconds": decoded(answer.duration)}})
            report = told._replace(unread=report.unread)
        return _with_seconds(report, ask)

    def counted(self, ask: Any, input_tokens: int, output: int) -> Usage:
        return Usage(
            input_tokens=input_tokens,
            output_tokens=count_text(output),
            audio_input_tokens=min(ask.length.counted_ms // HEARD_MS_PER_TOKEN, input_tokens),
            duration_ms=ask.length.counted_ms,
        )

    def output_of(self, body: bytes) -> int:
        try:
            answer = _decode_answer(body)
        except UNREADABLE:
            return len(body)
        return text_bytes(b'"text":' + bytes(answer.text or answer.duration))

    def meter(self, ask: Any, wire: Wire) -> EventMeter:
        def whole(body: bytes) -> Report:
            return self.usage(ask, body, wire)

        return EventMeter(wire, _Product(ask), whole)


class OpenAITranslations(OpenAITranscriptions):
    """`/v1/audio/translations`: the same, into English."""

    operation = "audio/translations"


def _of_words(body: bytes) -> Report:
    """Return that an answer of mere words reports nothing; raises UpstreamError for none."""
    if not body:
        raise UpstreamError("The upstream answered 200 with nothing.")
    return Report()


def _with_seconds(report: Report, ask: SoundAsk) -> Report:
    """Return a report of tokens with the length of what was heard, for prices by the second."""
    usage = report.usage
    if usage is None or usage.duration_ms:
        return report
    return report._replace(usage=usage._replace(duration_ms=ask.length.counted_ms))
