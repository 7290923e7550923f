"""Finding what earlier calls left at their providers."""

from typing import Protocol

from aigne_hub.domain.objects import UpstreamObject


class Objects(Protocol):
    async def find(self, account_id: str, identifier: str) -> UpstreamObject | None:
        """Return an account's own object; None for one that is unknown or another's."""
        ...
