"""`Idempotency-Key` on the data plane: what a request claims, and how an answer is repeated."""

import hashlib
from typing import NamedTuple, Protocol

from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import Conflict, InvalidRequest
from aigne_hub.domain.idempotency import KEY_CHARS_MAX, Claim
from aigne_hub.domain.money import format_credits
from aigne_hub.gateway.dialects import Ask, Dialect
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.reply import Reply

HEADER = b"idempotency-key"
_EVENT_STREAM = "text/event-stream"


class Kept(NamedTuple):
    """A stored answer. `charge` is what its call cost, in nano-credits."""

    status: int
    content_type: str
    model: str
    body: bytes
    charge: int


class Answers(Protocol):
    async def kept(self, call_id: str) -> Kept | None:
        """Return the stored answer of a call that claimed a key; None when it is gone."""
        ...


def claim_of(exchange: Exchange, principal: Principal, dialect: Dialect, ask: Ask) -> Claim | None:
    """Return what a request claims, None when it sent no key. Raises InvalidRequest.

    A key is its principal's own; the same key for another operation is another body.
    """
    sent = exchange.fields.get(HEADER)
    if sent is None:
        return None
    if not 0 < len(sent) <= KEY_CHARS_MAX or not sent.isascii() or not sent.decode().isprintable():
        raise InvalidRequest(
            f"Idempotency-Key is 1 to {KEY_CHARS_MAX} printable ASCII characters.",
            param="Idempotency-Key",
        )
    whose = principal.key_id.encode()
    return Claim(
        hashlib.sha256(b"%b\0%b" % (whose, sent)).digest(),
        hashlib.sha256(b"%b\0%b" % (dialect.operation.encode(), ask.alike)).digest(),
    )


async def repeat(answers: Answers, reply: Reply, call_id: str) -> None:
    """Send the stored answer of a call again, byte for byte."""
    kept = await answers.kept(call_id)
    if kept is None:
        raise Conflict(f"The answer of call {call_id} is not kept any more. Use a new key.")
    reply.repeat(
        call_id,
        kept.model,
        None if kept.content_type.startswith(_EVENT_STREAM) else format_credits(kept.charge),
        kept.content_type.encode(),
        kept.body,
    )
