"""A provider's figures beside the hub's, by day and model, and why they may differ."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from aigne_hub.billing.provider_report import Key, Reported

# What vendors add to a model's name to tell its snapshots apart.
_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest)")
FIGURES = ("read", "cached", "written", "cost")


@dataclass(frozen=True, slots=True)
class Own:
    """The hub's own calls of a day and model. `cost` is in nano-dollars, as declared.

    The five after it count calls: without a declared cost, interrupted by the hub's death,
    counted for want of a report, failed after content was delivered, and tried more than once.
    `failed_attempts` at the model, of these and other calls, may have cost `failed_cost` besides.
    """

    calls: int = 0
    read: int = 0
    cached: int = 0
    written: int = 0
    cost: int = 0
    uncosted: int = 0
    interrupted: int = 0
    counted: int = 0
    failed: int = 0
    retried: int = 0
    failed_attempts: int = 0
    failed_cost: int = 0

    def plus(self, other: "Own") -> "Own":
        return replace(
            self, **{name: getattr(self, name) + getattr(other, name) for name in self.__slots__}
        )


class Row(NamedTuple):
    """One day and model. `off` names the figures beyond the tolerance, `causes` says why."""

    key: Key
    theirs: Reported | None
    own: Own
    off: tuple[str, ...]
    causes: tuple[str, ...]


def compared(
    theirs: Mapping[Key, Reported], own: Mapping[Key, Own], tolerance: Fraction
) -> list[Row]:
    """Return a row for each day and model that either side knows, by day and model.

    `tolerance` is the part of the larger figure that a difference may be. A snapshot that the
    hub does not call by its full name is the model it is a snapshot of.
    """
    names = {key.model for key in own}
    merged: dict[Key, Reported] = {}
    for key, reported in theirs.items():
        merged.setdefault(Key(key.day, _known_as(key.model, names)), Reported()).add(
            **{name: getattr(reported, name) for name in Reported.__slots__}
        )
    rows = []
    for key in sorted({*merged, *own}):
        found, ours = merged.get(key), own.get(key, Own())
        off = _off(found or Reported(read=0, written=0), ours, tolerance)
        rows.append(Row(key, found, ours, off, _causes(found, ours, off) if off else ()))
    return rows


def total(rows: Iterable[Row]) -> tuple[Reported, Own]:
    theirs, own = Reported(), Own()
    for row in rows:
        own = own.plus(row.own)
        if row.theirs is not None:
            theirs.add(**{name: getattr(row.theirs, name) for name in Reported.__slots__})
    return theirs, own


def _known_as(model: str, names: Iterable[str]) -> str:
    if model in names:
        return model
    base = _SNAPSHOT.sub("", model)
    return base if base in names else model


def _off(theirs: Reported, own: Own, tolerance: Fraction) -> tuple[str, ...]:
    off = []
    for name in FIGURES:
        their, our = getattr(theirs, name), getattr(own, name)
        if their is None or (name == "cost" and own.uncosted == own.calls > 0):
            continue
        if name == "cost":
            # What failed may have cost nothing, too.
            our = min(max(their, our), our + own.failed_cost)
        if abs(their - our) > tolerance * max(abs(their), abs(our)):
            off.append(name)
    return tuple(off)


def _causes(theirs: Reported | None, own: Own, off: tuple[str, ...]) -> tuple[str, ...]:
    """Say what is likely behind a difference, the likeliest first."""
    if not own.calls and not own.failed_attempts:
        return ("no call of this hub: another program uses the same account",)
    if theirs is None:
        return ("the export does not have it: another account, or exported too early",)
    causes = [
        f"{count} {what}"
        for count, what in (
            (own.interrupted, "calls were interrupted, and counted from the journal"),
            (own.counted - own.interrupted, "calls were counted, for want of a report"),
            (own.failed, "calls failed after content was delivered"),
            (own.retried, "calls were tried more than once: failed tries may be billed"),
            (own.failed_attempts, "attempts at it failed, which may be billed"),
        )
        if count > 0
    ]
    if "cost" in off:
        if own.uncosted:
            causes.append(f"{own.uncosted} calls have no declared cost")
        elif off == ("cost",):
            causes.append("the tokens agree: the declared cost is not what is billed")
    return tuple(causes) or ("another program uses the same account, or the days differ",)
