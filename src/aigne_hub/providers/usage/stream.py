"""The reports of a stream: which of several is the call's.

Usage is read from whatever event has it; which kinds of events end a stream is no matter. The
last report counts, when it has at least what the one before it had: a stream's figures
only grow, so a smaller one (zeros, in most cases) is a mistake. A later report that cannot be
true takes back what was believed before. A stream whose wire tells figures in parts
(Wire.is_cumulative) keeps of each the last, by the same rule.
"""

from typing import Any

from aigne_hub.domain.usage import NO_REPORT, AbsurdUsage, Report
from aigne_hub.providers.usage.wire import Leaves, Wire


def later(earlier: Report, report: Report) -> Report:
    """Return which of two reports of one stream counts; `unread` of both is kept."""
    unread = tuple(dict.fromkeys(earlier.unread + report.unread))
    kept = report
    if report.refused is None:
        usage, before = report.usage, earlier.usage
        if usage is None or (before is not None and usage.total_tokens < before.total_tokens):
            kept = earlier
    return kept if kept.unread == unread else kept._replace(unread=unread)


class UsageStream:
    """Reads the usage of one stream, event by event."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._leaves: Leaves = {}
        self.report = NO_REPORT

    def add(self, event: object) -> None:
        """Read one decoded event. Never raises."""
        if not self._wire.is_cumulative:
            self.report = later(self.report, self._wire.read(event))
            return
        try:
            for path, values in self._wire.leaves(event).items():
                if not _is_less(values, self._leaves.get(path)):
                    self._leaves[path] = values
            self.report = self._wire.sum_up(self._leaves)
        except AbsurdUsage as refusal:
            self.report = Report(refused=str(refusal))


def _is_less(values: list[Any], earlier: list[Any] | None) -> bool:
    """Tell whether amounts are smaller than they were, and no nonsense that must be seen."""
    if earlier is None or not all(type(value) is int and value >= 0 for value in values + earlier):
        return False
    return bool(sum(values) < sum(earlier))
