"""Orders of credit: making them, finding them, and ending those that nobody paid."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, func, insert, or_, select, update

from aigne_hub.billing.payments import Checkout
from aigne_hub.crypto import base58
from aigne_hub.domain.errors import Conflict, NotFound, RateLimited
from aigne_hub.domain.orders import Order, OrderState, Reason, Return, ReturnKind, ReturnState
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes

# Open checkouts of one account: a person has a few, a program that makes them in a loop many.
OPEN_MAX: Final = 20
# Orders that people who did not say who they are make within a minute, over all processes.
ANONYMOUS_A_MINUTE_MAX: Final = 60
_MINUTE_US: Final = 60 * 1_000_000
LIST_MAX: Final = 1_000_000
_REFERENCE_BYTES: Final = 8
_SHOWN_MAX: Final = 80

_ORDER = schema.payment_order
_RETURN = schema.payment_refund


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order as people see it: its facts, and what stands beside them.

    `reference` is what they quote. `taken` and `written_off` are nano-credits that returns
    cost the account, and that it could not pay. Instants are Unix microseconds.
    """

    order: Order
    state: OrderState
    reference: str
    email: str | None
    did: str
    save_card: bool
    anonymous: bool
    checkout_url: str | None
    grant_id: str | None
    failure: str | None
    taken: int
    written_off: int
    postings: int
    created_us: int
    updated_us: int
    expires_us: int
    paid_us: int | None


def create(
    change: Changes,
    randbytes: Callable[[int], bytes],
    *,
    account_id: str,
    provider: str,
    reason: Reason,
    credits_: int,
    amount: int,
    currency: str,
    expires_us: int,
    save_card: bool = False,
    anonymous: bool = False,
) -> OrderRecord:
    """Record that somebody is about to pay.

    The amounts were checked: `credits_` in nano, `amount` in minor units, both above 0. Raises
    Conflict beyond OPEN_MAX open orders; those of strangers (`anonymous`) count apart, so that
    they cannot keep an account from buying, and raise RateLimited when there are too many.
    """
    now, order_id = change.clock.now_us(), change.ids()
    _require_room(change.connection, account_id, now, anonymous=anonymous)
    change.connection.execute(
        insert(_ORDER).values(
            id=order_id,
            account_id=account_id,
            provider=provider,
            reason=reason,
            reference=f"AH-{base58.encode(randbytes(_REFERENCE_BYTES))}",
            state=OrderState.OPEN,
            credits=credits_,
            amount=amount,
            currency=currency,
            save_card=save_card,
            anonymous=anonymous,
            created_us=now,
            updated_us=now,
            expires_us=expires_us,
        )
    )
    detail = {"provider": provider, "credits": credits_, "amount": amount, "currency": currency}
    change.audit("payments.order", order_id, {**detail, "account": account_id})
    return load(change.connection, order_id)


def _require_room(connection: Connection, account_id: str, now_us: int, *, anonymous: bool) -> None:
    counted = select(func.count()).select_from(_ORDER).where(_ORDER.c.anonymous == anonymous)
    opened = connection.execute(
        counted.where(_ORDER.c.account_id == account_id, _ORDER.c.state == OrderState.OPEN)
    ).scalar_one()
    if opened >= OPEN_MAX:
        raise Conflict(
            f"This account has {opened} orders that nobody has paid yet. Pay one of them, or wait "
            f"until they expire."
        )
    if anonymous:
        lately = counted.where(_ORDER.c.created_us > now_us - _MINUTE_US)
        if connection.execute(lately).scalar_one() >= ANONYMOUS_A_MINUTE_MAX:
            raise RateLimited("Too many orders were made just now.", retry_after_s=60)


def attach(change: Changes, order_id: str, checkout: Checkout) -> None:
    """Note where an order is paid, and what the provider calls that."""
    change.connection.execute(
        update(_ORDER)
        .where(_ORDER.c.id == order_id)
        .values(
            external_id=checkout.external_id,
            checkout_url=checkout.url,
            expires_us=checkout.expires_us,
            updated_us=change.clock.now_us(),
        )
    )
    change.audit("payments.checkout", order_id, {"checkout": checkout.external_id})


def load(connection: Connection, name: str) -> OrderRecord:
    """Return the order with an id or a reference. Raises NotFound."""
    row = connection.execute(
        _SELECT.where(or_(_ORDER.c.id == name, _ORDER.c.reference == name))
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no order {name[:_SHOWN_MAX]!r}. See: aigne-hub payments list")
    return _record(connection, row)


def find_by_payment(connection: Connection, provider: str, payment_ref: str) -> str | None:
    """Return the id of the order that a payment paid."""
    found: str | None = connection.execute(
        select(_ORDER.c.id).where(
            _ORDER.c.provider == provider, _ORDER.c.payment_ref == payment_ref
        )
    ).scalar_one_or_none()
    return found


def listed(
    connection: Connection,
    *,
    account_id: str | None = None,
    state: OrderState | None = None,
    limit: int,
) -> list[OrderRecord]:
    """Return the newest orders, newest first."""
    query = _SELECT.order_by(_ORDER.c.id.desc()).limit(limit)
    if account_id is not None:
        query = query.where(_ORDER.c.account_id == account_id)
    if state is not None:
        query = query.where(_ORDER.c.state == state)
    return [_record(connection, row) for row in connection.execute(query).all()]


def overdue(connection: Connection, now_us: int, limit: int) -> list[OrderRecord]:
    """Return open orders whose checkout has expired, the longest overdue first."""
    query = (
        _SELECT.where(_ORDER.c.state == OrderState.OPEN, _ORDER.c.expires_us < now_us)
        .order_by(_ORDER.c.expires_us)
        .limit(limit)
    )
    return [_record(connection, row) for row in connection.execute(query).all()]


_SELECT: Select[Any] = select(_ORDER, schema.user.c.email, schema.user.c.did).join(
    schema.user, schema.user.c.id == _ORDER.c.account_id
)


def _record(connection: Connection, row: Row[Any]) -> OrderRecord:
    order = Order(
        id=row.id,
        account_id=row.account_id,
        provider=row.provider,
        reason=Reason(row.reason),
        credits=row.credits,
        amount=row.amount,
        currency=row.currency,
        external_id=row.external_id,
        payment_ref=row.payment_ref,
        paid=row.paid_us is not None,
        closed=OrderState(row.closed) if row.closed else None,
        returns=tuple(returns_of(connection, row.id)),
    )
    return OrderRecord(
        order=order,
        state=OrderState(row.state),
        reference=row.reference,
        email=row.email,
        did=row.did,
        save_card=row.save_card,
        anonymous=row.anonymous,
        checkout_url=row.checkout_url,
        grant_id=row.grant_id,
        failure=row.failure,
        taken=row.taken,
        written_off=row.written_off,
        postings=row.postings,
        created_us=row.created_us,
        updated_us=row.updated_us,
        expires_us=row.expires_us,
        paid_us=row.paid_us,
    )


def returns_of(connection: Connection, order_id: str) -> list[Return]:
    """Return the refunds and disputes of an order, oldest first."""
    rows = connection.execute(
        select(_RETURN)
        .where(_RETURN.c.order_id == order_id)
        .order_by(_RETURN.c.created_us, _RETURN.c.return_id)
    )
    return [
        Return(row.return_id, ReturnKind(row.kind), ReturnState(row.state), row.amount)
        for row in rows
    ]
