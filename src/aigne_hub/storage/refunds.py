"""Giving charges back and taking grants back, by people: audited, and once for each key."""

from aigne_hub.domain.errors import IdempotencyMismatch, InvalidRequest
from aigne_hub.domain.money import format_credits
from aigne_hub.storage import corrections
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.corrections import Correction

KEY_MAX = 255


def refund(
    change: Changes, call_id: str, amount: int | None = None, key: str | None = None
) -> Correction:
    """Give back `amount` (nano-credits) of a call's charge, by default all that is left of it.

    A `key` makes it happen once: asked again it returns what was done. Raises what
    `corrections.refund_call` does, and IdempotencyMismatch for a key of another amount.
    """
    account_id = corrections.charged_account(change.connection, call_id)
    operation_id = f"refund/{call_id}/{_name(change, key)}"
    made = _known(change, account_id, operation_id, amount)
    if made is None:
        made = corrections.refund_call(
            change.connection, change.clock.now_us(), operation_id, call_id, amount
        )
        change.audit("credits.refund", account_id, {"call": call_id, **_detail(made)})
    return made


def revoke(
    change: Changes, grant_id: str, amount: int | None = None, key: str | None = None
) -> Correction:
    """Take back `amount` (nano-credits) of a grant, by default all that is left to take back.

    What was spent of it is owed by the rest of the account; `key` as in `refund`.
    """
    account_id = corrections.granted_to(change.connection, grant_id)
    operation_id = f"revoke/{grant_id}/{_name(change, key)}"
    made = _known(change, account_id, operation_id, amount)
    if made is None:
        made = corrections.reverse_grant(
            change.connection, change.clock.now_us(), operation_id, grant_id, amount
        )
        change.audit("credits.revoke", account_id, {"grant": grant_id, **_detail(made)})
    return made


def _name(change: Changes, key: str | None) -> str:
    if key is None:
        return change.ids()
    if not 0 < len(key) <= KEY_MAX or not key.isprintable():
        raise InvalidRequest(f"An Idempotency-Key has 1 to {KEY_MAX} characters.")
    return key


def _known(
    change: Changes, account_id: str, operation_id: str, amount: int | None
) -> Correction | None:
    done = corrections.find(change.connection, account_id, operation_id)
    if done is not None and amount not in {None, done.amount + done.written_off}:
        raise IdempotencyMismatch("This key moved another amount. Use a new key for a new one.")
    return done


def _detail(made: Correction) -> dict[str, object]:
    return {
        "operation": made.operation_id,
        "amount": made.amount,
        "written_off": made.written_off,
    }


def document(made: Correction) -> dict[str, object]:
    """Return a correction as people and programs are shown it, in decimal credits."""
    return {
        "operation_id": made.operation_id,
        "amount": format_credits(made.amount),
        "written_off": format_credits(made.written_off),
        "balance": format_credits(made.balance),
    }
