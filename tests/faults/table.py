"""What must come of every fault, in words: the table that `test_fault_table.py` goes through.

A row says what the caller of a whole answer and of a stream gets, when its provider is the only
one. From that follow what is charged (docs/charging.md), and what changes when there is another
provider to fall over to: only where nothing was delivered, and the request is not at fault.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from tests.caller import PROMPT
from tests.faults.server.right import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    RESPONSES,
    WIRES,
    WORDS,
)

BYTES_PER_TOKEN = 4
BROKEN_AFTER = 3


class End(Enum):
    """How a call ends for its caller."""

    COMPLETE = "a complete answer"
    REFUSED = "the provider's own refusal of the request"
    FAILED = "an error, and nothing was delivered"
    BROKEN = "an error after content was delivered"
    CUT_OFF = "an error when the credits ran out"


class Charge(Enum):
    """What is charged."""

    ZERO = "nothing"
    EXACT = "what the provider reported"
    COUNTED = "what was counted"
    ALL = "all there was"


class Line(Enum):
    """What becomes of the connection."""

    KEPT = "in the pool again"
    CLOSED = "closed"
    NONE = "never there"
    EITHER = "either: it depends on what arrived in time"


class Spare(Enum):
    """Which other provider there is to fall over to."""

    NONE = "off"
    SAME = "on"
    ABROAD = "abroad"  # it speaks another wire


@dataclass(frozen=True, slots=True)
class Expected:
    """One cell. `words` is how many were delivered; `attempts` how many providers were asked."""

    end: End
    status: int = 200
    code: str = ""
    charge: Charge = Charge.ZERO
    words: int = 0
    line: Line = Line.KEPT
    attempts: int = 1
    retry_after: int | None = None

    @property
    def outcome(self) -> str:
        if self.end is End.COMPLETE:
            return "completed"
        if self.end is End.CUT_OFF:
            return "cut_off"
        return "upstream_timeout" if self.code == "upstream_timeout" else "upstream_failed"

    @property
    def recorded(self) -> str:
        return "success" if self.end in {End.COMPLETE, End.CUT_OFF} else "failed"

    @property
    def tokens(self) -> tuple[int, int]:
        """Return the input and output tokens that the call is recorded with."""
        if self.charge is Charge.EXACT:
            return INPUT_TOKENS, OUTPUT_TOKENS
        if self.charge is Charge.COUNTED:
            said = sum(map(len, WORDS[: self.words]))
            return -(-len(PROMPT) // BYTES_PER_TOKEN), -(-said // BYTES_PER_TOKEN)
        return 0, 0

    @property
    def source(self) -> str | None:
        return {Charge.ZERO: None, Charge.EXACT: "provider"}.get(self.charge, "counted")


@dataclass(frozen=True, slots=True)
class Row:
    """A fault. `whole` and `stream` are for all wires but those that `by_wire` names.

    `is_slow` for what is only noticed after a limit of time; `called_before` for what needs an
    earlier call; `body_bytes` is how much there is to send.
    """

    scenario: str
    whole: Expected
    stream: Expected
    by_wire: Mapping[tuple[str, bool], Expected] | None = None
    is_slow: bool = False
    called_before: bool = False
    body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to meet a fault."""

    row: Row
    wire: str
    stream: bool
    spare: Spare

    @property
    def name(self) -> str:
        stream = "stream" if self.stream else "whole"
        return f"{self.row.scenario}-{self.wire}-{stream}-{self.spare.value}".lower()

    @property
    def key(self) -> str:
        return f"sk-{self.name}"

    @property
    def first(self) -> Expected:
        """What the faulty provider alone comes to."""
        alone = self.row.stream if self.stream else self.row.whole
        return (self.row.by_wire or {}).get((self.wire, self.stream), alone)

    @property
    def expected(self) -> Expected:
        if self.spare is Spare.NONE or self.first.end is not End.FAILED:
            return self.first
        return replace(complete(self.first.line), attempts=2)


def complete(line: Line = Line.KEPT) -> Expected:
    return Expected(End.COMPLETE, charge=Charge.EXACT, words=len(WORDS), line=line)


def counted(line: Line = Line.KEPT) -> Expected:
    return Expected(End.COMPLETE, charge=Charge.COUNTED, words=len(WORDS), line=line)


def refused(status: int, code: str) -> Expected:
    return Expected(End.REFUSED, status, code)


def failed(line: Line = Line.CLOSED, status: int = 502, code: str = "upstream_error") -> Expected:
    return Expected(End.FAILED, status, code, line=line)


def limited(seconds: int) -> Expected:
    return Expected(End.FAILED, 429, "rate_limited", retry_after=seconds)


def broken(
    line: Line = Line.CLOSED, code: str = "upstream_error", words: int = BROKEN_AFTER
) -> Expected:
    return Expected(End.BROKEN, 200, code, Charge.COUNTED, words, line)


UNREACHED = failed(Line.NONE, 503, "no_upstream")
TOO_LATE = failed(Line.CLOSED, 504, "upstream_timeout")
NOT_EVEN_REACHED = failed(Line.NONE, 504, "upstream_timeout")
CUT = failed(Line.CLOSED)
BAD = failed(Line.KEPT)
# A stream that failed at once: the end of its framing may or may not have come with it.
BAD_STREAM = failed(Line.EITHER)
CUT_OFF = Expected(End.CUT_OFF, 200, "insufficient_credits", Charge.ALL, -1, Line.CLOSED)


def both(scenario: str, expected: Expected, *, is_slow: bool = False) -> Row:
    """Return a row for what comes to the same whether it is streamed or not."""
    return Row(scenario, expected, expected, is_slow=is_slow)


