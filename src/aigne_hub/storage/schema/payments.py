"""Payments: orders, what providers told about them, saved cards, and codes to redeem."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from aigne_hub.storage.schema.columns import amount, identifier, instant, metadata, one_of, only

payment_order = Table(
    "payment_order",
    metadata,
    identifier(),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False, index=True),
    Column("provider", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # What people quote, on a bank transfer for instance.
    Column("reference", Text, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    amount("credits"),
    amount("amount"),
    Column("currency", Text, nullable=False),
    # The provider's checkout, and its payment: refunds and disputes refer to the latter.
    Column("external_id", Text),
    Column("payment_ref", Text),
    Column("checkout_url", Text),
    # Made by somebody who did not say who they are: these have limits of their own.
    Column("anonymous", Boolean, nullable=False, server_default=false()),
    Column("save_card", Boolean, nullable=False, server_default=false()),
    Column("grant_id", Text, ForeignKey("credit_grant.id")),
    instant("paid_us", nullable=True),
    # How it ended without money: failed or expired. Money that comes later counts all the same.
    Column("closed", Text),
    Column("failure", Text),
    # What returns cost the account so far, and what of them it could not pay, in nano-credits.
    amount("taken", "0"),
    amount("written_off", "0"),
    # How many postings returns have made: it numbers their operations.
    Column("postings", Integer, nullable=False, server_default="0"),
    instant("created_us"),
    instant("updated_us"),
    instant("expires_us"),
    UniqueConstraint("provider", "external_id"),
    UniqueConstraint("provider", "payment_ref"),
    one_of("reason", "checkout", "auto_recharge", name="reason"),
    one_of("state", "open", "paid", "failed", "expired", "refunded", "disputed", name="state"),
    CheckConstraint("closed IS NULL OR closed = 'failed' OR closed = 'expired'", name="closed"),
    CheckConstraint("credits > 0", name="credits"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("(paid_us IS NULL) = (grant_id IS NULL)", name="granted"),
    CheckConstraint(
        "taken >= 0 AND written_off >= 0 AND taken + written_off <= credits", name="returned"
    ),
)
# An account has at most one automatic top-up under way, however many processes look after it.
Index(
    "uq_payment_order_recharging",
    payment_order.c.account_id,
    unique=True,
    **only(text("reason = 'auto_recharge' AND state = 'open'")),
)
Index("ix_payment_order_created_us", payment_order.c.created_us)
Index(
    "ix_payment_order_open",
    payment_order.c.expires_us,
    **only(text("state = 'open'")),
)

# One row an event, written in the transaction that does what it says. A refused one is kept
# for the operator, and looked at again when it comes again.
payment_event = Table(
    "payment_event",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("order_id", Text, index=True),
    Column("detail", Text, nullable=False, server_default=""),
    instant("created_us"),
    one_of("outcome", "applied", "ignored", "refused", name="outcome"),
)

# A refund or a dispute. It may be reported before the payment it belongs to.
payment_refund = Table(
    "payment_refund",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("return_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    amount("amount"),
    Column("payment_ref", Text),
    Column("order_id", Text, ForeignKey("payment_order.id"), index=True),
    instant("created_us"),
    instant("updated_us"),
    one_of("kind", "refund", "total", "dispute", name="kind"),
    one_of("state", "inquiry", "active", "undone", "final", name="state"),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_payment_refund_payment_ref", "provider", "payment_ref"),
)

# What a provider calls an account, for which it may keep a card.
payment_customer = Table(
    "payment_customer",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("external_id", Text, nullable=False),
    # Whether it may be charged while nobody is present.
    Column("card_saved", Boolean, nullable=False, server_default=false()),
    instant("created_us"),
    UniqueConstraint("provider", "external_id"),
)

auto_recharge = Table(
    "auto_recharge",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("provider", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    # Nano-credits: below what available credit it charges, and how much it buys.
    amount("threshold"),
    amount("credits"),
    Column("attempts_a_day", Integer, nullable=False),
    # Minor units of the currency in which the hub sells.
    amount("amount_a_day"),
    Column("failures", Integer, nullable=False, server_default="0"),
    # Not before this; null for at once.
    instant("retry_us", nullable=True),
    Column("disabled_reason", Text),
    instant("created_us"),
    instant("updated_us"),
    CheckConstraint("threshold >= 0", name="threshold"),
    CheckConstraint("credits > 0", name="credits"),
    CheckConstraint("attempts_a_day > 0", name="attempts_a_day"),
    CheckConstraint("amount_a_day > 0", name="amount_a_day"),
    CheckConstraint("failures >= 0", name="failures"),
)

redemption_code = Table(
    "redemption_code",
    metadata,
    identifier(),
    # SHA-256 of the code, which has 80 random bits, and how it begins.
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("prefix", Text, nullable=False),
    amount("amount"),
    Column("category", Text, nullable=False),
    Column("max_redemptions", Integer, nullable=False),
    Column("redeemed", Integer, nullable=False, server_default="0"),
    instant("created_us"),
    instant("expires_us", nullable=True),
    instant("revoked_us", nullable=True),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("redeemed >= 0 AND redeemed <= max_redemptions", name="redeemed"),
    CheckConstraint("length(digest) = 32", name="digest"),
    one_of("category", "promotional", "paid", name="category"),
)

redemption = Table(
    "redemption",
    metadata,
    Column("code_id", Text, ForeignKey("redemption_code.id"), primary_key=True),
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("grant_id", Text, ForeignKey("credit_grant.id"), nullable=False, unique=True),
    instant("created_us"),
)

# Wrong codes of an account within an hour: guessing is slow, however many processes answer.
redemption_guess = Table(
    "redemption_guess",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    instant("hour_us"),
    Column("failures", Integer, nullable=False),
)
