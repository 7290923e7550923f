"""Finding what earlier calls left at their providers."""

from typing import Protocol

from aigne_hub.domain.objects import UpstreamObject


class Objects(Protocol):
    async def find(self, account_id: str, identifier: str) -> UpstreamObject | None:
        """Return an account's own object; None for one that is unknown or another's."""
        ...

    async def give_back(self, found: UpstreamObject) -> None:
        """Refund the call that made an object, all that is left of its charge and only once."""
        ...

    async def listed(
        self, account_id: str, kind: str, after: UpstreamObject | None, limit: int
    ) -> list[UpstreamObject]:
        """Return an account's objects of a kind, newest first, those behind `after`."""
        ...
