"""Automatic top-ups: when one is due, what a day allows, and what a declined card changes."""

from dataclasses import dataclass, replace

from aigne_hub.domain.currencies import format_minor

DAY_US = 24 * 3600 * 1_000_000
_HOUR_US = 3600 * 1_000_000
ATTEMPTS_A_DAY_DEFAULT = 3
ATTEMPTS_A_DAY_MAX = 20
# How long it waits after each decline in a row; after as many it gives up.
_BACKOFF_US = (_HOUR_US, 6 * _HOUR_US, 24 * _HOUR_US)
FAILURES_MAX = len(_BACKOFF_US)


@dataclass(frozen=True, slots=True)
class Rule:
    """What an account agreed to: below `threshold` buy `credits` (nano), within a day's caps.

    `amount_a_day` is in minor units. `failures` are declines in a row; until `retry_us` it
    rests. `disabled_reason` says why the hub switched it off.
    """

    account_id: str
    provider: str
    enabled: bool
    threshold: int
    credits: int
    attempts_a_day: int
    amount_a_day: int
    failures: int = 0
    retry_us: int | None = None
    disabled_reason: str | None = None

    def due(self, unheld: int, now_us: int) -> bool:
        """Whether an account with `unheld` nano-credits needs a top-up now."""
        rested = self.retry_us is None or self.retry_us <= now_us
        return self.enabled and rested and unheld < self.threshold

    def refusal(self, attempts: int, spent: int, amount: int, currency: str) -> str | None:
        """Say which cap of the day keeps a charge of `amount` from being made, if one does."""
        if attempts >= self.attempts_a_day:
            return f"today's {self.attempts_a_day} attempts are used up"
        if spent + amount > self.amount_a_day:
            return f"today's {format_minor(self.amount_a_day, currency)} would be exceeded"
        return None

    def declined(self, reason: str, now_us: int, *, final: bool) -> "Rule":
        """Return the rule after a decline: it rests longer each time, and then gives up."""
        failures = self.failures + 1
        if final or failures >= FAILURES_MAX:
            return replace(
                self, failures=failures, enabled=False, retry_us=None, disabled_reason=reason
            )
        return replace(self, failures=failures, retry_us=now_us + _BACKOFF_US[failures - 1])

    def succeeded(self) -> "Rule":
        return replace(self, failures=0, retry_us=None)


def day_of(now_us: int) -> int:
    """Return when the day of an instant began, in UTC: caps are counted from there."""
    return now_us - now_us % DAY_US
