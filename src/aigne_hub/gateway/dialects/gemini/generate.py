"""Gemini's methods: generate, stream, count tokens, embed. One object is one call's.

The model and the method stand in the path, so that a body has nothing to change.
https://ai.google.dev/api/generate-content, /api/tokens and /api/embeddings: from the
vendor's SDK and stored copies, not the live pages.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from aigne_hub.domain.errors import HubError, InvalidRequest, UpstreamError
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import FREE, Quote, count_text, quote_tokens, quote_units
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects import Ask, EmbeddingForm, Head, NeutralForm, StreamMeter
from aigne_hub.gateway.dialects.gemini.body import (
    COUNT,
    LIMIT,
    Config,
    Members,
    for_model,
    limited,
    read_once,
    size_in,
)
from aigne_hub.gateway.dialects.gemini.called import BATCH_METHOD, STREAM_METHOD, Called
from aigne_hub.gateway.dialects.gemini.embedding_form import GeminiEmbeddingForm
from aigne_hub.gateway.dialects.gemini.errors import error_body, error_event
from aigne_hub.gateway.dialects.gemini.list_stream import (
    LIST_TYPE,
    GeminiListMeter,
    element_in,
    last_element,
)
from aigne_hub.gateway.dialects.gemini.neutral import CountForm, GenerateForm
from aigne_hub.gateway.dialects.gemini.stream import GeminiStreamMeter, frames_text, parts_text
from aigne_hub.gateway.dialects.reading import peeked
from aigne_hub.providers.complaints import blamed
from aigne_hub.providers.profiles import GEMINI_LANGUAGE
from aigne_hub.providers.usage import Wire

OUTPUT_TOKENS_MAX = 10_000_000
CANDIDATES_MAX = 128
# How many searches by the provider are held for, where they have a price and the request
# speaks of searching: nothing else bounds them.
SEARCHES_HELD = 10


class _Peek(msgspec.Struct):
    generationConfig: Config | None = None  # noqa: N815 - Google's name
    generation_config: Config | None = None


class _Object(msgspec.Struct):
    """Any object: nothing of it is looked at."""


_decode_peek = msgspec.json.Decoder(_Peek).decode
_decode_object = msgspec.json.Decoder(_Object).decode


class GeminiGenerate:
    """dialects.Dialect for `generateContent` and `streamGenerateContent`."""

    type = "chat"
    language = GEMINI_LANGUAGE
    forwards: tuple[bytes, ...] = ()
    request_id_header: bytes | None = None
    form: NeutralForm | EmbeddingForm | None

    def __init__(self, called: Called) -> None:
        self.operation = called.operation
        self.form = self._form(called)
        self._called = called
        self._is_list = called.method == STREAM_METHOD and not called.streams

    def ask(self, body: bytes) -> Ask:
        peek: _Peek = peeked(_decode_peek, read_once(body))
        if peek.generationConfig is not None and peek.generation_config is not None:
            raise InvalidRequest(
                "generationConfig and generation_config are one member: send it once.",
                param="generationConfig",
            )
        stream = self._called.method == STREAM_METHOD
        config = peek.generationConfig or peek.generation_config or Config()
        return Ask(
            body=body,
            model=self._called.model,
            stream=stream,
            output_limit=_number(config, LIMIT, OUTPUT_TOKENS_MAX),
            n=_number(config, COUNT, CANDIDATES_MAX) or 1,
            shows_usage=True,
            size=size_in(body),
            head=Head(LIST_TYPE) if self._is_list else None,
        )

    def quote(self, ask: Ask, rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:
        limit = ask.output_limit
        return quote_tokens(
            rates,
            input_tokens=input_tokens,
            output_limit=output_max if limit is None else limit,
            stream=ask.stream,
            explicit=limit is not None,
            n=ask.n,
            searches=SEARCHES_HELD if b"earch" in ask.body else 1,
        )

    def outgoing(self, ask: Ask, model: str, _limit_field: str, output_limit: int | None) -> bytes:
        if output_limit is None:
            return for_model(ask.body, model, self._inner)
        return for_model(ask.body, model, self._inner, lambda value: limited(value, output_limit))

    def usage(self, _ask: Ask, body: bytes, wire: Wire) -> Report:
        return wire.read(_answer(body))

    def counted(self, _ask: Ask, input_tokens: int, output: int) -> Usage:
        return Usage(input_tokens=input_tokens, output_tokens=count_text(output))

    def output_of(self, body: bytes) -> int:
        if self._is_list:
            return _whole_text(element_in(body))
        return _whole_text(body) if body.lstrip()[:1] == b"{" else frames_text(body)

    def meter(self, ask: Ask, wire: Wire) -> StreamMeter:
        return GeminiListMeter(wire, ask.n) if self._is_list else GeminiStreamMeter(wire, ask.n)

    def error(self, error: HubError, timestamp_ms: int, _request_id: str) -> bytes:
        return error_body(error, timestamp_ms)

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        if self._is_list:
            return last_element(error_body(error, timestamp_ms))
        return error_event(error, timestamp_ms)

    def _form(self, called: Called) -> NeutralForm | EmbeddingForm | None:
        return GenerateForm(called.model, stream=called.method == STREAM_METHOD)

    def _inner(self, _value: Members) -> Iterator[Any]:
        """Yield the objects in a body, beside itself, that may name the model."""
        yield from ()


class GeminiCountTokens(GeminiGenerate):
    """`countTokens`: recorded as a call of the model, and never charged."""

    def ask(self, body: bytes) -> Ask:
        peeked(_decode_object, body)
        return Ask(body=body, model=self._called.model)

    def quote(self, _ask: Ask, _rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:  # noqa: ARG002 - the protocol's names
        return FREE

    def usage(self, _ask: Ask, body: bytes, _wire: Wire) -> Report:
        total = _answer(body).get("totalTokens", 0)
        if not isinstance(total, int) or total < 0:
            raise UpstreamError("The upstream's count of tokens is none.")
        return Report(_NOTHING_USED)

    def counted(self, _ask: Ask, _input_tokens: int, _output: int) -> Usage:
        return _NOTHING_USED

    def output_of(self, _body: bytes) -> int:
        return 0

    def _form(self, called: Called) -> NeutralForm | EmbeddingForm | None:
        return CountForm(called.model, stream=False)

    def _inner(self, value: Members) -> Iterator[Any]:
        yield value.get("generateContentRequest")
        yield value.get("generate_content_request")


class GeminiEmbed(GeminiGenerate):
    """`embedContent` and `batchEmbedContents`."""

    type = "embedding"

    def ask(self, body: bytes) -> Ask:
        peeked(_decode_object, body)
        return Ask(body=body, model=self._called.model, size=size_in(body))

    def quote(self, _ask: Ask, rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:  # noqa: ARG002 - the protocol's name
        return quote_units(rates, input_tokens=input_tokens)

    def counted(self, _ask: Ask, input_tokens: int, _output: int) -> Usage:
        return Usage(input_tokens=input_tokens)

    def output_of(self, _body: bytes) -> int:
        return 0

    def _form(self, called: Called) -> NeutralForm | EmbeddingForm | None:
        return GeminiEmbeddingForm(called.model, is_batch=called.method == BATCH_METHOD)

    def _inner(self, value: Members) -> Iterator[Any]:
        requests = value.get("requests")
        yield from requests if isinstance(requests, list) else ()


METHODS = {
    "generateContent": GeminiGenerate,
    STREAM_METHOD: GeminiGenerate,
    "countTokens": GeminiCountTokens,
    "embedContent": GeminiEmbed,
    BATCH_METHOD: GeminiEmbed,
}
# Not even a request: prices of one hold for answers.
_NOTHING_USED = Usage(requests=0)


def _number(config: Config, names: tuple[str, str], most: int) -> int | None:
    """Return a number that bounds a call, None for none; 0 is Google's word for none, too."""
    found = [number for name in names if (number := getattr(config, name)) is not None]
    if len(found) > 1 or not all(0 <= number <= most for number in found):
        raise InvalidRequest(
            f"generationConfig.{names[0]} is one number from 0 to {most}.",
            param=f"generationConfig.{names[0]}",
        )
    return found[0] or None if found else None


def _answer(body: bytes) -> Members:
    """Return a whole answer; raises UpstreamError for an error object or no object at all."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise UpstreamError("The upstream's answer is not valid JSON of this kind.")
    if value.get("error") is not None:
        raise blamed("The upstream answered 200 with an error object.", value["error"])
    return value


def _whole_text(body: bytes) -> int:
    try:
        return parts_text(orjson.loads(body))
    except orjson.JSONDecodeError:
        return 0
