"""Lots: what is left of each grant, and the order in which grants are spent."""

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    PROMOTIONAL = "promotional"
    PAID = "paid"


@dataclass(slots=True)
class Lot:
    """What is left of one grant, in nano-credits.

    A lot that is not yet `effective` is not part of the balance. An instant of None means
    at once, or never.
    """

    id: str
    remaining: int
    category: Category
    priority: int
    created_us: int
    expires_us: int | None = None
    effective_us: int | None = None
    posted: bool = True
    source: str = ""

    def burn_order(self) -> tuple[int, bool, int, bool, int, str]:
        """Lower priority first, then earlier expiry, promotional before paid, then age."""
        return (
            self.priority,
            self.expires_us is None,
            self.expires_us or 0,
            self.category is Category.PAID,
            self.created_us,
            self.id,
        )

    def due_us(self) -> int | None:
        """Return the instant at which time alone changes this lot."""
        if not self.posted:
            return self.effective_us
        return self.expires_us if self.remaining else None
