"""Idempotency keys: one charge and one answer for each (principal, key, body) for a day.

The key is claimed in the commit that opens the call and resolved in the one that settles it,
so a retry meets exactly one of: nothing (its call runs), the call still running, the stored
answer, or a call that was charged and whose answer was not kept.
"""

from dataclasses import dataclass, field

# As Stripe does, a key is remembered for a day; a longer one than this is refused.
KEPT_US = 24 * 3600 * 1_000_000
KEY_CHARS_MAX = 255
# A larger answer is charged, but not kept.
ANSWER_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Claim:
    """What a caller sent: digests of the key (with its principal) and of the body."""

    key_digest: bytes
    body_digest: bytes


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim on record. `complete` once its call was charged; `kept` if the answer is stored."""

    key_digest: bytes
    body_digest: bytes
    call_id: str
    created_us: int
    complete: bool = False
    kept: bool = False

    def live(self, now_us: int) -> bool:
        return now_us < self.created_us + KEPT_US


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it left: replayed byte for byte. `model` is the reference that served."""

    status: int
    content_type: str
    model: str
    body: bytes = field(repr=False)
