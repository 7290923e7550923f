"""OpenAI image generation. Charged by the picture, and by tokens where the model reports them."""

import re
from typing import Any

import msgspec

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote, quote_units
from aigne_hub.domain.usage import NAME_MAX, Report, Usage
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.event_meter import Event, EventMeter
from aigne_hub.gateway.dialects.openai.usage import report_of
from aigne_hub.gateway.dialects.openai.whole import DataAnswer, OpenAIWhole
from aigne_hub.gateway.dialects.reading import answered, peeked
from aigne_hub.gateway.dialects.splice import with_members
from aigne_hub.providers.usage import OPENAI_IMAGES, Wire

IMAGES_MAX = 10
# The most output tokens one picture is documented to take (high quality, 1536 x 1024); a
# larger one takes more in proportion.
TOKENS_PER_IMAGE = 6_240
PIXELS_PER_IMAGE = 1536 * 1024
# What the three partial pictures that a stream may have before each picture cost.
TOKENS_OF_PARTIALS = 300

# In a last event: its text has nothing that the caller wrote.
_COMPLETED = re.compile(rb'"image_(?:generation|edit)\.completed"')
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


class _Peek(msgspec.Struct):
    model: str
    prompt: str
    n: int | None = None
    stream: bool | None = None
    partial_images: int | None = None
    size: Any = None
    quality: Any = None


class _Answer(DataAnswer):
    size: Any = None
    quality: Any = None
    svg_usage: Any = None


_decode = msgspec.json.Decoder(_Peek).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


class _Product:
    """event_meter.Product of pictures: partial ones are none."""

    ends = frozenset({"image_generation.completed", "image_edit.completed"})

    def __init__(self, ask: Ask) -> None:
        self.count = ask.images
        self._ask = ask
        self._made = 0

    def measure(self, event: Event) -> int:
        return int(event.type in self.ends)

    def completed(self, report: Report, event: Event) -> Report:
        self._made += 1
        if report.refused is not None:
            return report
        kind = _kind(
            chosen(event.size) or self._ask.image_size,
            chosen(event.quality) or self._ask.image_quality,
        )
        usage = (report.usage or Usage())._replace(images=self._made, image_kind=kind)
        return report._replace(usage=usage)

    def shown(self, usage: Usage) -> dict[str, Any]:
        return {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
        }


class OpenAIImages(OpenAIWhole):
    """dialects.Dialect for `/v1/images/generations`."""

    type = "image"
    operation = "images/generations"

    def ask(self, body: bytes) -> Ask:
        peek = peeked(_decode, body)
        images = 1 if peek.n is None else peek.n
        if not 0 < images <= IMAGES_MAX:
            raise InvalidRequest(f"`n` is between 1 and {IMAGES_MAX}.", param="n")
        named = ("n", "size", "quality", "stream", "partial_images")
        return Ask(
            body=body,
            model=peek.model,
            stream=bool(peek.stream),
            images=images,
            relied_on=tuple(name for name in named if getattr(peek, name) is not None),
            image_size=chosen(peek.size),
            image_quality=chosen(peek.quality),
        )

    def quote(self, ask: Ask, rates: RateCard, *, input_tokens: int, **_: int) -> Quote:
        # Where the provider may choose, it may choose the dearest.
        is_told = ask.image_size and ask.image_quality
        return quote_units(
            rates,
            images=ask.images,
            image_kind=_kind(ask.image_size, ask.image_quality) if is_told else "",
            input_tokens=input_tokens,
            output_tokens=ask.images * (_tokens(ask.image_size) + TOKENS_OF_PARTIALS * ask.stream),
        )

    def outgoing(self, ask: Ask, model: str, *_: object) -> bytes:
        return with_members(ask.body, ask.model, model, {}, ask.relied_on)

    def usage(self, ask: Ask, body: bytes, _wire: Wire) -> Report:
        answer = answered(_decode_answer, body)
        more = {"data": answer.data, "svg_usage": answer.svg_usage}
        report = report_of(OPENAI_IMAGES, answer, **more)
        if report.usage is None:
            return report
        kind = _kind(
            chosen(answer.size) or ask.image_size, chosen(answer.quality) or ask.image_quality
        )
        return report._replace(usage=report.usage._replace(image_kind=kind))

    def counted(self, ask: Ask, input_tokens: int, output: int) -> Usage:
        return Usage(
            input_tokens=input_tokens,
            images=output,
            image_kind=_kind(ask.image_size, ask.image_quality) if output else "",
        )

    def output_of(self, body: bytes) -> int:
        if body.startswith(b"{"):
            return len(answered(_decode_answer, body).data)
        return len(_COMPLETED.findall(body))

    def meter(self, ask: Ask, wire: Wire) -> EventMeter:
        def whole(body: bytes) -> Report:
            return self.usage(ask, body, wire)

        return EventMeter(OPENAI_IMAGES, _Product(ask), whole)


def chosen(value: object) -> str:
    """Return a size or quality that was named; empty when the provider chooses."""
    named = isinstance(value, str) and value != "auto" and len(value) < NAME_MAX // 2
    return str(value) if named else ""


def _kind(size: str, quality: str) -> str:
    """Return what a rate card calls a picture: `1024x1024/high`, or what is known of it."""
    return "/".join(part for part in (size, quality) if part)


def _tokens(size: str) -> int:
    match = _SIZE.fullmatch(size)
    pixels = int(match[1]) * int(match[2]) if match else 0
    return max(TOKENS_PER_IMAGE, -(-pixels * TOKENS_PER_IMAGE // PIXELS_PER_IMAGE))
