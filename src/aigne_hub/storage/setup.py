"""The one-time link by which the person who started a hub makes it theirs."""

import hashlib
from collections.abc import Callable

from sqlalchemy import Connection, select, update

from aigne_hub.crypto import base58
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes

_TOKEN_BYTES = 32


def begin(change: Changes, randbytes: Callable[[int], bytes]) -> str:
    """Make a token; only its digest is kept. It replaces an unused one."""
    token = base58.encode(randbytes(_TOKEN_BYTES))
    _write(change, _digest(token))
    change.audit("setup.begin", "hub")
    return token


def is_open(connection: Connection, token: str) -> bool:
    """Tell whether a token still opens the set-up page."""
    digest = connection.execute(select(schema.hub_state.c.setup_digest)).scalar_one()
    return digest is not None and digest == _digest(token)


def finish(change: Changes) -> None:
    """Use the token up."""
    _write(change, None)
    change.audit("setup.finish", "hub")


def _write(change: Changes, digest: bytes | None) -> None:
    change.connection.execute(update(schema.hub_state).values(setup_digest=digest))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
