"""OpenAI embeddings: strings, lists of strings, token arrays; float or base64 vectors."""

import msgspec

from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote, quote_tokens
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects import Ask, StreamMeter
from aigne_hub.gateway.dialects.openai_chat import decoded_answer, peeked
from aigne_hub.gateway.dialects.openai_errors import error_body, error_event
from aigne_hub.gateway.dialects.openai_usage import UsageObject
from aigne_hub.gateway.dialects.splice import with_members


class _Peek(msgspec.Struct):
    model: str
    input: str | list[msgspec.Raw]


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    usage: UsageObject | None = None
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Peek).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


class OpenAIEmbeddings:
    """dialects.Dialect for `/v1/embeddings`."""

    type = "embedding"
    operation = "embeddings"

    def ask(self, body: bytes) -> Ask:
        peek = peeked(_decode, body)
        if not peek.input:
            raise InvalidRequest("`input` is empty.", param="input")
        return Ask(body=body, model=peek.model)

    def quote(self, ask: Ask, rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:
        return quote_tokens(
            rates, input_tokens=input_tokens, output_limit=0, stream=False, explicit=True, n=1
        )

    def outgoing(self, ask: Ask, model: str, limit_field: str, output_limit: int | None) -> bytes:
        return with_members(ask.body, ask.model, model, {})

    def usage(self, ask: Ask, body: bytes) -> Usage | None:
        answer = decoded_answer(_decode_answer, body)
        return None if answer.usage is None else answer.usage.buckets()

    def counted(self, ask: Ask, input_tokens: int, output_bytes: int) -> Usage:
        return Usage(input_tokens=input_tokens)

    def text_bytes(self, body: bytes) -> int:
        return 0

    def meter(self, ask: Ask) -> StreamMeter:
        raise InvalidRequest("Embeddings are not streamed.", param="stream")

    def error(self, error: HubError, timestamp_ms: int) -> bytes:
        return error_body(error, timestamp_ms)

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        return error_event(error, timestamp_ms)
