"""What a scripted model is asked and what it says, whichever wire that goes over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tests.scripted import Answer, Asked

CACHED = 200
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool: by its name, with arguments as an object, or as text for a custom tool."""

    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True)
class Move:
    """One answer of the model: what it says, then the tools it calls."""

    text: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """A request. `called` and `results` are what its conversation has of calls and of results.

    Both are keyed by what ties a result to its call on this wire: the id. `seals` are the
    signatures of thoughts and calls that came back.
    """

    tools: frozenset[str]
    called: tuple[str, ...]
    results: Mapping[str, str]
    seals: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the provider reports for its answer with this number: never the same twice."""

    number: int

    @property
    def fresh(self) -> int:
        return 1000 + self.number

    @property
    def prompt(self) -> int:
        return self.fresh + CACHED

    @property
    def output(self) -> int:
        return 20 + self.number


class Wire(Protocol):
    """A provider's format: reads requests, writes answers as streams and whole."""

    def turn(self, body: Json) -> Turn: ...

    def answer(self, asked: Asked, move: Move, tokens: Tokens) -> Answer:
        """Return `move` as an answer; ids and signatures have the number of `tokens`."""
        ...

    def overloaded(self) -> Answer:
        """Return what this provider says when it takes no more."""
        ...


def pieces(text: str, size: int = 7) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def members(call: Call) -> Mapping[str, Any]:
    """Return the arguments of a call where every tool is a function: text is one of them."""
    return {"input": call.arguments} if isinstance(call.arguments, str) else call.arguments


def plain(content: Any) -> str:
    """Return the text in any wire's content of a message or a result."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return plain(list(content.values()))
    return "\n".join(plain(each) for each in content) if isinstance(content, list) else ""
