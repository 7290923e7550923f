"""OpenAI Responses, and counting the input of one.

https://platform.openai.com/docs/api-reference/responses/create, looked up in November 2026.
"""

from typing import Any, ClassVar

import msgspec
import orjson

from aigne_hub.domain.errors import HubError, InvalidRequest, UpstreamError
from aigne_hub.domain.objects import RESPONSE, Followed
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import FREE, Quote, Size, count_text, quote_tokens, size_of
from aigne_hub.domain.usage import TOKENS_MAX, Report, Usage
from aigne_hub.gateway.dialects import Ask, NeutralForm, StreamMeter
from aigne_hub.gateway.dialects.openai.chat import OUTPUT_TOKENS_MAX, SEARCHES_HELD
from aigne_hub.gateway.dialects.openai.errors import error_body, error_object
from aigne_hub.gateway.dialects.reading import answered, is_present, peeked
from aigne_hub.gateway.dialects.responses.neutral import ResponsesForm
from aigne_hub.gateway.dialects.responses.response import (
    decode_response,
    failure_of,
    made_by,
    usage_of,
    written_bytes,
)
from aigne_hub.gateway.dialects.responses.stream import OpenAIResponsesMeter, text_bytes
from aigne_hub.gateway.dialects.splice import with_members
from aigne_hub.providers.profiles import RESPONSES_LANGUAGE
from aigne_hub.providers.usage import Wire

# OpenAI refuses a lower limit, so none is put in.
OUTPUT_TOKENS_MIN = 16
_LIMIT = "max_output_tokens"
_PREVIOUS = "previous_response_id"
# Tools that the caller runs, as its next input shows. Those that the provider runs put what
# they find before the model, which the hub does not see.
_CALLERS_TOOLS = frozenset({"function", "custom", "namespace", "local_shell", "apply_patch"})
_REFERENCE = b'"item_reference"'
_FAILED = frozenset({b'"failed"', b'"cancelled"'})
# A name no body has: relying on it makes the body be parsed and written again.
_WRITE_AGAIN = "\x00"


class _Tool(msgspec.Struct):
    type: str = ""


class _Peek(msgspec.Struct):
    model: str
    input: msgspec.Raw = msgspec.Raw()
    stream: bool | None = None
    max_output_tokens: int | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()
    tools: list[_Tool] | None = None


class _CountPeek(msgspec.Struct):
    stream: ClassVar[None] = None
    max_output_tokens: ClassVar[None] = None
    store: ClassVar[bool] = False
    background: ClassVar[None] = None
    prompt: ClassVar[msgspec.Raw] = msgspec.Raw()
    tools: ClassVar[None] = None
    model: str
    previous_response_id: str | None = None
    conversation: msgspec.Raw = msgspec.Raw()


class _CountAnswer(msgspec.Struct):
    input_tokens: int
    error: msgspec.Raw = msgspec.Raw()


_decode_count = msgspec.json.Decoder(_CountAnswer).decode


