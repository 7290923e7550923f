"""How vendors write how long to wait, as whole seconds, rounded up. Nothing here raises."""

import math
import re
from typing import Final

# An upstream may ask for at most this much patience.
PATIENCE_MAX_S: Final = 3_600
# Nobody means a longer time; what says so is not believed.
ABSURD_S: Final = 366 * 86_400
_NUMBER: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")
# OpenAI's and Groq's `6m0s`, `20ms`, `2m59.56s`; protobuf's `34.07s`.
_SPAN: Final = re.compile(
    r"(?:(?P<d>[0-9]{1,9})d)?(?:(?P<h>[0-9]{1,9})h)?(?:(?P<m>[0-9]{1,9})m(?!s))?"
    r"(?:(?P<s>[0-9]{1,9}(?:\.[0-9]{1,15})?)s)?(?:(?P<ms>[0-9]{1,9}(?:\.[0-9]{1,15})?)ms)?"
)
_SECONDS_OF: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
# "Please try again in 6m0s.", "Please retry after 26 seconds."
_AGAIN_IN: Final = re.compile(r"(?:try again in|retry in) ([0-9][0-9.hms]{0,30})")
_AFTER: Final = re.compile(r"(?:try again|retry) (?:after|in) ([0-9]{1,9}) sec")


def believed_s(asked: int) -> int:
    """Return for how long an upstream that asks for this is left alone, 0 where it is absurd."""
    return min(asked, PATIENCE_MAX_S) if 0 < asked <= ABSURD_S else 0


def number_s(text: str) -> int | None:
    """Return a plain number of seconds, None for anything else."""
    return math.ceil(float(text)) if _NUMBER.fullmatch(text) else None


def span_s(text: str) -> int | None:
    """Return a span with units, None for anything else."""
    found = _SPAN.fullmatch(text)
    if not text or found is None:
        return None
    parts = found.groupdict()
    return math.ceil(sum(float(parts[unit] or 0) * each for unit, each in _SECONDS_OF.items()))


def asked_in(message: str) -> int:
    """Return how long an error's words ask to wait, 0 when they do not."""
    after = _AFTER.search(message)
    if after is not None:
        return int(after[1])
    again = _AGAIN_IN.search(message)
    return span_s(again[1].rstrip(".")) or 0 if again is not None else 0
