"""Load a customer account, let domain.ledger change it, and write what changed."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, case, select, update

from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.domain.transfers import Transfer
from aigne_hub.storage import ledger, schema


def load(connection: Connection, account_id: str, *, lock: bool) -> Account:
    """Return an account with its lots. Raises NotFound.

    With `lock` nobody else changes it before the transaction ends: PostgreSQL locks the row,
    SQLite's write transactions exclude each other anyway.
    """
    query = ledger.SELECT_ACCOUNT.with_for_update() if lock else ledger.SELECT_ACCOUNT
    row = connection.execute(query, {"account_id": account_id}).one_or_none()
    if row is None:
        raise NotFound(f"There is no account {account_id!r}.")
    rows = connection.execute(ledger.SELECT_LOTS, {"account_id": account_id})
    lots = [ledger.lot_of(row) for row in rows]
    return Account(row.id, row.balance, row.held, row.overdraft, lots)


def save(connection: Connection, account: Account, transfers: Sequence[Transfer]) -> None:
    """Write a locked account, the lots it touched and the transfers that did so."""
    connection.execute(
        ledger.UPDATE_ACCOUNT,
        {
            "account_id": account.id,
            "balance": account.balance,
            "held": account.held,
            "next_due_us": account.due_us(),
        },
    )
    touched = [lot for lot in account.lots if lot.id in account.touched]
    if touched:
        connection.execute(
            ledger.UPDATE_LOT,
            [
                {"grant_id": lot.id, "remaining": lot.remaining, "is_posted": lot.posted}
                for lot in touched
            ],
        )
    if transfers:
        connection.execute(ledger.INSERT_TRANSFER, [entry._asdict() for entry in transfers])


def set_overdraft(connection: Connection, overdraft: int) -> int:
    """Let every account go `overdraft` nano-credits below zero; return how many that changed.

    An account that owes and holds more than this keeps as much as it uses.
    """
    table = schema.account
    used = table.c.held - table.c.balance
    wanted = case((used > overdraft, used), else_=overdraft)
    # Locked in the order of ids, as everywhere.
    connection.execute(select(table.c.id).order_by(table.c.id).with_for_update()).all()
    return connection.execute(
        update(table).where(table.c.overdraft != wanted).values(overdraft=wanted)
    ).rowcount


class Terms(NamedTuple):
    """What hub.yaml grants to accounts, in nano-credits.

    `credit_price` is what one credit costs, in nano-dollars; None in another currency.
    """

    overdraft: int
    new_user_credits: int
    credit_price: int | None = NANO_PER_CREDIT


def terms(connection: Connection) -> Terms:
    """Return the terms of the last hub.yaml that a server read."""
    state = schema.hub_state.c
    row = connection.execute(
        select(state.overdraft, state.new_user_credits, state.credit_price)
    ).one()
    return Terms(row.overdraft, row.new_user_credits, row.credit_price)


def set_terms(connection: Connection, wanted: Terms) -> None:
    connection.execute(update(schema.hub_state).values(**wanted._asdict()))