class OpenAIResponses:
    """dialects.Dialect for `/v1/responses`. It numbers its events, so each call has its own."""

    type = "chat"
    operation = "responses"
    language = RESPONSES_LANGUAGE
    forwards: tuple[bytes, ...] = ()
    request_id_header: bytes | None = None
    form: NeutralForm | None = ResponsesForm()
    _decode: Any = msgspec.json.Decoder(_Peek).decode
    _meter: OpenAIResponsesMeter | None = None

    def ask(self, body: bytes) -> Ask:
        peek = peeked(self._decode, body)
        _require_metered(peek)
        limit = peek.max_output_tokens
        if limit is not None and not 0 < limit <= OUTPUT_TOKENS_MAX:
            raise InvalidRequest("The output limit is not a sensible number.", param=_LIMIT)
        previous = peek.previous_response_id
        hidden = previous is not None or is_present(peek.prompt) or _REFERENCE in body
        hidden = hidden or any(tool.type not in _CALLERS_TOOLS for tool in peek.tools or ())
        return Ask(
            body=body,
            model=peek.model,
            stream=bool(peek.stream),
            output_limit=limit,
            shows_usage=True,
            stores=peek.store is not False,
            relied_on=_relied_on(peek),
            size=Size(TOKENS_MAX, size_of(body).text_bytes) if hidden else None,
            follows=None if previous is None else Followed(RESPONSE, previous, _PREVIOUS),
        )

    def quote(self, ask: Ask, rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:
        explicit = ask.output_limit is not None
        quote = quote_tokens(
            rates,
            input_tokens=input_tokens,
            output_limit=ask.output_limit if ask.output_limit is not None else output_max,
            stream=ask.stream,
            explicit=explicit,
            n=1,
            searches=SEARCHES_HELD if b"search" in ask.body else 1,
        )
        if ask.stream or explicit:
            return quote
        return quote._replace(tokens_min=min(OUTPUT_TOKENS_MIN, quote.tokens_wanted))

    def outgoing(self, ask: Ask, model: str, _limit_field: str, output_limit: int | None) -> bytes:
        if output_limit is None:
            return with_members(ask.body, ask.model, model, {}, ask.relied_on)
        # A limit given as null would stand behind the spliced one.
        relied_on = (*ask.relied_on, _WRITE_AGAIN)
        return with_members(ask.body, ask.model, model, {_LIMIT: output_limit}, relied_on)

    def usage(self, ask: Ask, body: bytes, wire: Wire) -> Report:
        response = answered(decode_response, body)
        if bytes(response.status) in _FAILED:
            raise failure_of("the response failed, and does not say why")
        ask.made = made_by(response, stores=ask.stores)
        return usage_of(wire, response, body)

    def counted(self, _ask: Ask, input_tokens: int, output: int) -> Usage:
        return Usage(input_tokens=input_tokens, output_tokens=count_text(output))

    def output_of(self, body: bytes) -> int:
        return written_bytes(body) if body.lstrip()[:1] == b"{" else text_bytes(body)

    def meter(self, ask: Ask, wire: Wire) -> StreamMeter:
        self._meter = OpenAIResponsesMeter(wire, ask)
        return self._meter

    def error(self, error: HubError, timestamp_ms: int, _request_id: str) -> bytes:
        return error_body(error, timestamp_ms)

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        """Return the event as documented, with the object that the SDKs raise for in it, too."""
        value = error_object(error, timestamp_ms)
        event = {
            "type": "error",
            "code": value["code"],
            "message": value["message"],
            "param": value["param"],
            "sequence_number": 0 if self._meter is None else self._meter.next_number,
            "error": value,
        }
        return b"event: error\ndata: %b\n\n" % orjson.dumps(event)


class OpenAIInputTokens(OpenAIResponses):
    """`/v1/responses/input_tokens`: recorded as a call of the model, and never charged."""

    operation = "responses/input_tokens"
    form: NeutralForm | None = None
    _decode = msgspec.json.Decoder(_CountPeek).decode

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


# Not even a request: prices of one hold for answers.
_NOTHING_USED = Usage(requests=0)


def _require_metered(peek: Any) -> None:
    """Raise InvalidRequest for what would be answered, or read, past the hub's books."""
    if peek.background:
        raise InvalidRequest(
            "The hub does not run responses in the background: what they use could not be "
            "charged. Leave `background` out, and `stream` long answers.",
            param="background",
        )
    if is_present(peek.conversation):
        raise InvalidRequest(
            "The hub keeps no conversations: it could not tell whose they are. Send the input, "
            f"or go on from a stored response with `{_PREVIOUS}`.",
            param="conversation",
        )


def _relied_on(peek: Any) -> tuple[str, ...]:
    names = (_LIMIT, _PREVIOUS, "background", "tools", "store")
    return tuple(name for name in names if getattr(peek, name) is not None)
