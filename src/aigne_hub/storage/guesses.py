"""Who guesses at passwords: wrong tries are counted before they are known to be wrong.

A try counts first, and a right one takes the count back. So a thousand tries at once are as
many as one after the other, in all processes together.
"""

import hmac
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, select, update

from aigne_hub.domain.errors import RateLimited
from aigne_hub.domain.passwords import wait_s
from aigne_hub.storage import schema
from aigne_hub.storage.inserts import insert_for

_SECOND_US: Final = 1_000_000
# Wrong tries are forgotten when there was none for this long.
FORGOTTEN_US: Final = 24 * 3600 * _SECOND_US
PRUNE_BATCH: Final = 5_000
# All of one address together are given this many more for nothing than tries of one account.
ADDRESS_FREE_TRIES: Final = 45

_TABLE = schema.sign_in_failure
_FAILURE = _TABLE.c


class Subject(NamedTuple):
    """Whose wrong tries count together. `free` are allowed besides the usual ones."""

    digest: bytes
    free: int = 0


def of_device(pepper: bytes, device: str, account: str) -> list[Subject]:
    """Return the subject of a browser that has signed in to this account before."""
    return [Subject(_digest(pepper, "device", device, account))]


def of_address(pepper: bytes, address: str, account: str) -> list[Subject]:
    """Return the subjects of anybody else: an address with an account, and the address."""
    return [
        Subject(_digest(pepper, "pair", address, account)),
        Subject(_digest(pepper, "address", address), ADDRESS_FREE_TRIES),
    ]


def require_open(connection: Connection, now_us: int, subjects: Sequence[Subject]) -> None:
    """Raise RateLimited while one of the subjects has to wait."""
    digests = [subject.digest for subject in subjects]
    opens = connection.execute(
        select(_FAILURE.open_us).where(
            _FAILURE.subject.in_(digests),
            _FAILURE.open_us > now_us,
            _FAILURE.last_us > now_us - FORGOTTEN_US,
        )
    ).scalars()
    _refuse(max(opens, default=0), now_us)


def claim(connection: Connection, now_us: int, subjects: Sequence[Subject]) -> None:
    """Count one try of each subject. Raises RateLimited, and nothing may be committed then."""
    insert = insert_for(connection.dialect)
    # In one order, so that no two tries wait for each other.
    for subject in sorted(subjects):
        _forget_old(connection, now_us, subject)
        counted = connection.execute(
            insert(_TABLE)
            .values(subject=subject.digest, failures=1, last_us=now_us, open_us=now_us)
            .on_conflict_do_update(
                index_elements=["subject"],
                set_={"failures": _FAILURE.failures + 1, "last_us": now_us},
                where=_FAILURE.open_us <= now_us,
            )
            .returning(_FAILURE.failures)
        ).scalar_one_or_none()
        if counted is None:
            require_open(connection, now_us, [subject])
            continue
        open_us = now_us + wait_s(counted - subject.free) * _SECOND_US
        connection.execute(
            update(_TABLE).where(_FAILURE.subject == subject.digest).values(open_us=open_us)
        )


def forgive(connection: Connection, subjects: Sequence[Subject]) -> None:
    """Take back what a right try counted: all of an account's, one of an address's."""
    for subject in sorted(subjects):
        here = _FAILURE.subject == subject.digest
        last = (here,) if not subject.free else (here, _FAILURE.failures <= 1)
        connection.execute(delete(_TABLE).where(*last))
        fewer = update(_TABLE).where(here, _FAILURE.failures > 1)
        connection.execute(fewer.values(failures=_FAILURE.failures - 1))


def prune(connection: Connection, now_us: int) -> int:
    """Delete what is forgotten, a batch at a time; return how many rows that were."""
    old = (
        select(_FAILURE.subject).where(_FAILURE.last_us <= now_us - FORGOTTEN_US).limit(PRUNE_BATCH)
    )
    return connection.execute(delete(_TABLE).where(_FAILURE.subject.in_(old))).rowcount


def _forget_old(connection: Connection, now_us: int, subject: Subject) -> None:
    connection.execute(
        delete(_TABLE).where(
            _FAILURE.subject == subject.digest, _FAILURE.last_us <= now_us - FORGOTTEN_US
        )
    )


def _refuse(open_us: int, now_us: int) -> None:
    if open_us > now_us:
        seconds = -((now_us - open_us) // _SECOND_US)
        raise RateLimited(
            f"Too many wrong tries. Wait {seconds} seconds, then try again.",
            retry_after_s=seconds,
        )


def _digest(pepper: bytes, *parts: str) -> bytes:
    text = "\0".join(("guess", *parts)).encode("utf-8", "surrogatepass")
    return hmac.digest(pepper, text, "sha256")
