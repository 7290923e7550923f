"""An account's statement, read from the ledger."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, case, func, select

from aigne_hub.billing.statement import CUSTOMER, Granted, Movement, Statement, TakenBack
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.storage import schema

_FETCH = 2_000

_TRANSFER = schema.transfer.c
_CALL = schema.model_call.c


def statement(
    connection: Connection, account_id: str, since_us: int | None, until_us: int | None
) -> Statement:
    """Return what happened from `since_us` until `until_us` (exclusive), None for no bound.

    Its movements are read as they are asked for: keep the connection open, and ask once.
    Raises InvalidRequest for a period that ends before it begins.
    """
    if since_us is not None and until_us is not None and since_us > until_us:
        raise InvalidRequest("The period ends before it begins.", param="until")
    opening = 0 if since_us is None else _balance_before(connection, account_id, since_us)
    whole = since_us is None and until_us is None
    return Statement(
        opening=opening,
        movements=_movements(connection, account_id, since_us, until_us, opening),
        since_us=since_us,
        until_us=until_us,
        grants=_grants(connection, account_id) if whole else (),
        taken_back=_taken_back(connection, account_id) if whole else (),
    )


def movements(
    connection: Connection, account_id: str, since_us: int | None, until_us: int | None
) -> int:
    """Return how many movements a period has."""
    query = select(func.count()).select_from(schema.transfer)
    count: int = connection.execute(
        query.where(*_within(account_id, since_us, until_us))
    ).scalar_one()
    return count


def _movements(
    connection: Connection,
    account_id: str,
    since_us: int | None,
    until_us: int | None,
    balance: int,
) -> Iterator[Movement]:
    query = _transfers().where(*_within(account_id, since_us, until_us))
    rows = connection.execute(query, execution_options={"yield_per": _FETCH})
    for row in rows:
        change = row.amount * ((row.credit == account_id) - (row.debit == account_id))
        balance += change
        # A charge may be taken from several grants; its tokens are told once.
        first = row.kind == "capture" and row.seq == 0
        yield Movement(
            at_us=row.created_us,
            kind=row.kind,
            operation_id=row.operation_id,
            seq=row.seq,
            amount=row.amount,
            change=change,
            balance=balance,
            debit=_side(row.debit, account_id),
            credit=_side(row.credit, account_id),
            grant_id=row.grant_id,
            call_id=row.call_id,
            model=row.model,
            input_tokens=row.read if first else None,
            output_tokens=row.output_tokens if first else None,
        )


def _transfers() -> Select[Any]:
    read = _CALL.input_tokens + _CALL.cache_read_tokens + _CALL.cache_write_tokens
    return (
        select(schema.transfer, _CALL.model, read.label("read"), _CALL.output_tokens)
        .outerjoin(schema.model_call, _CALL.id == _TRANSFER.call_id)
        .order_by(_TRANSFER.created_us, _TRANSFER.operation_id, _TRANSFER.seq)
    )


def _within(account_id: str, since_us: int | None, until_us: int | None) -> list[Any]:
    conditions: list[Any] = [_TRANSFER.account_id == account_id]
    if since_us is not None:
        conditions.append(_TRANSFER.created_us >= since_us)
    if until_us is not None:
        conditions.append(_TRANSFER.created_us < until_us)
    return conditions


def _balance_before(connection: Connection, account_id: str, at_us: int) -> int:
    change = case(
        (_TRANSFER.credit == account_id, _TRANSFER.amount),
        (_TRANSFER.debit == account_id, -_TRANSFER.amount),
        else_=0,
    )
    balance = connection.execute(
        select(func.coalesce(func.sum(change), 0)).where(*_within(account_id, None, at_us))
    ).scalar_one()
    return int(balance)


def _grants(connection: Connection, account_id: str) -> list[Granted]:
    granted = schema.credit_grant.c
    rows = connection.execute(
        select(schema.credit_grant)
        .where(granted.account_id == account_id)
        .order_by(granted.created_us, granted.id)
    )
    return [
        Granted(
            id=row.id,
            at_us=row.created_us,
            amount=row.amount,
            remaining=row.remaining,
            category=row.category,
            priority=row.priority,
            source=row.source,
            posted=row.posted,
            effective_us=row.effective_us,
            expires_us=row.expires_us,
            name=row.name,
        )
        for row in rows
    ]


def _taken_back(connection: Connection, account_id: str) -> list[TakenBack]:
    back = schema.grant_reversal.c
    rows = connection.execute(
        select(schema.grant_reversal)
        .where(back.account_id == account_id)
        .order_by(back.created_us, back.operation_id)
    )
    return [TakenBack(row.operation_id, row.created_us, row.grant_id, row.amount) for row in rows]


def _side(name: str, account_id: str) -> str:
    return CUSTOMER if name == account_id else name
