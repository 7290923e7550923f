"""What hub.yaml says about payments: what credit costs, and by which providers it is paid."""

from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from aigne_hub.config_values import BaseUrl, Credits, Frozen, Secret
from aigne_hub.domain.currencies import MINOR_MAX, exponent, format_minor, is_code
from aigne_hub.domain.money import NANO_PER_CREDIT

INSTRUCTIONS_LENGTH_MAX = 2_000
METER_LENGTH_MAX = 255
_PUBLISHABLE = "pk_"


def _currency(text: str) -> str:
    if not is_code(text):
        raise ValueError("must be an ISO 4217 code in lower case, like usd")
    return text


def _positive(amount: int) -> int:
    if amount <= 0:
        raise ValueError("must be more than 0")
    return amount


def _secret_key(key: Secret) -> Secret:
    if key.get_secret_value().startswith(_PUBLISHABLE):
        raise ValueError("is a publishable key; the hub needs the secret one (sk_… or rk_…)")
    return key


Positive = Annotated[Credits, AfterValidator(_positive)]


class Stripe(Frozen):
    """Off without a secret key; without a webhook secret nothing can be credited."""

    secret_key: Annotated[Secret, AfterValidator(_secret_key)] | None = None
    webhook_secret: Secret | None = None
    api_base: BaseUrl | None = None

    @property
    def key(self) -> str:
        """The secret key, empty for none."""
        return self.secret_key.get_secret_value() if self.secret_key else ""

    @property
    def signing_secret(self) -> str:
        """What webhooks are signed with, empty for none."""
        return self.webhook_secret.get_secret_value() if self.webhook_secret else ""

    @property
    def for_trying_out(self) -> bool:
        return self.key.startswith(("sk_test_", "rk_test_"))


class PaymentKit(Frozen):
    """The Payment Kit that credit is bought at and usage is reported to; off without a URL.

    `url` is what stands before its `/api`. `meter` is the event name of its meter.
    """

    url: BaseUrl | None = None
    token: Secret | None = None
    meter: str = Field(default="agent-hub-ai-meter", min_length=1, max_length=METER_LENGTH_MAX)

    @property
    def key(self) -> str:
        """The token, empty for none."""
        return self.token.get_secret_value() if self.token else ""


class Payments(Frozen):
    """What is sold. `mode` is that of the built-in provider.

    `credit_price` is what one credit costs, in 10^-9 of `currency`; `min` and `max` bound one
    order, in nano-credits.
    """

    mode: Literal["manual", "test", "off"] = "manual"
    credit_price: Positive = Field(default="1", validate_default=True)
    currency: Annotated[str, AfterValidator(_currency)] = "usd"
    min: Positive = Field(default="1", validate_default=True)
    max: Positive = Field(default="10000", validate_default=True)
    instructions: str = Field(default="", max_length=INSTRUCTIONS_LENGTH_MAX)
    stripe: Stripe = Stripe()
    payment_kit: PaymentKit = PaymentKit()


def on_this_machine(url: str) -> bool:
    """Tell whether an address can only be reached from the machine itself."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def misfits(
    payments: Payments, public_url: str | None, *, production: bool
) -> list[tuple[str, str]]:
    """Return what is wrong with payments as a whole: the key below `billing.payments`, and why."""
    found = []
    if payments.min > payments.max:
        found.append(("min", "must not be more than max"))
    scale: int = 10 ** exponent(payments.currency)
    most = payments.max * payments.credit_price * scale // NANO_PER_CREDIT**2
    if not 0 < most <= MINOR_MAX:
        limit = format_minor(MINOR_MAX, payments.currency)
        found.append(("max", f"must cost something, and at most {limit}, in one payment"))
    refused = _refused_test_mode(public_url, production=production)
    if payments.mode == "test" and refused:
        found.append(("mode", refused))
    if production and payments.stripe.for_trying_out:
        found.append(("stripe.secret_key", "is a test key, and production is true"))
    return found


def _refused_test_mode(public_url: str | None, *, production: bool) -> str:
    """Say why credit must not be had for nothing here; empty when only this machine can ask."""
    if production:
        return "test mode gives credit for nothing, and production is true"
    if public_url is not None and not on_this_machine(public_url):
        return (
            "test mode gives credit for nothing to everyone who reaches the hub; it needs a "
            "public_url on this machine, such as http://127.0.0.1:8090"
        )
    return ""
