"""The object `response` of OpenAI's Responses, as whole answers and streams have it.

https://platform.openai.com/docs/api-reference/responses/object, looked up in November 2026.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import orjson

from aigne_hub.domain.errors import HubError, RateLimited
from aigne_hub.domain.faults import Fault
from aigne_hub.domain.objects import RESPONSE, Made, made
from aigne_hub.domain.usage import TOKENS_MAX, Report, Usage
from aigne_hub.gateway.dialects.openai.usage import Reporting, report_of, tier_of
from aigne_hub.gateway.dialects.reading import UNREADABLE, decoded, is_present
from aigne_hub.providers.complaints import reported
from aigne_hub.providers.usage import Wire

_FIGURE = re.compile(rb"[1-9]")
_SEARCH = b'"web_search_call"'
# The members of an output item, or of its parts, that the model wrote.
_WRITTEN = ("text", "refusal", "arguments", "input", "code")
_PARTS = ("content", "summary")
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=TOKENS_MAX)]


class Response(Reporting):
    """The members that are looked at."""

    id: msgspec.Raw = msgspec.Raw()
    status: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    store: msgspec.Raw = msgspec.Raw()
    tool_usage: msgspec.Raw = msgspec.Raw()


class _Read(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: _Tokens = 0
    cache_write_tokens: _Tokens = 0


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    reasoning_tokens: _Tokens = 0


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    """`usage` as OpenAI documents it."""

    input_tokens: _Tokens
    output_tokens: _Tokens
    total_tokens: _Tokens
    input_tokens_details: _Read | None = None
    output_tokens_details: _Written | None = None

    def buckets(self, tier: str) -> Usage | None:
        """Return the buckets of figures that add up; None for the table to decide."""
        read = written = reasoning = 0
        if self.input_tokens_details is not None:
            read = self.input_tokens_details.cached_tokens
            written = self.input_tokens_details.cache_write_tokens
        if self.output_tokens_details is not None:
            reasoning = self.output_tokens_details.reasoning_tokens
        fresh = self.input_tokens - read - written
        adds_up = self.total_tokens == self.input_tokens + self.output_tokens
        if fresh < 0 or reasoning > self.output_tokens or not adds_up:
            return None
        return Usage(
            input_tokens=fresh,
            output_tokens=self.output_tokens,
            cache_read_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=reasoning,
            service_tier=tier,
        )


decode_response = msgspec.json.Decoder(Response).decode
_decode_usual = msgspec.json.Decoder(_Usual).decode


def usage_of(wire: Wire, response: Response, body: bytes) -> Report:
    """Return what a response reports; `body` is the JSON it stands in.

    Searches by the provider have a fee. One that does not say how many it made is taken by
    what it shows of them.
    """
    told = is_present(response.tool_usage)
    if told and _FIGURE.search(response.tool_usage):
        return report_of(wire, response, tool_usage=decoded(response.tool_usage))
    report = None
    tier = tier_of(response.service_tier)
    if tier is not None and is_present(response.usage):
        try:
            usage = _decode_usual(response.usage).buckets(tier)
        except UNREADABLE:
            usage = None
        report = None if usage is None else Report(usage)
    if report is None:
        report = report_of(wire, response)
    if told or report.usage is None or report.usage.searches or _SEARCH not in body:
        return report
    searches = sum(1 for item in items_of(body) if _is_search(item))
    return report._replace(usage=report.usage._replace(searches=searches))


def made_by(response: Response, *, stores: bool) -> Made | None:
    """Return the object that a response is at its provider, None where that keeps none."""
    if not stores or bytes(response.store) == b"false":
        return None
    return made(RESPONSE, decoded(response.id))


def failure_of(error: object) -> HubError:
    """Return the error that an answer came with."""
    failure = reported(error)
    if failure.fault is not Fault.THROTTLED:
        return failure
    limited = RateLimited(failure.message, retry_after_s=max(failure.patience_s, 1))
    limited.fault, limited.patience_s = failure.fault, failure.patience_s
    return limited


def written_bytes(body: bytes) -> int:
    """Return the bytes of text in a whole response: what it says, and calls tools with."""
    return sum(map(_item_bytes, items_of(body)))


def items_of(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the output items of a response, or of the event that one stands in."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return
    value = value.get("response", value) if isinstance(value, dict) else None
    output = value.get("output") if isinstance(value, dict) else None
    for item in output if isinstance(output, list) else ():
        if isinstance(item, dict):
            yield item


def _item_bytes(item: dict[str, Any]) -> int:
    texts = [item.get(name) for name in _WRITTEN]
    for name in _PARTS:
        parts = item.get(name)
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                texts += [part.get(name) for name in _WRITTEN]
    return sum(len(text.encode(errors="replace")) for text in texts if isinstance(text, str))


def _is_search(item: dict[str, Any]) -> bool:
    """Tell whether an item is a search; opening a page that one found has no fee."""
    if item.get("type") != "web_search_call":
        return False
    action = item.get("action")
    return not isinstance(action, dict) or action.get("type", "search") == "search"
