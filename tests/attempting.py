"""Upstreams that answer or fail as a test says, and what else trying candidates needs."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from aigne_hub.catalog.snapshot import Model, Provider
from aigne_hub.domain.errors import (
    HubError,
)
from aigne_hub.domain.load import Load
from aigne_hub.domain.operations import Open
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.retry_budget import RetryBudget
from aigne_hub.domain.routing import Policy, Rules
from aigne_hub.gateway.attempt import Streaming, Whole
from aigne_hub.gateway.attempts import Tries
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat
from aigne_hub.gateway.health import Board
from aigne_hub.gateway.line import Group, Line
from aigne_hub.providers.usage import OPENAI, Wire
from aigne_hub.usage.tracker import CallTracker, Tracker

SPOKEN = frozenset({"openai"})
SECRET = "in-house-secret-0123456789"
RATES = [RateCard.of(f"rate{number}", {"input": number + 1}) for number in range(9)]
COSTS = [RateCard.of(f"cost{number}", {"input": 1_000_000}) for number in range(9)]
DIALECT = OpenAIChat()
GOOD = json.dumps({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}).encode()
EVENT = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'


class Clock:
    def now_us(self) -> int:
        return 0

    def monotonic_us(self) -> int:
        return 0


class Journal:
    def sent(self, call_id: str) -> None:
        pass


@dataclass
class Settings:
    routing: Rules = field(default_factory=Rules)


@dataclass
class Plane:
    """What of a plane is asked while candidates are tried."""

    settings: Settings = field(default_factory=Settings)
    clock: Clock = field(default_factory=Clock)
    board: Board = field(default_factory=lambda: Board(Clock(), lambda: 0.5))

    def draw(self) -> float:
        return 0.5


@dataclass
class Exchange:
    task: Any = None
    disconnected: bool = False
    interrupted: bool = False
    on_disconnect: Any = None


@dataclass
class Answer:
    """An upstream's answer; a TransportError among its pieces is raised when it is reached."""

    status: int = 200
    pieces: list[Any] = field(default_factory=list)
    headers: dict[bytes, bytes] = field(default_factory=dict)
    closed: bool = False

    def header(self, name: bytes) -> bytes | None:
        return self.headers.get(name)

    async def pour(self, _sink: Any) -> bool:
        raise AssertionError("nothing is poured before an answer was chosen")

    async def chunk(self) -> bytes | None:
        if not self.pieces:
            return None
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def read(self) -> bytes:
        parts = []
        while (part := await self.chunk()) is not None:
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        self.closed = True


@dataclass
class Upstream:
    outcome: Answer | Exception
    limit_field: str = "max_completion_tokens"
    wire: Wire = OPENAI
    bodies: list[bytes] = field(default_factory=list)
    # How long it takes to answer; None for ever.
    delay_s: float | None = 0
    stopped: bool = False

    async def send(self, operation: str, body: bytes, headers: bytes = b"", /) -> Answer:
        assert operation == "chat/completions"
        assert headers == b""
        self.bodies.append(body)
        try:
            if self.delay_s != 0:
                await asyncio.wait_for(asyncio.Event().wait(), self.delay_s)
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self.stopped = True
            raise
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


def refusal(status: int, message: Any = "no", **more: Any) -> Answer:
    error = {"message": message, **more}
    return Answer(status, [json.dumps({"error": error}).encode()])


def candidates(*outcomes: Answer | Exception) -> list[Candidate]:
    owner = Provider("id", "openai", "openai", None, trusted=True, credentials=())
    board = Board(Clock(), lambda: 0.5)
    return [
        Candidate(
            Model(
                f"openai/m{number}",
                f"m{number}",
                "chat",
                owner,
                10,
                100,
                RATES[number],
                cost=COSTS[number],
            ),
            f"key{number}",
            Upstream(outcome),
            SPOKEN,
            SECRET,
            board.targets("openai", f"key{number}", f"m{number}"),
            Load(),
        )
        for number, outcome in enumerate(outcomes)
    ]


def tracked(*, billed: bool = True) -> CallTracker:
    opened = Open("call", "user", "did", "did", "key", "chat", "m", None, False, 1, "request", 0)
    return CallTracker(Tracker(Journal(), Clock()), opened, RATES[0] if billed else None, 1)


def tried(
    found: list[Candidate],
    *,
    stream: bool = False,
    call: CallTracker | None = None,
    exchange: Exchange | None = None,
    plane: Plane | None = None,
    line: Line | None = None,
    kind: type[Tries] = Tries,
) -> Whole | Streaming:
    body = {"model": "m", "messages": [], "stream": stream}
    ask = DIALECT.ask(json.dumps(body).encode())

    async def run() -> Whole | Streaming:
        waiting = exchange or Exchange()
        waiting.task = asyncio.current_task()
        tries = kind(plane or Plane(), waiting, DIALECT, ask, call or tracked(), None)
        ways = line or Line([Group(found)], Policy.ORDER, RetryBudget(0))
        return await tries.first_answer(ways)

    return asyncio.run(run())


def failure(*outcomes: Answer | Exception, **more: Any) -> HubError:
    with pytest.raises(HubError) as raised:
        tried(candidates(*outcomes), **more)
    return raised.value
