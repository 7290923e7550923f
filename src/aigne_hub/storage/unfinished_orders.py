"""Whether anything waits for somebody to look after orders of credit."""

from sqlalchemy import Connection, exists, or_, select

from aigne_hub.domain.orders import OrderState
from aigne_hub.storage import schema


def are_there(connection: Connection) -> bool:
    """Tell whether an order is open, or an account may be topped up by itself."""
    order, rule = schema.payment_order, schema.auto_recharge
    is_open = exists().where(order.c.state == OrderState.OPEN)
    return bool(connection.execute(select(or_(is_open, exists().where(rule.c.enabled)))).scalar())
