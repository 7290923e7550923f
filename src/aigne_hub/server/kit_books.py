"""The database's part of mirroring grants of Payment Kit: each page of them one transaction."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from aigne_hub.crypto.envelope import Keyring
from aigne_hub.logs import get_logger
from aigne_hub.providers.payment_kit import grant_of, id_of
from aigne_hub.storage import mirrored_grants
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.engine import View
from aigne_hub.storage.mirrored_grants import Outcome


class KitBooks:
    """Every method waits for the database: call it in a thread."""

    def __init__(
        self,
        *,
        changing: Callable[[], AbstractContextManager[Changes]],
        reading: Callable[[], AbstractContextManager[View]],
        keyring: Keyring,
        randbytes: Callable[[int], bytes],
    ) -> None:
        self._changing = changing
        self._reading = reading
        self._keyring = keyring
        self._randbytes = randbytes
        self._log = get_logger()

    def since(self, kit_id: str) -> int:
        """Return since when accounts are kept for a Payment Kit (Unix microseconds)."""
        with self._changing() as change:
            return mirrored_grants.since(change, kit_id)

    def undone(self, page: Sequence[object], *, voided: bool) -> list[object]:
        """Return the grants of a page that are not mirrored, or not taken back, yet."""
        named = {}
        for value in page:
            try:
                named[id_of(value)] = value
            except ValueError as error:
                self._log.warning("payment kit lists what is no grant", reason=str(error))
        with self._reading() as view:
            known = mirrored_grants.known(view, named)
        if voided:
            return [named[name] for name in named if known.get(name) is Outcome.GRANTED]
        return [value for name, value in named.items() if name not in known]

    def mirror(self, grants: Sequence[object], decimals: int, since_us: int) -> int:
        """Mirror grants in their order; return how many gave credit."""
        made = 0
        with self._changing() as change:
            for value in grants:
                try:
                    grant = grant_of(value, decimals)
                except ValueError as error:
                    mirrored_grants.refuse(change, id_of(value), str(error))
                    self._log.warning("a grant of payment kit is unreadable", reason=str(error))
                    continue
                outcome = mirrored_grants.mirror(
                    change, self._keyring, self._randbytes, grant, since_us
                )
                made += outcome is Outcome.GRANTED
        return made

    def void(self, grants: Sequence[object]) -> None:
        """Take back grants that were voided there."""
        with self._changing() as change:
            for value in grants:
                mirrored_grants.void(change, id_of(value))
