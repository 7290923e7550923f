"""Counters and log lines: cheap enough for the hot path, written off it."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.operations import Open, Settle, Settled
from aigne_hub.domain.usage import BUCKETS, Report, Usage, UsageAlarm
from aigne_hub.logs import get_logger

# Seconds; GenAI calls take from milliseconds to minutes.
DURATION_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_BOUNDS_US = tuple(round(bound * 1e6) for bound in DURATION_BUCKETS_S)
# Calls that are remembered to be counted together, of one type at one provider.
ENDED_MAX = 256
# Log lines kept for the next flush; beyond this they are dropped and counted.
LINES_MAX = 10_000
# How many alarms about usage are remembered, so that each is raised once: a provider that
# makes up names cannot fill the memory, the log or the database.
ALARMS_MAX = 1_000
DAY_US = 86_400_000_000
_encoder = msgspec.json.Encoder()


class Histogram:
    """Counts by upper bound, with a sum."""

    __slots__ = ("_sum_us", "counts")

    def __init__(self) -> None:
        self.counts = [0] * (len(DURATION_BUCKETS_S) + 1)
        self._sum_us = 0

    @property
    def sum(self) -> float:
        """All that was observed, in seconds."""
        return self._sum_us / 1e6

    def observe(self, durations_us: Iterable[int]) -> None:
        """Count many at once: a call alone would pay as much as all of them."""
        ordered = sorted(durations_us)
        below = 0
        for place, bound in enumerate(_BOUNDS_US):
            within = bisect_right(ordered, bound)
            self.counts[place] += within - below
            below = within
        self.counts[-1] += len(ordered) - below
        self._sum_us += sum(ordered)


class Tally:
    """What was counted of one type of call at one provider.

    A call that ends is only remembered in `ended`; `count` must be called before anything
    else is read. All of it happens in the event loop, so no call is lost in between.
    """

    __slots__ = (
        "cache_read_tokens",
        "cache_write_tokens",
        "charged_nano",
        "duration",
        "ended",
        "first_byte",
        "input_tokens",
        "outcomes",
        "output_tokens",
        "written_off_nano",
    )

    def __init__(self) -> None:
        # How it ended, its duration and the time to its first byte (us), usage and settlement.
        self.ended: list[tuple[Outcome, int, int | None, Usage | None, Settled]] = []
        self.outcomes: dict[str, int] = defaultdict(int)
        self.input_tokens = self.output_tokens = 0
        self.cache_read_tokens = self.cache_write_tokens = 0
        self.charged_nano = self.written_off_nano = 0
        self.duration = Histogram()
        self.first_byte = Histogram()

    def count(self) -> None:
        """Count what ended since, column by column."""
        if not self.ended:
            return
        outcomes, durations, first_bytes, usages, settled = zip(*self.ended, strict=True)
        self.ended.clear()
        for outcome, times in Counter(outcomes).items():
            self.outcomes[str(outcome)] += times
        self.duration.observe(durations)
        self.first_byte.observe(us for us in first_bytes if us is not None)
        # The buckets are the first fields of a usage, and all that is counted of it.
        columns = zip(*filter(None, usages), strict=True)
        for bucket, tokens in zip(BUCKETS, columns, strict=False):
            setattr(self, bucket, getattr(self, bucket) + sum(tokens))
        charges, written_off = map(sum, zip(*settled, strict=True))
        self.charged_nano += charges - written_off
        self.written_off_nano += written_off


class Counters:
    """Plain integers, read when somebody scrapes. Labels come from configuration only."""

    def __init__(self) -> None:
        # By type of call and provider.
        self.tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
        self.refused: dict[str, int] = defaultdict(int)
        self.usage_unknown: dict[str, int] = defaultdict(int)
        self.usage_refused: dict[str, int] = defaultdict(int)
        self.in_flight = 0

    def counted(self) -> dict[tuple[str, str], Tally]:
        """Return the tallies as they are now, for whoever scrapes."""
        for tally in self.tallies.values():
            tally.count()
        return self.tallies


class Line(msgspec.Struct, tag_field="event", tag="call", gc=False):
    """What the log says of every call: an allow-list of fields, and nothing that holds others."""

    call_id: str
    request_id: str
    outcome: str
    model: str


class ClosedLine(Line, tag="call", gc=False):
    provider: str | None
    credential: str | None
    user_did: str
    input_tokens: int
    output_tokens: int
    duration_ms: float
    attempts: int
    error: str | None


class RefusedLine(Line, tag="call", gc=False):
    user_did: str
    error: str


class CallLog:
    """One JSON line a call, made and written in batches."""

    def __init__(self, write: Callable[[bytes], Any] | None) -> None:
        self._write = write
        self._lines: list[Line] = []
        self.wanted = write is not None
        self.dropped = 0

    def add(self, line: Line) -> None:
        if len(self._lines) >= LINES_MAX:
            self.dropped += 1
            return
        self._lines.append(line)

    def flush(self) -> None:
        if self._lines and self._write is not None:
            lines, self._lines = self._lines, []
            self._write(_encoder.encode_lines(lines))


class UsageAlarms:
    """Says once what is strange in providers' reports of usage, and keeps it for the outbox.

    An unknown field is said once, a refused report once a provider and day; the counters count
    every one.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._seen: set[tuple[str, str | int]] = set()
        self._waiting: list[UsageAlarm] = []
        self._log = get_logger()

    def note(self, settle: Settle, report: Report) -> None:
        provider = settle.provider or "-"
        found = {"provider": provider, "model": settle.model, "call_id": settle.call_id}
        for path in report.unread:
            self._counters.usage_unknown[provider] += 1
            if self._is_new((provider, path)):
                self._log.warning(
                    "a provider reports a field that is not known", field=path, **found
                )
                self._keep(settle, field=path)
        if report.refused is not None:
            self._counters.usage_refused[provider] += 1
            if self._is_new((provider, settle.ended_us // DAY_US)):
                reason = report.refused
                self._log.warning("a provider's usage was not believed", reason=reason, **found)
                self._keep(settle, reason=reason)

    def taken(self) -> list[UsageAlarm]:
        """Return what was noted since; the caller makes it durable or gives it back."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def give_back(self, alarms: list[UsageAlarm]) -> None:
        self._waiting = alarms + self._waiting

    def _is_new(self, key: tuple[str, str | int]) -> bool:
        if key in self._seen or len(self._seen) >= ALARMS_MAX:
            return False
        self._seen.add(key)
        return True

    def _keep(self, settle: Settle, field: str | None = None, reason: str | None = None) -> None:
        self._waiting.append(
            UsageAlarm(
                settle.provider or "-",
                settle.model,
                settle.call_id,
                settle.ended_us,
                field,
                reason,
            )
        )


class CallObserver:
    """Told of every call that ended or was refused after its caller was known."""

    def __init__(self, counters: Counters, log: CallLog, alarms: UsageAlarms) -> None:
        self._counters = counters
        self._log = log
        self._alarms = alarms

    def closed(self, opened: Open, settle: Settle, settled: Settled) -> None:
        tally = self._counters.tallies[opened.type, settle.provider or "-"]
        usage = settle.usage
        tally.ended.append((settle.outcome, settle.duration_us, settle.ttfb_us, usage, settled))
        if len(tally.ended) >= ENDED_MAX:
            tally.count()
        if self._log.wanted:
            self._log.add(
                ClosedLine(
                    opened.call_id,
                    opened.request_id,
                    settle.outcome,
                    settle.model,
                    settle.provider,
                    settle.credential,
                    opened.user_did,
                    0 if usage is None else usage.input_tokens,
                    0 if usage is None else usage.output_tokens,
                    settle.duration_us / 1000,
                    len(settle.attempts),
                    settle.error_code,
                )
            )

    def doubted(self, settle: Settle, report: Report) -> None:
        self._alarms.note(settle, report)

    def refused(self, opened: Open, code: str) -> None:
        self._counters.tallies[opened.type, "-"].outcomes["rejected"] += 1
        if self._log.wanted:
            self._log.add(
                RefusedLine(
                    opened.call_id,
                    opened.request_id,
                    "rejected",
                    opened.model,
                    opened.user_did,
                    code,
                )
            )
