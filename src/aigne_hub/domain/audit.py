"""The audit log as a chain: each entry's hash covers the one before it.

Whoever changes, removes, inserts or reorders an entry breaks every hash behind it; whoever
removes the last ones leaves a head that the log does not reach. The hash is of the entry's
members as JSON with sorted names and no spaces (RFC 8785; all values are text and integers).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

# What stands before the first entry.
GENESIS: Final = bytes(32)


class Entry(NamedTuple):
    """Who did what to which object from where. `detail` is JSON text; `seq` counts from 1."""

    seq: int
    id: str
    actor: str
    origin: str
    action: str
    object: str
    detail: str
    created_us: int


class Chained(NamedTuple):
    """An entry as it is stored."""

    entry: Entry
    hash: bytes


class Head(NamedTuple):
    """Where the chain ends: how many entries it has, and the hash of the last."""

    seq: int = 0
    hash: bytes = GENESIS


class Break(NamedTuple):
    """Where a log stops being what was written, and how that shows."""

    seq: int
    reason: str


def follow(previous: bytes, entry: Entry) -> bytes:
    """Return the hash of an entry behind another."""
    text = json.dumps(entry._asdict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(previous + text.encode("utf-8", "surrogatepass")).digest()


def breaks(log: Iterable[Chained], head: Head) -> Iterator[Break]:
    """Return what is wrong with a log in the order of `seq`; nothing for an untouched one."""
    reached = Head()
    for entry, stored in log:
        if entry.seq != reached.seq + 1:
            yield Break(entry.seq, f"entry {reached.seq + 1} is missing")
        elif follow(reached.hash, entry) != stored:
            yield Break(entry.seq, "the entry is not what was written")
        reached = Head(entry.seq, stored)
    if reached != head:
        yield Break(reached.seq, f"the log ends before entry {head.seq}, or its last is another")
