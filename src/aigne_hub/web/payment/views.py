"""Orders as pages show them: to anybody who has the address, so nothing about a balance."""

from dataclasses import dataclass

from aigne_hub.domain.currencies import format_minor
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.storage.orders import OrderRecord

_ACCOUNT_SHOWN = 24
# Where a provider's money is told about; others are called by their own name.
_METHODS = {"manual": "Confirmed by the operator", "stripe": "Stripe", "test": "TEST MODE"}


@dataclass(frozen=True, slots=True)
class OrderView:
    """Everything in words. `account` is hidden in part unless its owner made the order."""

    reference: str
    state: str
    credits: str
    price: str
    returned: str | None
    provider: str
    method: str
    account: str
    checkout_url: str | None
    failure: str | None
    created: str
    paid: str | None


def order_view(record: OrderRecord) -> OrderView:
    order = record.order
    return OrderView(
        reference=record.reference,
        state=record.state.value,
        credits=format_credits(order.credits),
        price=format_minor(order.amount, order.currency),
        returned=format_minor(order.returned, order.currency) if order.returned else None,
        provider=order.provider,
        method=_METHODS.get(order.provider, order.provider),
        account=account_shown(record.email, record.did, whole=not record.anonymous),
        checkout_url=record.checkout_url,
        failure=record.failure,
        created=day(record.created_us),
        paid=None if record.paid_us is None else day(record.paid_us),
    )


def account_shown(email: str | None, did: str, *, whole: bool) -> str:
    """Return the name of an account: enough for its owner to recognise, no more for others."""
    if email is None:
        return did if whole else f"{did[:_ACCOUNT_SHOWN]}…"
    if whole:
        return email
    name, _, domain = email.partition("@")
    return f"{name[:1]}…@{domain}"


def day(instant_us: int) -> str:
    """Return an instant for people: date and minute, UTC."""
    text = format_instant(instant_us)
    return f"{text[:10]} {text[11:16]} UTC"
