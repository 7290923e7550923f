"""The credit that stands for an order: granted when it is paid, taken back when that returns."""

from dataclasses import replace

from sqlalchemy import or_, select, update

from aigne_hub.domain.lots import Category
from aigne_hub.domain.orders import Order
from aigne_hub.domain.transfers import FUNDING
from aigne_hub.storage import corrections, grants, orders, payment_notices, schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.orders import OrderRecord

_ORDER = schema.payment_order


def grant(change: Changes, order: Order) -> str:
    """Give an account what it paid for and return the grant's id. Raises as `grants.grant`."""
    terms = grants.Terms(
        category=Category.PAID,
        source=_source(order),
        reference=reference_of(order.id),
        name="Payment",
    )
    made = grants.grant(
        change.connection, change.clock, change.ids, order.account_id, order.credits, terms
    )
    return made.id


def settle(change: Changes, order_id: str) -> None:
    """Bring the credit and the state of an order in line with what is known of it."""
    record = orders.load(change.connection, order_id)
    order, before = record.order, record
    posted = record.taken + record.written_off
    if order.returned_credits > posted:
        record = _take_back(change, record, order.returned_credits - posted)
    elif order.returned_credits < posted:
        record = _give_back(change, record, posted - order.returned_credits)
    change.connection.execute(
        update(_ORDER)
        .where(_ORDER.c.id == order_id)
        .values(
            state=order.state,
            taken=record.taken,
            written_off=record.written_off,
            postings=record.postings,
            updated_us=change.clock.now_us(),
        )
    )
    payment_notices.moved(change, before, record)
    change.audit("payments.settle", order_id, {"state": order.state, "taken": record.taken})


def _take_back(change: Changes, record: OrderRecord, amount: int) -> OrderRecord:
    """Reverse the order's grants: the payment first, then what was given back after it."""
    granted, reversal = schema.credit_grant.c, schema.grant_reversal.c
    name = reference_of(record.order.id)
    rows = change.connection.execute(
        select(granted.id, granted.amount)
        .where(or_(granted.reference == name, granted.reference.startswith(f"{name}/")))
        .order_by(granted.created_us, granted.id)
    ).all()
    for row in rows:
        gone = change.connection.execute(
            select(reversal.amount).where(reversal.grant_id == row.id)
        ).scalars()
        part = min(row.amount - sum(gone), amount)
        if part <= 0:
            continue
        done = corrections.reverse_grant(
            change.connection, change.clock.now_us(), _operation(record), row.id, part
        )
        amount -= part
        record = replace(
            record,
            taken=record.taken + done.amount,
            written_off=record.written_off + done.written_off,
            postings=record.postings + 1,
        )
    assert not amount, "an order loses no more than its grants"
    return record


def _give_back(change: Changes, record: OrderRecord, amount: int) -> OrderRecord:
    """Undo a reversal: the account gets what it paid, the write-off account the rest."""
    order = record.order
    own = min(amount, record.taken)
    if own:
        terms = grants.Terms(
            category=Category.PAID,
            source=_source(order),
            reference=_operation(record),
            name="Payment returned to the hub",
        )
        grants.grant(change.connection, change.clock, change.ids, order.account_id, own, terms)
        record = replace(record, taken=record.taken - own, postings=record.postings + 1)
    lost = amount - own
    if lost:
        corrections.recover(
            change.connection,
            change.clock.now_us(),
            _operation(record),
            order.account_id,
            _source(order),
            lost,
        )
        record = replace(
            record, written_off=record.written_off - lost, postings=record.postings + 1
        )
    return record


def reference_of(order_id: str) -> str:
    """Return the reference of the grant that an order's payment became."""
    return f"order/{order_id}"


def _operation(record: OrderRecord) -> str:
    """Return the next name for a posting of an order; each is used once."""
    return f"{reference_of(record.order.id)}/{record.postings + 1}"


def _source(order: Order) -> str:
    return f"{FUNDING}{order.provider}"
