"""OpenAI image generation. Charged by the picture, and by tokens where the model reports them."""

import msgspec

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote, quote_units
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.openai_usage import usage_of
from aigne_hub.gateway.dialects.openai_whole import OpenAIWhole, answered, decode_data, peeked
from aigne_hub.gateway.dialects.splice import with_members

IMAGES_MAX = 10
# The most output tokens one picture is documented to take (high quality, 1536 x 1024).
TOKENS_PER_IMAGE = 6_240


class _Peek(msgspec.Struct):
    model: str
    prompt: str
    n: int | None = None
    stream: bool | None = None


_decode = msgspec.json.Decoder(_Peek).decode


class OpenAIImages(OpenAIWhole):
    """dialects.Dialect for `/v1/images/generations`."""

    type = "image"
    operation = "images/generations"

    def ask(self, body: bytes) -> Ask:
        peek = peeked(_decode, body)
        images = 1 if peek.n is None else peek.n
        if not 0 < images <= IMAGES_MAX:
            raise InvalidRequest(f"`n` is between 1 and {IMAGES_MAX}.", param="n")
        if peek.stream:
            raise InvalidRequest("Partial images are not served.", param="stream")
        relied_on = () if peek.n is None else ("n",)
        return Ask(body=body, model=peek.model, images=images, relied_on=relied_on)

    def quote(self, ask: Ask, rates: RateCard, *, input_tokens: int, **_: int) -> Quote:
        return quote_units(
            rates,
            images=ask.images,
            input_tokens=input_tokens,
            output_tokens=ask.images * TOKENS_PER_IMAGE,
        )

    def outgoing(self, ask: Ask, model: str, *_: object) -> bytes:
        return with_members(ask.body, ask.model, model, {}, ask.relied_on)

    def usage(self, _ask: Ask, body: bytes) -> Usage | None:
        answer = answered(decode_data, body)
        delivered = len(answer.data)
        usage = usage_of(answer.usage, delivered)
        if usage is None and delivered:
            return Usage(images=delivered)
        return usage
