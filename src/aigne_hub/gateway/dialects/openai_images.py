"""OpenAI image generation. Charged by the picture, and by tokens where the model reports them."""

import msgspec

from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote, quote_units
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects import Ask, StreamMeter
from aigne_hub.gateway.dialects.openai_chat import decoded_answer, peeked
from aigne_hub.gateway.dialects.openai_errors import error_body, error_event
from aigne_hub.gateway.dialects.openai_usage import UsageObject
from aigne_hub.gateway.dialects.splice import with_members

IMAGES_MAX = 10
# The most output tokens one picture is documented to take (high quality, 1536 x 1024).
TOKENS_PER_IMAGE = 6_240


class _Peek(msgspec.Struct):
    model: str
    prompt: str
    n: int | None = None
    stream: bool | None = None


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    usage: UsageObject | None = None
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Peek).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


class OpenAIImages:
    """dialects.Dialect for `/v1/images/generations`."""

    type = "image"
    operation = "images/generations"

    def ask(self, body: bytes) -> Ask:
        peek = peeked(_decode, body)
        images = 1 if peek.n is None else peek.n
        if not 0 < images <= IMAGES_MAX:
            raise InvalidRequest(f"`n` is between 1 and {IMAGES_MAX}.", param="n")
        if peek.stream:
            raise InvalidRequest(
                "Partial images are not served; leave out `stream`.", param="stream"
            )
        relied_on = () if peek.n is None else ("n",)
        return Ask(body=body, model=peek.model, images=images, relied_on=relied_on)

    def quote(self, ask: Ask, rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:
        return quote_units(
            rates,
            images=ask.images,
            input_tokens=input_tokens,
            output_tokens=ask.images * TOKENS_PER_IMAGE,
        )

    def outgoing(self, ask: Ask, model: str, limit_field: str, output_limit: int | None) -> bytes:
        return with_members(ask.body, ask.model, model, {}, ask.relied_on)

    def usage(self, ask: Ask, body: bytes) -> Usage | None:
        answer = decoded_answer(_decode_answer, body)
        delivered = len(answer.data or ())
        if answer.usage is not None:
            usage = answer.usage.buckets(delivered)
            if usage is not None:
                return usage
        return Usage(images=delivered) if delivered else None

    def counted(self, ask: Ask, input_tokens: int, output_bytes: int) -> Usage:
        return Usage(input_tokens=input_tokens)

    def text_bytes(self, body: bytes) -> int:
        return 0

    def meter(self, ask: Ask) -> StreamMeter:
        raise InvalidRequest("Images are not streamed.", param="stream")

    def error(self, error: HubError, timestamp_ms: int) -> bytes:
        return error_body(error, timestamp_ms)

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        return error_event(error, timestamp_ms)
