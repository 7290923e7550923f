"""Limits: may this call start under them, what it reserves, and what it used of them."""

import re
from collections.abc import Iterable, Sequence

from aigne_hub.domain.errors import LimitState, RateLimited
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.limits import Counter, Limit, Measure, measure_of
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.operations import Open, Settle
from aigne_hub.domain.windows import Window

# A client that is told to wait longer than this should ask somebody instead.
RETRY_AFTER_MAX_S = 24 * 3600
# Open streams end by themselves; nobody knows when.
STREAM_RETRY_S = 1
_MICROSECONDS = 1_000_000
_NAMED = re.compile(r"\(((?:key|user|project|grant) [a-z]+ (?:per [a-z]+|in total|at once))\)")

Checked = Sequence[tuple[Limit, Counter]]


def require_room(checked: Checked, opened: Open, now_us: int) -> None:
    """Raise RateLimited when a limit on calls, tokens or streams has no room for one more."""
    for limit, counter in checked:
        wanted = _reserved(limit.measure, opened)
        if wanted and counter.used + counter.held + wanted > limit.amount:
            state = described(limit, counter, now_us)
            raise RateLimited(
                _message(limit, state, wanted),
                retry_after_s=_retry_after(limit, now_us),
                limit=state,
            )


def tightest(checked: Checked) -> tuple[Limit, Counter] | None:
    """Return the spending limit with the least room."""
    limits = [pair for pair in checked if pair[0].measure is Measure.CREDITS]
    return min(limits, key=lambda pair: pair[1].room, default=None)


def spending(counters: Iterable[Counter]) -> list[Counter]:
    return [counter for counter in counters if measure_of(counter.id) is Measure.CREDITS]


def reserve(checked: Checked, opened: Open, held: int) -> tuple[str, ...]:
    """Take a call's room under every limit; return the counters it will settle with."""
    settled_later = []
    for limit, counter in checked:
        if limit.measure is Measure.REQUESTS:
            counter.used += 1
            continue
        amount = held if limit.measure is Measure.CREDITS else _reserved(limit.measure, opened)
        if limit.measure is Measure.STREAMS and not amount:
            continue
        counter.hold(amount)
        settled_later.append(counter.id)
    return tuple(settled_later)


def settle(counters: Iterable[Counter], settled: Settle, charged: int) -> None:
    """Turn what a call held under its limits into what it used."""
    for counter in counters:
        match measure_of(counter.id):
            case Measure.CREDITS:
                counter.settle(settled.held, charged)
            case Measure.TOKENS:
                used = settled.usage.total_tokens if settled.usage else 0
                counter.settle(settled.tokens_reserved, used)
            case Measure.STREAMS:
                counter.settle(1, 0)
            case Measure.REQUESTS:
                pass


def described(limit: Limit, counter: Counter, now_us: int) -> LimitState:
    """Return a limit as its caller may see it."""
    shown = format_credits if limit.measure is Measure.CREDITS else str
    end = limit.span(now_us).end_us
    return LimitState(
        limit=_title(limit),
        measure=limit.measure.value,
        window=limit.window.value,
        amount=shown(limit.amount),
        used=shown(counter.used),
        held=shown(counter.held),
        remaining=shown(max(limit.amount - counter.used - counter.held, 0)),
        resets_at=None if end is None else format_instant(end),
    )


def sentence(state: LimitState) -> str:
    """Say which limit it is, how much is used, and when it comes back."""
    back = f"It resets at {state.resets_at}." if state.resets_at else "It does not reset."
    return (
        f"The limit of {state.amount} ({state.limit}) has {state.used} used and "
        f"{state.held} held by calls in flight. {back}"
    )


def named_in(message: str) -> str | None:
    """Return the limit that a refusal's message names, as its `LimitState.limit`."""
    found = _NAMED.search(message)
    return None if found is None else found[1]


def _title(limit: Limit) -> str:
    if limit.measure is Measure.STREAMS:
        return f"{limit.subject.value} streams at once"
    span = "in total" if limit.window is Window.TOTAL else f"per {limit.window.value}"
    return f"{limit.subject.value} {limit.measure.value} {span}"


def _reserved(measure: Measure, opened: Open) -> int:
    match measure:
        case Measure.REQUESTS:
            return 1
        case Measure.TOKENS:
            return opened.tokens_wanted
        case Measure.STREAMS:
            return int(opened.stream)
        case Measure.CREDITS:
            return 0


def _message(limit: Limit, state: LimitState, wanted: int) -> str:
    if limit.measure is Measure.STREAMS:
        return f"Too many streams at once: {state.held} of {state.amount} are open ({state.limit})."
    message = f"This call needs {wanted} {state.measure}. {sentence(state)}"
    if wanted > limit.amount:
        message += " It cannot fit at any time: send less, or lower the output limit."
    return message


def _retry_after(limit: Limit, now_us: int) -> int:
    end = limit.span(now_us).end_us
    if limit.measure is Measure.STREAMS or end is None:
        return STREAM_RETRY_S
    return min(max(-(-(end - now_us) // _MICROSECONDS), 1), RETRY_AFTER_MAX_S)
