"""Anthropic Messages, and counting the tokens of one.

https://platform.claude.com/docs/en/api/messages, looked up in November 2026. Both versions of
the API are relayed alike: what they refuse differs, and the provider refuses it.
"""

from typing import Any, ClassVar

import msgspec
import orjson

from aigne_hub.domain.errors import HubError, InvalidRequest, UpstreamError
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import FREE, Quote, count_text, quote_tokens
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects import Ask, NeutralForm, StreamMeter
from aigne_hub.gateway.dialects.anthropic.errors import error_body, error_event
from aigne_hub.gateway.dialects.anthropic.neutral import CountForm, MessagesForm
from aigne_hub.gateway.dialects.anthropic.stream import AnthropicStreamMeter, text_bytes
from aigne_hub.gateway.dialects.anthropic.usage import report_of
from aigne_hub.gateway.dialects.reading import answered, json_length, peeked
from aigne_hub.gateway.dialects.splice import with_members
from aigne_hub.providers.profiles import ANTHROPIC_LANGUAGE
from aigne_hub.providers.usage import Wire

OUTPUT_TOKENS_MAX = 10_000_000
# How many searches by the provider are held for, where they have a price and the request
# speaks of searching: nothing else bounds them.
SEARCHES_HELD = 10


class _Peek(msgspec.Struct):
    messages: list[msgspec.Raw]
    model: str
    max_tokens: int
    stream: bool | None = None


class _CountPeek(msgspec.Struct):
    max_tokens: ClassVar[int] = 0
    stream: ClassVar[None] = None
    messages: list[msgspec.Raw]
    model: str


class _Answer(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class _CountAnswer(msgspec.Struct):
    input_tokens: int
    error: msgspec.Raw = msgspec.Raw()


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_count = msgspec.json.Decoder(_CountAnswer).decode


class AnthropicMessages:
    """dialects.Dialect for `/v1/messages`.

    The output limit is the caller's in every case, so that none is ever put in.
    """

    type = "chat"
    operation = "messages"
    language = ANTHROPIC_LANGUAGE
    forwards: tuple[bytes, ...] = (b"anthropic-version", b"anthropic-beta")
    request_id_header: bytes | None = b"request-id"
    form: NeutralForm | None = MessagesForm()
    _decode: Any = msgspec.json.Decoder(_Peek).decode
    _relied_on: tuple[str, ...] = ("max_tokens",)

    def ask(self, body: bytes) -> Ask:
        peek = peeked(self._decode, body)
        if not 0 <= peek.max_tokens <= OUTPUT_TOKENS_MAX:
            raise InvalidRequest("The output limit is not a sensible number.", param="max_tokens")
        return Ask(
            body=body,
            model=peek.model,
            stream=bool(peek.stream),
            output_limit=peek.max_tokens,
            shows_usage=True,
            relied_on=self._relied_on,
        )

    def quote(self, ask: Ask, rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:
        limit = ask.output_limit
        return quote_tokens(
            rates,
            input_tokens=input_tokens,
            output_limit=output_max if limit is None else limit,
            stream=ask.stream,
            explicit=True,
            n=1,
            searches=SEARCHES_HELD if b"search" in ask.body else 1,
        )

    def outgoing(self, ask: Ask, model: str, _limit_field: str, output_limit: int | None) -> bytes:
        assert output_limit is None
        return with_members(ask.body, ask.model, model, {}, ask.relied_on)

    def usage(self, _ask: Ask, body: bytes, wire: Wire) -> Report:
        return report_of(wire, answered(_decode_answer, body).usage)

    def counted(self, _ask: Ask, input_tokens: int, output: int) -> Usage:
        return Usage(input_tokens=input_tokens, output_tokens=count_text(output))

    def output_of(self, body: bytes) -> int:
        return _whole_text(body) if body.lstrip()[:1] == b"{" else text_bytes(body)

    def meter(self, _ask: Ask, wire: Wire) -> StreamMeter:
        return AnthropicStreamMeter(wire)

    def error(self, error: HubError, timestamp_ms: int, request_id: str) -> bytes:
        return error_body(error, timestamp_ms, request_id)

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        return error_event(error, timestamp_ms)


class AnthropicCountTokens(AnthropicMessages):
    """`/v1/messages/count_tokens`: recorded as a call of the model, and never charged."""

    operation = "messages/count_tokens"
    form: NeutralForm | None = CountForm()
    _decode = msgspec.json.Decoder(_CountPeek).decode
    _relied_on = ()

    def quote(self, _ask: Ask, _rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:  # noqa: ARG002 - the protocol's names
        return FREE

    def usage(self, _ask: Ask, body: bytes, _wire: Wire) -> Report:
        if answered(_decode_count, body).input_tokens < 0:
            raise UpstreamError("The upstream counted less than nothing.")
        return Report(_NOTHING_USED)

    def counted(self, _ask: Ask, _input_tokens: int, _output: int) -> Usage:
        return _NOTHING_USED

    def output_of(self, _body: bytes) -> int:
        return 0

    def meter(self, _ask: Ask, _wire: Wire) -> StreamMeter:
        raise AssertionError("the peek lets no stream through")


# Not even a request: prices of one hold for answers.
_NOTHING_USED = Usage(requests=0)


def _whole_text(body: bytes) -> int:
    """Return the bytes of text in a whole answer: what it says, thinks and calls tools with."""
    try:
        blocks = orjson.loads(body).get("content")
    except (orjson.JSONDecodeError, AttributeError):
        return 0
    return sum(map(_block_text, blocks)) if isinstance(blocks, list) else 0


def _block_text(block: object) -> int:
    if not isinstance(block, dict):
        return 0
    if block.get("type") in ("tool_use", "server_tool_use", "mcp_tool_use"):
        return json_length(block.get("input"))
    texts = (block.get("text"), block.get("thinking"))
    return sum(len(text.encode()) for text in texts if isinstance(text, str))
