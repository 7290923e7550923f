"""Checking passwords without giving strangers the hub's memory and cores."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from aigne_hub.crypto import passwords
from aigne_hub.domain.errors import Overloaded

# Of one process: this many hashes of 64 MiB at once, and this many people who wait for one.
HASHES_AT_ONCE: Final = 2
WAITING_MAX: Final = 16
# Who asks from one address never takes all the places.
PLACES_AN_ADDRESS: Final = 6
_RETRY_S: Final = 5

T = TypeVar("T")


class Passwords:
    """Makes and compares hashes in threads of its own, HASHES_AT_ONCE at a time."""

    def __init__(self, pepper: bytes, randbytes: Callable[[int], bytes]) -> None:
        self._pepper = pepper
        self._randbytes = randbytes
        self._inside: Counter[str] = Counter()
        self._threads = ThreadPoolExecutor(HASHES_AT_ONCE, "password")

    @contextmanager
    def place(self, address: str) -> Iterator[None]:
        """Give a place in the queue to somebody at an address. Raises Overloaded.

        Whoever checks a password takes one first, so that what a check costs beside the hash
        is bounded too.
        """
        full = self._inside.total() >= HASHES_AT_ONCE + WAITING_MAX
        if full or self._inside[address] >= PLACES_AN_ADDRESS:
            raise Overloaded(
                "Too many people are signing in at this moment. Try again in some seconds.",
                retry_after_s=_RETRY_S,
            )
        self._inside[address] += 1
        try:
            yield
        finally:
            self._inside[address] -= 1
            if not self._inside[address]:
                del self._inside[address]

    async def match(self, stored: str | None, password: bytes, user_id: str) -> bool:
        """Tell whether a password is the one stored of a user; for None as slowly."""
        found = await self._in_thread(
            lambda: passwords.matches(stored or passwords.NOBODY, password, user_id, self._pepper)
        )
        return found and stored is not None

    async def hash(self, password: bytes, user_id: str) -> str:
        return await self._in_thread(
            lambda: passwords.hashed(password, user_id, self._pepper, self._randbytes)
        )

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
