"""A router that no call goes through: what processes share of health, and nobody's load."""

from typing import NoReturn

from aigne_hub.bootstrap import Hub, plane_settings
from aigne_hub.catalog.snapshot import Snapshot
from aigne_hub.gateway.health import Board
from aigne_hub.gateway.router import Router
from aigne_hub.providers.usage import OPENAI, Wire
from aigne_hub.storage import target_health


class Unasked:
    """Stands for an upstream: a command that looks at routing asks nobody."""

    limit_field = ""
    wire: Wire = OPENAI

    def serving(self, _model: str, /) -> "Unasked":
        return self

    async def send(self, _operation: str, _body: bytes, _headers: bytes = b"", /) -> NoReturn:
        raise AssertionError("a command does not call")


def resting(hub: Hub, snapshot: Snapshot) -> Router:
    """Return where calls would go by what all processes know, before anybody's turn."""
    board = Board(hub.clock, _first)
    board.learn(target_health.known(hub.engine))
    rules = plane_settings(hub).routing
    return Router(snapshot, rules, lambda *_: Unasked(), board, hub.clock, _first)


def _first() -> float:
    """Draw always the same, so that a command says the same each time."""
    return 0.0
