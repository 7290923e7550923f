"""The one schema, for SQLite and PostgreSQL: users, access, catalogue, calls and money.

Ids are UUIDv7 text, instants are Unix microseconds, money is nano-credits, all as
64-bit integers. Constraints carry the invariants; triggers (see `triggers.py`) keep the
ledger append-only.
"""

from aigne_hub.storage.schema.answers import route_answer
from aigne_hub.storage.schema.calls import (
    call_attempt,
    idempotency_key,
    model_call,
    upstream_object,
)
from aigne_hub.storage.schema.catalogue import (
    alias,
    credential,
    model,
    model_status,
    price_alert,
    price_reference,
    provider,
    rate,
)
from aigne_hub.storage.schema.columns import metadata
from aigne_hub.storage.schema.connecting import connect_session
from aigne_hub.storage.schema.limits import limit_counter, usage_limit
from aigne_hub.storage.schema.metering import (
    grant_note,
    meter,
    meter_delivery,
    metered_event,
    mirrored_grant,
    payment_kit,
    setting,
)
from aigne_hub.storage.schema.money import (
    account,
    call_rerate,
    credit_grant,
    grant_reversal,
    hold,
    meter_event,
    transfer,
)
from aigne_hub.storage.schema.oauth import (
    device_guess,
    oauth_client,
    oauth_code,
    oauth_device,
    oauth_family,
    oauth_grant,
    refresh_token,
    revoked_token,
    signing_key,
)
from aigne_hub.storage.schema.operations import (
    audit_log,
    dead_letter,
    hub_state,
    job,
    process,
    target_health,
)
from aigne_hub.storage.schema.payments import (
    auto_recharge,
    payment_customer,
    payment_event,
    payment_order,
    payment_refund,
    redemption,
    redemption_code,
    redemption_guess,
)
from aigne_hub.storage.schema.selling import checkout_session, payment_link
from aigne_hub.storage.schema.sessions import password, session, sign_in_failure
from aigne_hub.storage.schema.users import (
    api_key,
    application,
    identity,
    role,
    used_signature,
    user,
)
from aigne_hub.storage.schema.wallets import did_session, profile
from aigne_hub.storage.schema.webhooks import (
    event,
    low_balance,
    low_balance_threshold,
    webhook_delivery,
    webhook_endpoint,
)

__all__ = [
    "account",
    "alias",
    "api_key",
    "application",
    "audit_log",
    "auto_recharge",
    "call_attempt",
    "call_rerate",
    "checkout_session",
    "connect_session",
    "credential",
    "credit_grant",
    "dead_letter",
    "device_guess",
    "did_session",
    "event",
    "grant_note",
    "grant_reversal",
    "hold",
    "hub_state",
    "idempotency_key",
    "identity",
    "job",
    "limit_counter",
    "low_balance",
    "low_balance_threshold",
    "metadata",
    "meter",
    "meter_delivery",
    "meter_event",
    "metered_event",
    "mirrored_grant",
    "model",
    "model_call",
    "model_status",
    "oauth_client",
    "oauth_code",
    "oauth_device",
    "oauth_family",
    "oauth_grant",
    "password",
    "payment_customer",
    "payment_event",
    "payment_kit",
    "payment_link",
    "payment_order",
    "payment_refund",
    "price_alert",
    "price_reference",
    "process",
    "profile",
    "provider",
    "rate",
    "redemption",
    "redemption_code",
    "redemption_guess",
    "refresh_token",
    "revoked_token",
    "role",
    "route_answer",
    "session",
    "setting",
    "sign_in_failure",
    "signing_key",
    "target_health",
    "transfer",
    "upstream_object",
    "usage_limit",
    "used_signature",
    "user",
    "webhook_delivery",
    "webhook_endpoint",
]
