"""Carrying an account on from a statement that another hub, or another account, exported.

What is imported has names of its own, `imported/<account>/<its name there>`: the calls and
payments behind it are not this hub's, and the same statement is imported once.
"""

from dataclasses import dataclass
from typing import cast

from sqlalchemy import Connection, insert, select

from aigne_hub.billing.statement import (
    CUSTOMER,
    Disagreement,
    Granted,
    Movement,
    Statement,
    require_agreement,
)
from aigne_hub.domain.errors import Conflict, InvalidRequest
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.lots import Category, Lot
from aigne_hub.domain.money import AMOUNT_MAX, format_credits
from aigne_hub.domain.transfers import Transfer, TransferKind
from aigne_hub.storage import accounts, schema
from aigne_hub.storage.changes import Changes

PREFIX = "imported/"


@dataclass(frozen=True, slots=True)
class Imported:
    """How much of a statement was new here. Amounts are nano-credits."""

    grants: int
    transfers: int
    known: int
    balance: int


def import_statement(
    change: Changes, account_id: str, statement: Statement, closing: int
) -> Imported:
    """Post a whole statement's grants and movements to an account, once.

    The same statement again changes nothing. Raises InvalidRequest for one that does not
    agree with itself, and Conflict when the account cannot carry it on.
    """
    try:
        require_agreement(statement, closing)
    except Disagreement as error:
        raise InvalidRequest(f"The statement does not agree: {error}") from None
    account = accounts.load(change.connection, account_id, lock=True)
    transfers = [_transfer(account_id, one) for one in statement.movements]
    known = _known(change.connection, account_id)
    if known:
        _require_same(known, transfers)
        return Imported(0, 0, len(known), account.balance)
    now = change.clock.now_us()
    if any(entry.created_us > now for entry in transfers):
        raise InvalidRequest("The statement is of the future: look at the clocks of both hubs.")
    due = account.advance(now)
    _require_carried(account, closing)
    account.balance += closing
    for grant in statement.grants:
        account.lots.append(_lot(account_id, grant))
        change.connection.execute(insert(schema.credit_grant).values(_row(account_id, grant)))
    for back in statement.taken_back:
        change.connection.execute(
            insert(schema.grant_reversal).values(
                operation_id=_name(account_id, back.operation_id),
                grant_id=_name(account_id, back.grant_id),
                account_id=account_id,
                amount=back.amount,
                created_us=back.at_us,
            )
        )
    accounts.save(change.connection, account, due + transfers)
    made = Imported(len(statement.grants), len(transfers), 0, account.balance)
    change.audit(
        "credits.import",
        account_id,
        {"grants": made.grants, "transfers": made.transfers, "balance": closing},
    )
    return made


def _known(connection: Connection, account_id: str) -> set[Transfer]:
    table = schema.transfer
    rows = connection.execute(
        select(*(table.c[name] for name in Transfer._fields)).where(
            table.c.account_id == account_id,
            table.c.operation_id.startswith(_name(account_id, ""), autoescape=True),
        )
    )
    return {Transfer(*row) for row in rows}


def _require_same(known: set[Transfer], transfers: list[Transfer]) -> None:
    if known != set(transfers):
        raise Conflict(
            "Another statement was imported into this account before. Import into a new one."
        )


def _require_carried(account: Account, closing: int) -> None:
    """Raise Conflict unless two balances add up to one that the account may have."""
    if account.balance * closing < 0:
        raise Conflict("One of the two is in debt, the other is not. Repay the debt first.")
    if account.balance + closing > AMOUNT_MAX:
        raise Conflict(f"No balance exceeds {format_credits(AMOUNT_MAX)} credits.")
    if account.available + closing < 0:
        raise Conflict("The account may not go as far below zero as the statement closes.")


def _transfer(account_id: str, one: Movement) -> Transfer:
    return Transfer(
        account_id=account_id,
        operation_id=_name(account_id, one.operation_id),
        seq=one.seq,
        kind=cast("TransferKind", one.kind),
        debit=account_id if one.debit == CUSTOMER else one.debit,
        credit=account_id if one.credit == CUSTOMER else one.credit,
        amount=one.amount,
        grant_id=None if one.grant_id is None else _name(account_id, one.grant_id),
        call_id=None if one.call_id is None else _name(account_id, one.call_id),
        created_us=one.at_us,
    )


def _lot(account_id: str, grant: Granted) -> Lot:
    return Lot(
        id=_name(account_id, grant.id),
        remaining=grant.remaining,
        category=Category(grant.category),
        priority=grant.priority,
        created_us=grant.at_us,
        expires_us=grant.expires_us,
        effective_us=grant.effective_us,
        posted=grant.posted,
        source=grant.source,
    )


def _row(account_id: str, grant: Granted) -> dict[str, object]:
    return {
        "id": _name(account_id, grant.id),
        "account_id": account_id,
        "amount": grant.amount,
        "remaining": grant.remaining,
        "category": grant.category,
        "priority": grant.priority,
        "effective_us": grant.effective_us,
        "expires_us": grant.expires_us,
        "created_us": grant.at_us,
        "source": grant.source,
        "posted": grant.posted,
        "name": grant.name,
    }


def _name(account_id: str, name: str) -> str:
    return f"{PREFIX}{account_id}/{name}"
