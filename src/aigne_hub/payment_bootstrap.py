"""The part of the composition root that picks payment providers."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

from aigne_hub.billing.offers import Offer
from aigne_hub.billing.payments import PaymentProvider
from aigne_hub.bootstrap import PAY_PATH, Hub
from aigne_hub.crypto.page_token import PageTokens
from aigne_hub.payment_settings import on_this_machine
from aigne_hub.payments.cashier import Cashier
from aigne_hub.providers.payments.manual import ManualPayments
from aigne_hub.providers.payments.play_money import PlayMoney
from aigne_hub.providers.payments.stripe_api import StripePayments
from aigne_hub.storage import changes, engine


def cashier(hub: Hub) -> Cashier:
    """Return where this hub's orders are handled, with the providers of its configuration."""
    payments = hub.hub_file.billing.payments
    tokens = page_tokens(hub)

    def changing(actor: str) -> AbstractContextManager[changes.Changes]:
        return changes.changes(hub.engine, hub.clock, hub.ids, actor=actor)

    return Cashier(
        offer=Offer(
            credit_price=payments.credit_price,
            currency=payments.currency,
            least=payments.min,
            most=payments.max,
            instructions=payments.instructions,
        ),
        providers={provider.name: provider for provider in _payment_providers(hub)},
        clock=hub.clock,
        randbytes=os.urandom,
        changing=changing,
        reading=lambda: engine.reading(hub.engine),
        page_url=lambda order: f"{hub.public_url()}{PAY_PATH}/{tokens.make('order', order)}",
    )


def _payment_providers(hub: Hub) -> Iterator[PaymentProvider]:
    """Yield the configured providers, the one that takes cards first."""
    payments = hub.hub_file.billing.payments
    stripe = payments.stripe
    if stripe.key:
        local = stripe.api_base is not None and on_this_machine(stripe.api_base)
        yield StripePayments(
            key=stripe.key,
            signing_secret=stripe.signing_secret,
            api_base=stripe.api_base,
            proxy=None if local else hub.settings.upstream_proxy,
            now_us=hub.clock.now_us,
        )
    if payments.mode == "test":
        yield PlayMoney(hub.keyring.derive("payments: test mode"), hub.clock.now_us)
    elif payments.mode == "manual":
        yield ManualPayments(hub.clock.now_us)


def page_tokens(hub: Hub) -> PageTokens:
    return PageTokens(hub.keyring.derive("addresses of payment pages"))


def receipt_url(hub: Hub, order_id: str) -> str:
    return f"{hub.public_url()}/payment/receipts/{page_tokens(hub).make('receipt', order_id)}"
