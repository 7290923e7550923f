"""AIGNE's chats: the envelope of `/api/v2/chat`.

No provider speaks this format, so every answer is translated. What is added to an answer at
settlement, its usage and its price, is written by `presented`.
"""

from typing import Any

import msgspec
import orjson

from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.domain.inference import InferenceRequest
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import MEDIA_TOKENS, Quote, Size, count_text, quote_tokens, size_of
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects import Ask, Head, NeutralForm, Served
from aigne_hub.gateway.dialects.aigne.errors import error_body, named_event
from aigne_hub.gateway.dialects.aigne.neutral import envelope_request
from aigne_hub.gateway.dialects.aigne.stream import AigneStreamMeter, text_bytes
from aigne_hub.gateway.dialects.aigne.writer import EnvelopeWriter
from aigne_hub.gateway.dialects.gemini.body import size_in
from aigne_hub.gateway.dialects.openai.chat import OUTPUT_TOKENS_MAX
from aigne_hub.gateway.dialects.reading import peeked
from aigne_hub.providers.profiles import AIGNE_LANGUAGE
from aigne_hub.providers.usage import Wire


class _ModelOptions(msgspec.Struct):
    model: str | None = None
    maxTokens: int | None = None  # noqa: N815 - AIGNE's name


class _Input(msgspec.Struct):
    messages: list[msgspec.Raw]
    model: str | None = None
    modelOptions: _ModelOptions | None = None  # noqa: N815 - AIGNE's name


class _Options(msgspec.Struct):
    streaming: Any = None


class _Envelope(msgspec.Struct):
    input: _Input
    model: str | None = None
    options: _Options | None = None


_decode = msgspec.json.Decoder(_Envelope).decode


class EnvelopeForm:
    """dialects.NeutralForm for the envelope."""

    def request(self, body: bytes) -> InferenceRequest:
        return envelope_request(body)

    def writer(self, request: InferenceRequest, _answer_id: str, _created: int) -> EnvelopeWriter:
        return EnvelopeWriter(request)


class AigneChat:
    """dialects.Dialect for `/api/v2/chat`."""

    type = "chat"
    operation = "aigne/chat"
    language = AIGNE_LANGUAGE
    forwards: tuple[bytes, ...] = ()
    request_id_header: bytes | None = None
    form: NeutralForm | None = EnvelopeForm()

    def ask(self, body: bytes) -> Ask:
        peek = peeked(_decode, body)
        options = peek.input.modelOptions or _ModelOptions()
        limit = options.maxTokens
        if limit is not None and not 0 < limit <= OUTPUT_TOKENS_MAX:
            raise InvalidRequest(
                "The output limit is not a sensible number.", param="modelOptions.maxTokens"
            )
        streams = peek.options is not None and peek.options.streaming is True
        return Ask(
            body=body,
            model=named(peek.model, peek.input.model, options.model),
            stream=streams,
            output_limit=limit,
            size=size_of_input(body),
            presented=_event if streams else _whole,
            head=Head(is_early=True),
        )

    def quote(self, ask: Ask, rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:
        return quote_tokens(
            rates,
            input_tokens=input_tokens,
            output_limit=ask.output_limit if ask.output_limit is not None else output_max,
            stream=ask.stream,
            explicit=ask.output_limit is not None,
            n=1,
        )

    def outgoing(self, ask: Ask, model: str, _limit_field: str, output_limit: int | None) -> bytes:
        """Return the envelope for `envelope_request`, with what it cannot say itself."""
        limit = ask.output_limit if output_limit is None else output_limit
        members = orjson.dumps({"model": model, "stream": ask.stream, "limit": limit})
        return b'%b,"envelope":%b}' % (members[:-1], ask.body)

    def usage(self, _ask: Ask, _body: bytes, _wire: Wire) -> Report:
        raise AssertionError("a translated answer's usage is its provider's own")

    def counted(self, _ask: Ask, input_tokens: int, output: int) -> Usage:
        return Usage(input_tokens=input_tokens, output_tokens=count_text(output))

    def output_of(self, body: bytes) -> int:
        return _length_of(body) if body.startswith(b"{") else text_bytes(body)

    def meter(self, _ask: Ask, _wire: Wire) -> AigneStreamMeter:
        return AigneStreamMeter()

    def error(self, error: HubError, timestamp_ms: int, _request_id: str) -> bytes:
        return error_body(error, timestamp_ms)

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        return named_event(error, timestamp_ms)


def named(*given: str | None) -> str:
    """Return the first model that a request names. Raises InvalidRequest without any."""
    for model in given:
        if model:
            return model
    raise InvalidRequest(
        "The request names no model: put `provider/model` in `input.modelOptions.model`.",
        param="input.modelOptions.model",
    )


def size_of_input(body: bytes) -> Size:
    """Measure a body whose files stand in `data` or at a `url`."""
    size = size_in(body) or size_of(body)
    linked = body.count(b'"url":') + body.count(b'"url" :')
    return Size(size.tokens_bound + linked * MEDIA_TOKENS, size.text_bytes)


def usage_object(served: Served) -> dict[str, Any]:
    """Return usage in AIGNE's words; its clients refuse credits that are no number.

    `credits` is the same amount as text, which every reader takes as it is.
    """
    usage = served.usage
    value: dict[str, Any] = {
        "inputTokens": usage.context_tokens,
        "outputTokens": usage.output_tokens,
    }
    if usage.cache_read_tokens:
        value["cacheReadInputTokens"] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        value["cacheCreationInputTokens"] = usage.cache_write_tokens
    return {
        **value,
        "modelCallId": served.call_id,
        "aigneHubCredits": orjson.Fragment(served.charge.encode()),
        "credits": served.charge,
    }


def told(served: Served) -> dict[str, Any]:
    """Return what is said of every answer: who gave it, and what it cost."""
    return {
        "usage": usage_object(served),
        "model": served.model.partition("/")[2],
        "modelWithProvider": served.model,
    }


def _whole(body: bytes, served: Served) -> bytes:
    members = orjson.dumps(told(served))
    return members if body == b"{}" else b"%b,%b" % (body[:-1], members[1:])


def _event(last: bytes, served: Served) -> bytes:
    return b"%bdata: %b\n\n" % (last, orjson.dumps({"delta": {"json": told(served)}}))


def _length_of(body: bytes) -> int:
    """Return the UTF-8 length of what a model produced for a whole answer."""
    value = orjson.loads(body)
    texts = [str(value.get(name, "")) for name in ("text", "thoughts")]
    if "json" in value:
        texts.append(orjson.dumps(value["json"]).decode())
    for call in value.get("toolCalls", ()):
        arguments = call["function"]["arguments"]
        texts.append(call["function"]["name"])
        texts.append(arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode())
    return sum(len(text.encode()) for text in texts)
