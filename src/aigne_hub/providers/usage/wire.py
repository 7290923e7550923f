"""A wire: which field of a provider's usage is which figure, as a table, and how it is read."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

from aigne_hub.domain.usage import NAME_MAX, STANDARD, TOKENS_MAX, UNITS_MAX, AbsurdUsage, Report
from aigne_hub.providers.usage.figures import Role, usage_of

# A usage object has some twenty fields, three deep; one beyond this is not one.
LEAVES_MAX = 512
DEPTH_MAX = 8
# How many unknown fields of one report are named, and how much of a name is kept.
UNREAD_MAX = 16
PATH_MAX = 96

_ODD = re.compile(r"[^A-Za-z0-9_.\[\]-]")
_TIER = re.compile(r"[a-z0-9][a-z0-9_-]*")

# The values in a usage object by path; a path through a list may lead to several.
Leaves = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure and the names it goes by: of several the first that is not zero is it.

    A path is member names joined by dots. The elements of a list are told apart by a member
    (Wire.selectors): `details[AUDIO].tokens`; several of one kind are added up. `#path` is
    the length of a list in the answer (Wire.lengths).
    """

    role: Role
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an answer or event a usage object stands, and what its paths begin with.

    Of several places with one prefix the first that is there is read.
    """

    path: str
    prefix: str = ""


@dataclass(frozen=True)
class Wire:
    """How one kind of answer reports usage.

    `labels` are members that name a tier of prices, with what their values are called on a
    rate card. `free` gives the reason why a field changes no price; a name that ends in `.`
    stands for all that is below it. `is_cumulative` says that a stream tells its figures
    in parts, each replacing what it repeats. `lengths` are lists of the answer that are
    counted, `*` standing for every element. `has_hidden_reasoning` says that what the total has
    beyond the other figures is reasoning. `source` and `checked` say where the fields were
    looked up, and when.
    """

    name: str
    source: str
    checked: str
    figures: tuple[Figure, ...]
    places: tuple[Place, ...]
    free: Mapping[str, str]
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    selectors: Mapping[str, str] = field(default_factory=dict)
    lengths: tuple[str, ...] = ()
    is_cumulative: bool = False
    has_hidden_reasoning: bool = False

    @cached_property
    def _by_path(self) -> dict[str, list[tuple[int, int]]]:
        """Return for each path the figures it may be, with its rank among their names."""
        found: dict[str, list[tuple[int, int]]] = {}
        for index, figure in enumerate(self.figures):
            for rank, path in enumerate(figure.paths):
                found.setdefault(path, []).append((index, rank))
        return found

    @cached_property
    def _free_below(self) -> tuple[str, ...]:
        return tuple(path for path in self.free if path.endswith("."))

    def read(self, answer: object) -> Report:
        """Return what an answer or event reports. Never raises."""
        try:
            return self.sum_up(self.leaves(answer))
        except AbsurdUsage as refusal:
            return Report(refused=str(refusal))

    def leaves(self, answer: object) -> Leaves:
        """Return the values in the usage objects of an answer or event, by path.

        Raises AbsurdUsage when what stands in their place is none.
        """
        found: Leaves = {}
        if isinstance(answer, dict):
            taken: set[str] = set()
            for place in self.places:
                value = _at(answer, place.path)
                if value is None or place.prefix in taken:
                    continue
                taken.add(place.prefix)
                for number, (path, leaf) in enumerate(self._below(value, place.prefix, 0)):
                    if number >= LEAVES_MAX:
                        raise AbsurdUsage("it has more fields than any usage")
                    found.setdefault(path, []).append(leaf)
            for path in self.lengths:
                length = sum(len(each) for each in _all_at(answer, path) if isinstance(each, list))
                if length:
                    found[f"#{path}"] = [length]
        return found

    def _below(self, value: object, path: str, depth: int) -> Iterator[tuple[str, Any]]:
        if depth > DEPTH_MAX:
            raise AbsurdUsage("it is nested deeper than any usage")
        if isinstance(value, dict):
            for name, member in value.items():
                yield from self._below(member, f"{path}.{name}" if path else name, depth + 1)
        elif isinstance(value, list) and path:
            selector = self.selectors.get(path)
            for element in value:
                kind, rest = _selected(element, selector)
                yield from self._below(rest, f"{path}[{kind}]", depth + 1)
        elif not path:
            raise AbsurdUsage("it is not an object")
        elif value is not None:
            yield path, value

    def sum_up(self, leaves: Leaves) -> Report:
        """Return the report that these values make; raises AbsurdUsage.

        Zeros are believed; only a report without any figure says nothing.
        """
        tiers: list[str] = []
        unread: list[str] = []
        for path, values in leaves.items():
            if path in self.labels:
                for value in values:
                    tiers += self._tier(path, value, unread)
            elif not (path in self._by_path or self._is_free(path)):
                unread.append(path)
        shown = tuple(_shown(path) for path in unread[:UNREAD_MAX])
        sums = self._sums(leaves)
        if not sums.keys() - {Role.TOTAL}:
            return Report(unread=shown)
        tier = "+".join(dict.fromkeys(tiers)) or STANDARD
        usage, is_explained = usage_of(sums, tier, hidden_reasoning=self.has_hidden_reasoning)
        if not is_explained:
            shown += tuple(f.paths[0] for f in self.figures if f.role is Role.TOTAL)
        return Report(usage, None, shown)

    def _is_free(self, path: str) -> bool:
        return path in self.free or path.startswith(self._free_below)

    def _sums(self, leaves: Leaves) -> dict[Role, int]:
        """Return the figures that are there by what they count."""
        best: dict[int, tuple[int, int]] = {}
        for path, values in leaves.items():
            for index, rank in self._by_path.get(path, ()):
                role = self.figures[index].role
                amount = sum(_amount(role, path, value) for value in values)
                known = best.get(index)
                if known is None or (amount and (rank < known[0] or not known[1])):
                    best[index] = rank, amount
        sums: dict[Role, int] = {}
        for index, (_, amount) in best.items():
            role = self.figures[index].role
            sums[role] = sums.get(role, 0) + amount
        return sums

    def _tier(self, path: str, value: object, unread: list[str]) -> list[str]:
        """Return the tier that a label names: none for the standard one."""
        name = value.lower() if isinstance(value, str) else ""
        tier = self.labels[path].get(name)
        if tier is None:
            unread.append(path)
            tier = name if _TIER.fullmatch(name) and len(name) <= NAME_MAX // 4 else STANDARD
        return [] if tier == STANDARD else [tier]


def figures(rows: Mapping[Role, tuple[str, ...]]) -> tuple[Figure, ...]:
    """Return the figures of a table: a role, and the names of one figure separated by spaces."""
    return tuple(
        Figure(role, tuple(names.split())) for role, them in rows.items() for names in them
    )


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def _selected(element: object, selector: str | None) -> tuple[str, object]:
    """Return what an element of a list is called, and what else it has."""
    kind = element.get(selector) if isinstance(element, dict) else None
    if not isinstance(element, dict) or not isinstance(kind, str):
        return "", element
    return kind, {name: member for name, member in element.items() if name != selector}


def _all_at(value: Any, path: str) -> Iterator[Any]:
    """Yield what stands at a path in which `*` is every element of a list."""
    name, _, rest = path.partition(".")
    if name == "*":
        found = value if isinstance(value, list) else []
    else:
        found = [value.get(name)] if isinstance(value, dict) else []
    for each in found:
        if rest:
            yield from _all_at(each, rest)
        else:
            yield each


def _amount(role: Role, path: str, value: object) -> int:
    """Return a figure as a whole number: milliseconds for seconds. Raises AbsurdUsage."""
    if type(value) is int and role is not Role.SECONDS:
        whole = value
    elif type(value) is int or (type(value) is float and math.isfinite(value)):
        amount = Decimal(value if type(value) is int else repr(value))
        if role is Role.SECONDS:
            amount = min(amount, Decimal(UNITS_MAX)) * 1000
        whole = int(amount.to_integral_value(ROUND_HALF_UP))
        if role is not Role.SECONDS and whole != amount:
            raise AbsurdUsage(f"{_shown(path)} is not a whole number")
    else:
        raise AbsurdUsage(f"{_shown(path)} is not a number")
    if not 0 <= whole <= (UNITS_MAX if role.is_unit else TOKENS_MAX):
        raise AbsurdUsage(f"{_shown(path)} is {'negative' if whole < 0 else 'too large'}")
    return whole


def _shown(path: str) -> str:
    """Return a path as it may be logged: an upstream chose it."""
    return _ODD.sub("?", path[:PATH_MAX])
