"""Giving charges back and taking grants back, by people, and audited."""

from typing import Any

from sqlalchemy import Connection

from aigne_hub.domain.money import format_credits
from aigne_hub.storage import corrections
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.corrections import Correction


def refund(change: Changes, call_id: str, amount: int | None = None) -> Correction:
    """Give back `amount` (nano-credits) of a call's charge, by default all that is left of it.

    Raises what `corrections.refund_call` does.
    """
    account_id = corrections.charged_account(change.connection, call_id)
    operation_id = f"refund/{call_id}/{change.ids()}"
    made = corrections.refund_call(
        change.connection, change.clock.now_us(), operation_id, call_id, amount
    )
    change.audit("credits.refund", account_id, {"call": call_id, **_detail(made)})
    return made


def give_back(change: Changes, call_id: str, reason: str) -> None:
    """Refund a call whose provider failed after it was charged: all that is left, once.

    Raises what `corrections.refund_call` does: Conflict for the second time.
    """
    account_id = corrections.charged_account(change.connection, call_id)
    operation_id = _failure(call_id)
    made = corrections.refund_call(change.connection, change.clock.now_us(), operation_id, call_id)
    detail = {"call": call_id, "reason": reason, **_detail(made)}
    change.audit("credits.refund", account_id, detail)


def is_given_back(connection: Connection, call_id: str) -> bool:
    """Tell whether `give_back` has refunded a call."""
    return corrections.is_known(connection, call_id, _failure(call_id))


def _failure(call_id: str) -> str:
    return f"refund/{call_id}/failed"


def revoke(change: Changes, grant_id: str, amount: int | None = None) -> Correction:
    """Take back `amount` (nano-credits) of a grant, by default all that is left to take back.

    What was spent of it is owed by the rest of the account.
    """
    account_id = corrections.granted_to(change.connection, grant_id)
    operation_id = f"revoke/{grant_id}/{change.ids()}"
    made = corrections.reverse_grant(
        change.connection, change.clock.now_us(), operation_id, grant_id, amount
    )
    change.audit("credits.revoke", account_id, {"grant": grant_id, **_detail(made)})
    return made


def _detail(made: Correction) -> dict[str, object]:
    return {
        "operation": made.operation_id,
        "amount": made.amount,
        "written_off": made.written_off,
    }


def document(made: Correction) -> dict[str, Any]:
    """Return a correction as people and programs are shown it, in decimal credits."""
    return {
        "operation_id": made.operation_id,
        "amount": format_credits(made.amount),
        "written_off": format_credits(made.written_off),
        "balance": format_credits(made.balance),
    }
