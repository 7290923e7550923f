"""Grants as a Payment Kit has them that holds the balance of record for purchases."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KitGrant:
    """A grant made at Payment Kit. Amounts are nano-credits, instants Unix microseconds."""

    id: str
    did: str
    amount: int
    remaining: int
    category: str
    priority: int
    name: str
    status: str
    created_us: int
    effective_us: int | None
    expires_us: int | None
