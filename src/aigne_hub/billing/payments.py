"""What a payment provider does for the hub: one interface, and the values that cross it.

Everything here blocks and runs in a thread, with time-outs of its own, never on the event
loop and never while a call is served. A provider knows no database and no account's balance:
it is told what is to be paid, and tells what happened as `PaymentEvent`s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from aigne_hub.domain.errors import HubError
from aigne_hub.domain.orders import Reason, ReturnKind, ReturnState

# More than any provider sends; what is longer is refused before it is read.
WEBHOOK_BYTES_MAX = 64 * 1024
# How old a signed webhook may be: a recording of one is of no use later.
WEBHOOK_TOLERANCE_S = 300


class PaymentUnavailable(HubError):
    """The provider could not be asked or did not answer. Whether it acted is not known."""

    code = "upstream_error"
    status = 502


class ForgedWebhook(HubError):
    """A webhook whose signature is missing, wrong, or older than WEBHOOK_TOLERANCE_S."""

    code = "invalid_request"
    status = 400


class PaymentDeclined(Exception):
    """The payer's bank or the provider said no to an off-session charge.

    `final`: trying again cannot help (lost card, authentication required). `reason` is the
    provider's short code, never anything a person typed.
    """

    def __init__(self, reason: str, *, final: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """An order that a person is to pay. `credits` in nano, `amount` in minor units.

    `order_id` is also the idempotency key: asked again, a provider gives the same checkout.
    `page_url` is the hub's own page of the order, where the person comes from and returns to.
    With `lasting` the address is to work for days rather than hours (a payment link); with
    `save_card` the card is kept for automatic top-ups. `customer` is what the provider called
    this account before, if it ever did.
    """

    order_id: str
    reference: str
    account_id: str
    credits: int
    amount: int
    currency: str
    page_url: str
    email: str | None = None
    customer: str | None = None
    save_card: bool = False
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Checkout:
    """Where to pay. `external_id` is the provider's, unique within it; None when it has none."""

    url: str
    external_id: str | None
    expires_us: int


@dataclass(frozen=True, slots=True)
class OffSessionCharge:
    """A charge of a saved card, nobody present. `order_id` is also the idempotency key."""

    order_id: str
    reference: str
    account_id: str
    customer: str
    amount: int
    currency: str


class ChargeStatus(StrEnum):
    SUCCEEDED = "succeeded"
    PROCESSING = "processing"  # an event will tell how it ended


@dataclass(frozen=True, slots=True)
class ChargeResult:
    status: ChargeStatus
    payment_ref: str


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Give `amount` minor units of a payment back. `refund_key` is the idempotency key."""

    order_id: str
    refund_key: str
    payment_ref: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class RefundResult:
    """The provider's id of the refund, unique within it, and how far it got."""

    refund_id: str
    state: ReturnState


@dataclass(frozen=True, slots=True)
class Health:
    """Whether payments work. `detail` says what is missing; no secret, no address."""

    ok: bool
    detail: str


class EventKind(StrEnum):
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"
    RETURN = "return"  # a refund or a dispute
    IGNORED = "ignored"  # of no matter to the hub


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """What happened, as a verified webhook or a provider's own answer says.

    `id` is unique within the provider. PAID, FAILED and EXPIRED name the order, the checkouts
    it may be (`external_ids`), what was paid, and through which `reason` of order the money
    came. RETURN names the payment (`payment_ref`), or the order where the provider knows it,
    and the return by an id that is unique within the provider. With `card_saved` the customer
    agreed that the card is charged again while nobody is present. `final`: trying a charge that
    FAILED again cannot help.
    """

    provider: str
    id: str
    kind: EventKind
    type: str = ""
    order_id: str | None = None
    reason: Reason | None = None
    external_ids: tuple[str, ...] = ()
    payment_ref: str | None = None
    amount: int | None = None
    currency: str | None = None
    customer: str | None = None
    card_saved: bool = False
    failure: str | None = None
    final: bool = False
    return_id: str | None = None
    return_kind: ReturnKind | None = None
    return_state: ReturnState | None = None


@dataclass(frozen=True, slots=True)
class VerifiedWebhook:
    """A webhook body whose signature was checked: only `verify_webhook` makes one."""

    provider: str
    body: bytes = field(repr=False)


class PaymentProvider(Protocol):
    """One way to be paid. `name` is also that of its ledger account: `funding:<name>`."""

    @property
    def name(self) -> str: ...

    @property
    def webhooks(self) -> bool:
        """Whether it has a secret that webhooks can be checked with; without, no route exists."""
        ...

    def health(self) -> Health:
        """Ask the provider whether payments work. Never raises."""
        ...

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        """Prepare a page on which a person pays. Raises PaymentUnavailable or InvalidRequest."""
        ...

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedWebhook:
        """Check the signature over the raw body. Header names are lower case.

        Raises ForgedWebhook.
        """
        ...

    def parse_event(self, webhook: VerifiedWebhook) -> PaymentEvent:
        """Return what a verified webhook says. Raises InvalidRequest for a shape it cannot read."""
        ...

    def charge_off_session(self, charge: OffSessionCharge) -> ChargeResult:
        """Charge a saved card. Raises PaymentDeclined, PaymentUnavailable."""
        ...

    def refund(self, request: RefundRequest) -> RefundResult:
        """Give money back. Raises PaymentUnavailable, InvalidRequest when it is refused."""
        ...
