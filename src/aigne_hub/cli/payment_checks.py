"""What `doctor` asks about money: payment providers, and the secrets of webhooks."""

from collections.abc import Iterator

from aigne_hub.bootstrap import Hub
from aigne_hub.cli.checks import Check
from aigne_hub.crypto.envelope import SealBroken
from aigne_hub.payment_bootstrap import cashier
from aigne_hub.storage import webhooks
from aigne_hub.storage.engine import reading

_STRIPE_PREFIX = "whsec_"


def payment_checks(hub: Hub) -> Iterator[Check]:
    """Yield a check for each way to be paid, and one for outgoing webhooks if there are any."""
    if hub.hub_file.billing.enabled:
        yield from _providers(hub)
    yield from _endpoints(hub)


def _providers(hub: Hub) -> Iterator[Check]:
    for name, provider in cashier(hub).providers.items():
        health = provider.health()
        fix = "" if health.ok else f"correct billing.payments.{name} in hub.yaml, then ask again"
        yield Check(f"payments by {name}", health.ok, health.detail, fix)
    secret = hub.hub_file.billing.payments.stripe.signing_secret
    if secret and not secret.startswith(_STRIPE_PREFIX):
        yield Check(
            "webhook secret of stripe",
            ok=False,
            detail=f"does not begin with {_STRIPE_PREFIX}, so no webhook will pass",
            fix="copy the signing secret of the webhook endpoint from Stripe's dashboard",
        )


def _endpoints(hub: Hub) -> Iterator[Check]:
    """Check that the secret of each endpoint opens under this hub's key."""
    with reading(hub.engine) as view:
        sealed = webhooks.sealed_secrets(view)
    broken = []
    for endpoint_id, secret in sealed:
        try:
            webhooks.open_secret(hub.keyring, endpoint_id, secret)
        except SealBroken:
            broken.append(endpoint_id)
    if broken:
        yield Check(
            "webhook secrets",
            ok=False,
            detail=f"do not open with the secret key: {', '.join(broken)}",
            fix="remove these endpoints and make them again: aigne-hub webhooks remove ID",
        )
    elif sealed:
        yield Check("webhook secrets", ok=True, detail=f"{len(sealed)} open with the secret key")
