"""OpenAI speech: a text spoken. Charged by its characters, which are known before.

Models that are priced by tokens report them in a stream of events alone; of a whole answer the
hub counts them. https://platform.openai.com/docs/api-reference/audio/createSpeech, checked
against the published OpenAPI description of August 2026.
"""

from typing import Any

import msgspec

from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import (
    BYTES_PER_TOKEN,
    STREAM_STEP_TOKENS,
    Quote,
    Size,
    count_text,
    quote_units,
)
from aigne_hub.domain.usage import NO_REPORT, Report, Usage
from aigne_hub.gateway.dialects import Ask, StreamMeter
from aigne_hub.gateway.dialects.event_meter import Event, EventMeter
from aigne_hub.gateway.dialects.openai.whole import OpenAIWhole
from aigne_hub.gateway.dialects.reading import peeked
from aigne_hub.gateway.dialects.sound import BYTES_PER_MS_USUAL, length_of
from aigne_hub.gateway.dialects.sound_meter import SoundMeter
from aigne_hub.gateway.dialects.splice import with_members
from aigne_hub.providers.usage import OPENAI_SPEECH, Wire

# What speech of OpenAI's models has: a token for each twentieth of a second.
MS_PER_TOKEN = 50
# The slowest speech, three characters a second; it can be asked to be slower still.
TOKENS_PER_CHARACTER_MAX = 7
SPEED_MIN = 0.25
CHARACTERS_MAX = 1_000_000
# Bytes of sound a token: 24,000 samples of 16 bits a second, else about 128 kbit/s.
_RAW = frozenset({"pcm", "wav"})
RAW_BYTES_PER_TOKEN, BYTES_PER_SOUND_TOKEN = 2_400, 800
_JSON = b"{"


class _Peek(msgspec.Struct):
    model: str
    input: str
    instructions: str | None = None
    response_format: str | None = None
    stream_format: str | None = None
    speed: float | None = None


class SpeechAsk(Ask):
    """An Ask that knows how many characters are spoken, how slowly, and in what form.

    What is journaled as counted of its input are its characters, a fourth of them: a hub that
    dies amid its stream is charged for by them. `text_bytes` also has the instructions. Sound
    `passes` as it comes where its length changes no price.
    """

    characters: int = 0
    text_bytes: int = 0
    passes: bool = True
    events: bool = False
    speed: float = 1.0
    form: str = "mp3"


_decode = msgspec.json.Decoder(_Peek).decode


class _Product:
    """event_meter.Product of speech: sound in base64."""

    ends = frozenset({"speech.audio.done"})
    count = 1

    def __init__(self, ask: SpeechAsk) -> None:
        self._ask = ask

    def measure(self, event: Event) -> int:
        return _sound_tokens(len(event.audio) * 3 // 4, self._ask.form) * BYTES_PER_TOKEN

    def completed(self, report: Report, _event: Event) -> Report:
        return _with_characters(report, self._ask)

    def shown(self, usage: Usage) -> dict[str, Any]:
        return {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }


class OpenAISpeech(OpenAIWhole):
    """dialects.Dialect for `/v1/audio/speech`."""

    type = "speech"
    operation = "audio/speech"

    def ask(self, body: bytes) -> SpeechAsk:
        peek = peeked(_decode, body)
        if not 0 < len(peek.input) <= CHARACTERS_MAX:
            raise InvalidRequest(f"`input` is 1 to {CHARACTERS_MAX:,} characters.", param="input")
        speed = 1.0 if peek.speed is None else peek.speed
        if not speed > 0:
            raise InvalidRequest("`speed` is a number above 0.", param="speed")
        text = len(peek.input.encode()) + len((peek.instructions or "").encode())
        named = ("input", "instructions", "response_format", "stream_format", "speed")
        return SpeechAsk(
            body=body,
            model=peek.model,
            stream=peek.stream_format == "sse",
            events=peek.stream_format == "sse",
            relied_on=tuple(name for name in named if getattr(peek, name) is not None),
            size=Size(len(body), len(peek.input)),
            characters=len(peek.input),
            text_bytes=text,
            speed=speed,
            form=peek.response_format or "mp3",
        )

    def quote(self, ask: Any, rates: RateCard, *, input_tokens: int, **_: int) -> Quote:
        slow = max(1.0, 1 / max(ask.speed, SPEED_MIN))
        per_token = rates.worst(input_tokens)[1]
        ask.passes &= not per_token
        tokens = int(ask.characters * TOKENS_PER_CHARACTER_MAX * slow) + 1
        if not ask.stream:
            return quote_units(
                rates,
                input_tokens=input_tokens,
                output_tokens=tokens,
                characters=ask.characters,
            )
        known = quote_units(rates, input_tokens=input_tokens, characters=ask.characters)
        wanted = min(tokens, STREAM_STEP_TOKENS)
        return known._replace(per_token=per_token, tokens_wanted=wanted, tokens_min=1)

    def outgoing(self, ask: Any, model: str, *_: object) -> bytes:
        # Admitted as one answer: nothing of it is held for step by step.
        ask.stream |= ask.passes
        return with_members(ask.body, ask.model, model, {}, ask.relied_on)

    def usage(self, _ask: Ask, body: bytes, _wire: Wire) -> Report:
        if body[:1] == _JSON or not body:
            raise UpstreamError("The upstream answered 200 without sound.")
        return NO_REPORT

    def counted(self, ask: Any, _input_tokens: int, output: int) -> Usage:
        tokens = count_text(output)
        if ask.form == "pcm" and not ask.stream and output:
            # Samples without a header, whose length was taken for that of compressed sound.
            tokens = tokens * MS_PER_TOKEN * BYTES_PER_MS_USUAL // RAW_BYTES_PER_TOKEN
        return Usage(
            input_tokens=count_text(ask.text_bytes),
            output_tokens=tokens,
            audio_output_tokens=tokens,
            characters=ask.characters,
        )

    def output_of(self, body: bytes) -> int:
        """Return the tokens that a whole answer's length makes, as bytes of text."""
        return length_of(body).counted_ms // MS_PER_TOKEN * BYTES_PER_TOKEN

    def meter(self, ask: Any, wire: Wire) -> StreamMeter:
        if not ask.events:
            return SoundMeter(RAW_BYTES_PER_TOKEN if ask.form in _RAW else BYTES_PER_SOUND_TOKEN)

        def whole(body: bytes) -> Report:
            return self.usage(ask, body, wire)

        return EventMeter(OPENAI_SPEECH, _Product(ask), whole)


def _with_characters(report: Report, ask: SpeechAsk) -> Report:
    usage = report.usage
    if usage is None:
        return report
    return report._replace(usage=usage._replace(characters=ask.characters))


def _sound_tokens(size: int, form: str) -> int:
    return -(-size // (RAW_BYTES_PER_TOKEN if form in _RAW else BYTES_PER_SOUND_TOKEN))
