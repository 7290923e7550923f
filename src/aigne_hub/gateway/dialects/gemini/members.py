"""Members of Gemini's JSON, each in either of the two spellings that Google reads."""

from typing import Any

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.gateway.dialects.gemini.schema import camel
from aigne_hub.gateway.dialects.members import (
    a_text,
    an_object,
    maybe_flag,
    maybe_number,
    maybe_text,
)

# What JSON is written with has no place for more.
COUNT_MAX = 2**63 - 1


class Members:
    """The members of one object by their documented names, each to be taken once.

    What nobody took is added to `lost` by `note_rest`. Methods raise InvalidRequest.
    """

    def __init__(self, value: object, path: str, lost: list[str]) -> None:
        self.path = path
        self._lost = lost
        self._left: dict[str, Any] = {}
        for given, member in an_object(value, path or "the request body").items():
            name = camel(given)
            if name in self._left:
                at = self.at(name)
                raise InvalidRequest(f"`{at}` stands here in both spellings.", param=at)
            self._left[name] = member

    def __contains__(self, name: str) -> bool:
        return self._left.get(name) is not None

    def at(self, name: str) -> str:
        """Return where a member stands in the request."""
        return f"{self.path}.{name}" if self.path else name

    def take(self, name: str) -> Any:
        return self._left.pop(name, None)

    def within(self, name: str) -> "Members | None":
        """Return the members of an object, None without it."""
        value = self.take(name)
        return None if value is None else Members(value, self.at(name), self._lost)

    def each(self, name: str) -> "list[Members]":
        """Return the objects of a list; one that stands alone is a list of its own."""
        value, path = self.take(name), self.at(name)
        if value is None:
            return []
        if isinstance(value, dict):
            value = [value]
        if not isinstance(value, list):
            raise InvalidRequest(f"`{path}` must be a list.", param=path)
        return [Members(one, f"{path}[{at}]", self._lost) for at, one in enumerate(value)]

    def text(self, name: str) -> str:
        return a_text(self.take(name), self.at(name))

    def maybe_text(self, name: str) -> str | None:
        return maybe_text(self.take(name), self.at(name))

    def flag(self, name: str) -> bool:
        return maybe_flag(self.take(name), self.at(name)) is True

    def number(self, name: str) -> float | None:
        return maybe_number(self.take(name), self.at(name))

    def count(self, name: str) -> int | None:
        """Return a whole number, which clients also write as `40.0`."""
        value = self.number(name)
        if value is None or (abs(value) <= COUNT_MAX and value == int(value)):
            return None if value is None else int(value)
        raise InvalidRequest(f"`{self.at(name)}` must be a whole number.", param=self.at(name))

    def note_rest(self) -> None:
        """Name what was not taken, unless it says nothing."""
        self._lost += [name for name, value in self._left.items() if value not in (None, {}, [])]

    def refuse_rest(self, why: str) -> None:
        """Raise for a member that was not taken and cannot be left out."""
        for name in self._left:
            raise InvalidRequest(f"`{self.at(name)}` {why}", param=self.at(name))
