"""The first journey of a batch: what is asked for, and what comes back."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from psycopg.pq import abc

from aigne_hub.domain.idempotency import Claimed
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.limits import Counter
from aigne_hub.domain.lots import Lot
from aigne_hub.storage import postgres_statements as sql
from aigne_hub.storage.ledger import lot_of
from aigne_hub.storage.postgres_session import Request
from aigne_hub.storage.postgres_statements import Reader
from aigne_hub.storage.preload import Loaded, Needed

_encode = msgspec.json.encode


def reads(need: Needed) -> list[Request]:
    """Return the requests that lock and read what is needed, in the order of locks."""
    requests: list[Request] = []
    if need.accounts:
        ids, charged = _encode(list(need.accounts)), _encode(list(need.charged))
        as_of = str(need.as_of_us).encode()
        requests += [(sql.LOCK_ACCOUNTS, [ids]), (sql.READ_LOTS, [ids, charged, as_of])]
    if need.counters:
        ids = _encode(list(need.counters))
        requests += [(sql.MAKE_COUNTERS, [ids]), (sql.LOCK_COUNTERS, [ids])]
    if need.claims:
        requests.append((sql.LOCK_CLAIMS, [_encode(list(need.claims))]))
    return requests


def loaded(
    need: Needed,
    readers: Mapping[str, Sequence[Reader]],
    requests: Sequence[Request],
    results: Sequence[abc.PGresult],
) -> Loaded:
    """Return what the answers to `reads` hold."""
    found = {
        name: rows_of(result, readers[name])
        for (name, _), result in zip(requests, results, strict=True)
        if name in readers
    }
    lots: dict[str, list[Lot]] = {}
    for *lot, owner in found.get(sql.READ_LOTS, ()):
        lots.setdefault(owner, []).append(lot_of(lot))
    return Loaded(
        need,
        {row[0]: (Account(*row[:4]), row[4]) for row in found.get(sql.LOCK_ACCOUNTS, ())},
        lots,
        {row[0]: Counter(*row) for row in found.get(sql.LOCK_COUNTERS, ())},
        {
            digest: Claimed(digest, body, call_id, created_us, bool(complete), kept)
            for digest, body, call_id, created_us, complete, kept in found.get(sql.LOCK_CLAIMS, ())
        },
    )


def rows_of(result: abc.PGresult, readers: Sequence[Reader]) -> list[list[Any]]:
    """Return the rows of an answer as values."""
    columns = list(enumerate(readers))
    return [
        [
            None if (value := result.get_value(row, column)) is None else read(value)
            for column, read in columns
        ]
        for row in range(result.ntuples)
    ]
