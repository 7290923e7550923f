"""OpenAI Chat Completions and legacy completions.

https://platform.openai.com/docs/api-reference/chat, checked against the published OpenAPI
description of August 2026.
"""

from typing import Any, ClassVar

import msgspec

from aigne_hub.domain.errors import HubError, InvalidRequest, UpstreamError
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote, count_text, quote_tokens
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects import Ask, NeutralForm
from aigne_hub.gateway.dialects.openai.errors import error_body, error_event
from aigne_hub.gateway.dialects.openai.neutral import ChatForm
from aigne_hub.gateway.dialects.openai.stream import OpenAIStreamMeter, text_bytes
from aigne_hub.gateway.dialects.openai.usage import Reporting, unusual_report, usual_report
from aigne_hub.gateway.dialects.reading import ABSENT, UNREADABLE, answered, peeked
from aigne_hub.gateway.dialects.splice import with_members
from aigne_hub.providers.profiles import OPENAI_LANGUAGE
from aigne_hub.providers.usage import Wire

# More parallel answers than any vendor allows.
N_MAX = 128
OUTPUT_TOKENS_MAX = 10_000_000
# How many searches by the provider are held for, where they have a price and the request
# speaks of searching; nothing bounds them, and one is held for in any case.
SEARCHES_HELD = 10
# A name no body has: relying on it makes the body be parsed and written again.
_WRITE_AGAIN = "\x00"


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _ChatPeek(msgspec.Struct):
    best_of: ClassVar[None] = None
    messages: list[msgspec.Raw]
    model: str
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stream_options: _StreamOptions | msgspec.UnsetType | None = msgspec.UNSET


class _CompletionPeek(msgspec.Struct):
    prompt: msgspec.Raw
    model: str
    stream: bool | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    stream_options: _StreamOptions | msgspec.UnsetType | None = msgspec.UNSET


class _Answer(Reporting):
    error: msgspec.Raw = ABSENT


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Ended(msgspec.Struct):
    choices: list[_Choice] | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_ended = msgspec.json.Decoder(_Ended).decode


class OpenAIChat:
    """dialects.Dialect for `/v1/chat/completions`; `OpenAICompletions` for the older form."""

    type = "chat"
    operation = "chat/completions"
    language = OPENAI_LANGUAGE
    forwards: tuple[bytes, ...] = ()
    request_id_header: bytes | None = None
    form: NeutralForm | None = ChatForm()
    _limit_field: str | None = None
    _decode: Any = msgspec.json.Decoder(_ChatPeek).decode

    def ask(self, body: bytes) -> Ask:
        peek = peeked(self._decode, body)
        limit: int | None = None
        n = 1
        relied_on: tuple[str, ...] = ()
        if not (peek.max_tokens is peek.max_completion_tokens is peek.n is peek.best_of is None):
            limit, n, relied_on = _bounds(peek)
        options = peek.stream_options
        given = options is not msgspec.UNSET
        return Ask(
            body=body,
            model=peek.model,
            stream=bool(peek.stream),
            output_limit=limit,
            n=n,
            shows_usage=bool(given and options and options.include_usage),
            options_given=given,
            relied_on=relied_on,
        )

    def quote(self, ask: Ask, rates: RateCard, *, input_tokens: int, output_max: int) -> Quote:
        explicit = ask.output_limit is not None
        return quote_tokens(
            rates,
            input_tokens=input_tokens,
            output_limit=ask.output_limit if ask.output_limit is not None else output_max,
            stream=ask.stream,
            explicit=explicit,
            n=ask.n,
            searches=SEARCHES_HELD if rates.search_worst() and b"search" in ask.body else 1,
        )

    def outgoing(self, ask: Ask, model: str, limit_field: str, output_limit: int | None) -> bytes:
        members: dict[str, Any] = {}
        relied_on = ask.relied_on
        if ask.stream and not ask.shows_usage:
            members["stream_options"] = {"include_usage": True}
            if ask.options_given:
                relied_on = (*relied_on, _WRITE_AGAIN)
        if output_limit is not None:
            # A limit given as null would stand behind the spliced one.
            members[self._limit_field or limit_field] = output_limit
            relied_on = (*relied_on, _WRITE_AGAIN)
        return with_members(ask.body, ask.model, model, members, relied_on)

    def usage(self, _ask: Ask, body: bytes, wire: Wire) -> Report:
        report = usual_report(body)
        if report is None:
            report = unusual_report(wire, answered(_decode_answer, body))
        if body.find(b'"error"') >= 0:
            _require_good_end(body)
        return report

    def counted(self, _ask: Ask, input_tokens: int, output: int) -> Usage:
        return Usage(input_tokens, count_text(output))

    def output_of(self, body: bytes) -> int:
        return text_bytes(body)

    def meter(self, ask: Ask, wire: Wire) -> OpenAIStreamMeter:
        return OpenAIStreamMeter(wire, shows_usage=ask.shows_usage)

    def error(self, error: HubError, timestamp_ms: int, _request_id: str) -> bytes:
        return error_body(error, timestamp_ms)

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        return error_event(error, timestamp_ms)


class OpenAICompletions(OpenAIChat):
    """`/v1/completions`: the same answers, a prompt instead of messages."""

    operation = "completions"
    form: NeutralForm | None = None
    _limit_field = "max_tokens"
    _decode = msgspec.json.Decoder(_CompletionPeek).decode


def _require_good_end(body: bytes) -> None:
    """Raise UpstreamError for an answer of which a choice ended with an error.

    https://openrouter.ai/docs/api/reference/errors-and-debugging, November 2026.
    """
    try:
        ended = _decode_ended(body)
    except UNREADABLE:
        return
    if any(choice.finish_reason == "error" for choice in ended.choices or ()):
        raise UpstreamError("The upstream ended its answer with an error.")


def _bounds(peek: Any) -> tuple[int | None, int, tuple[str, ...]]:
    """Return the output limit, how many answers are wanted, and the members that say so."""
    limit = peek.max_completion_tokens
    if limit is None:
        limit = peek.max_tokens
    if limit is not None and not 0 < limit <= OUTPUT_TOKENS_MAX:
        raise InvalidRequest("The output limit is not a sensible number.", param="max_tokens")
    n = max(peek.n or 1, peek.best_of or 1)
    if not 0 < n <= N_MAX:
        raise InvalidRequest(f"`n` is between 1 and {N_MAX}.", param="n")
    names = ("max_tokens", "max_completion_tokens", "n", "best_of")
    return limit, n, tuple(name for name in names if getattr(peek, name) is not None)