def all_of(family: str, variants: str, expected: Expected, *, is_slow: bool = False) -> list[Row]:
    names = [f"{family}-{variant}" for variant in variants.split()]
    return [both(name, expected, is_slow=is_slow) for name in names]


def streams(variants: str, whole: Expected, stream: Expected, family: str = "F23") -> list[Row]:
    return [Row(f"{family}-{variant}", whole, stream) for variant in variants.split()]


_UNREACHABLE = [
    both("F01-refused", UNREACHED),
    *all_of("F02", "silence unread", TOO_LATE, is_slow=True),
    both("F03-blackhole", NOT_EVEN_REACHED, is_slow=True),
    both("F04-no-address", UNREACHED),
    Row("F05-moved", complete(Line.CLOSED), complete(Line.CLOSED), called_before=True),
    Row("F05-gone", UNREACHED, UNREACHED, called_before=True),
    *all_of("F06", "alert plain", UNREACHED),
    *all_of("F07", "expired wrong-host unknown", UNREACHED),
    both("F07-right", complete()),
    *all_of("F08", "close reset half", UNREACHED),
    both("F08-stall", NOT_EVEN_REACHED, is_slow=True),
]
_HEADS = [
    both("F09-reset", CUT),
    both("F10-close", CUT),
    *all_of("F11", "stall drip", TOO_LATE, is_slow=True),
    both("F11-reset", CUT),
    *all_of("F12", "large many line", CUT),
    both("F25-417", BAD),
    *all_of("F25", "100 103 early", complete()),
    both("F25-101", CUT),
    Row("F25-reuse", complete(), complete(), called_before=True),
    Row("F28-answer", complete(Line.EITHER), complete(Line.EITHER), body_bytes=4 << 20),
    Row(
        "F28-413",
        replace(refused(413, "payload_too_large"), line=Line.EITHER),
        replace(refused(413, "payload_too_large"), line=Line.EITHER),
        body_bytes=4 << 20,
    ),
]
_STATUSES = [
    *all_of("F13", "400 400-html", refused(400, "invalid_request")),
    both("F13-422", refused(422, "invalid_request")),
    both("F13-404", refused(404, "not_found")),
    both("F13-413", refused(413, "payload_too_large")),
    *all_of("F13", "401 402 403 405 409 400-credit", BAD),
    both("F14-seconds", limited(7)),
    both("F14-date", limited(30)),
    *all_of("F14", "negative garbage none", limited(1)),
    both("F14-hours", limited(3_600)),
    both("F14-vast", limited(1)),  # nobody means thirty years
    both("F14-ms", limited(2)),
    *all_of("F15", "500 502 503", BAD),
    both("F15-504", failed(Line.KEPT, 504, "upstream_timeout")),
    both("F16-529", BAD),
    Row("F16-200", BAD, BAD_STREAM),
    Row("F16-event", BAD, BAD_STREAM),
    *all_of("F17", "301 302 303 307 308 metadata loop", BAD),
    both("F27-400", refused(400, "invalid_request")),
    *all_of("F27", "401 500", BAD),
    Row("F27-event", BAD, broken(Line.EITHER)),
    *all_of("F27", "answer split", complete()),
]
_BODIES = [
    *all_of("F18", "text none", complete()),
    Row("F18-html", BAD, BAD_STREAM),
    Row("F18-empty", BAD, BAD_STREAM),
    Row("F18-whole", complete(), BAD_STREAM),
    Row("F18-events", BAD, complete()),
    *streams("cut more nan deep bom surrogate", BAD, complete(), "F19"),
    both("F19-twice", complete()),
    *[Row(f"F20-{name}", BAD, BAD_STREAM) for name in ("gzip-bomb", "zstd-bomb", "br", "cut")],
    both("F20-untrue", complete()),
    Row("F21-long", CUT, complete(Line.CLOSED)),
    Row("F21-short", CUT, broken()),
    *all_of("F21", "both two negative", CUT),
    *streams("size vast half", CUT, broken(), "F22"),
    both("F22-late", complete()),
    Row("F22-last", CUT, complete(Line.EITHER)),
    *all_of("F26", "model id", complete()),
]
_EVENTS = [
    Row("F23-reset", CUT, broken()),
    Row("F23-close", CUT, broken(Line.EITHER)),
    Row(
        "F23-undone",
        complete(),
        complete(),
        {(RESPONSES, True): broken(Line.EITHER, words=len(WORDS))},
    ),
    *streams("bytes wide crlf cr mixed comments retry no-data", complete(), complete()),
    Row("F23-only-comments", BAD, BAD_STREAM),
    Row("F23-line", CUT, broken()),
    Row("F23-error", BAD, broken(Line.EITHER)),
    *all_of("F23", "no-usage negative huge words usage-text", counted()),
    *streams("twice tool done-twice goes-on", complete(), complete(Line.EITHER)),
    both("F24-drip", complete(), is_slow=True),
    Row("F24-endless", CUT, CUT_OFF, is_slow=True),
    Row("F24-silence", TOO_LATE, broken(code="upstream_timeout"), is_slow=True),
    Row("F24-resume", TOO_LATE, broken(code="upstream_timeout"), is_slow=True),
]
ROWS = [*_UNREACHABLE, *_HEADS, *_STATUSES, *_BODIES, *_EVENTS]
# One of each way to fail before anything is delivered: what is left is up to the translation.
ABROAD = ("F01-refused", "F10-close", "F13-401", "F14-seconds", "F15-500", "F16-event", "F18-html")
CELLS = [
    Cell(row, wire, stream, spare)
    for row in ROWS
    for wire in WIRES
    for stream in (False, True)
    for spare in Spare
    if spare is not Spare.ABROAD or row.scenario in ABROAD
]
