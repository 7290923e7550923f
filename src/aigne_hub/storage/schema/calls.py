"""What was called."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)

from aigne_hub.domain.operations import Reason
from aigne_hub.storage.schema.columns import identifier, instant, metadata, one_of, only

model_call = Table(
    "model_call",
    metadata,
    identifier(),
    Column("status", Text, nullable=False),
    Column("outcome", Text),
    Column("account_id", Text, nullable=False),
    Column("user_did", Text, nullable=False),
    Column("app_did", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("process_id", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("stream", Integer, nullable=False),
    Column("rate_id", Text),
    Column("input_counted", BigInteger, nullable=False),
    instant("started_us"),
    Column("sent", Integer, nullable=False, server_default="0"),
    # The journal of what was delivered, counted in tokens; null until content left.
    Column("delivered_tokens", BigInteger),
    Column("provider", Text),
    Column("credential", Text),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cache_read_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("units", BigInteger),
    # What the columns above do not tell (domain.usage.Usage.detail), as JSON.
    Column("usage_detail", Text),
    Column("usage_source", Text),
    Column("charge", BigInteger),
    # What the provider charges for it; null when no cost is declared.
    Column("cost", BigInteger),
    Column("duration_us", BigInteger),
    Column("ttfb_us", BigInteger),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("error_code", Text),
    Column("error_message", Text),
    # The limits' counters it holds room in, a line each, and the tokens it reserved there.
    Column("counters", Text),
    Column("tokens_reserved", BigInteger, nullable=False, server_default="0"),
    one_of("status", "processing", "success", "failed", name="status"),
    one_of(
        "outcome",
        "completed",
        "client_cancelled",
        "cut_off",
        "upstream_failed",
        "upstream_timeout",
        "rejected",
        "interrupted",
        name="outcome",
    ),
    CheckConstraint("(status = 'processing') = (outcome IS NULL)", name="closed"),
    one_of("usage_source", "provider", "counted", name="usage_source"),
    CheckConstraint("charge >= 0", name="charge"),
    CheckConstraint("cost >= 0", name="cost"),
    CheckConstraint(
        "input_tokens >= 0 AND output_tokens >= 0 AND cache_read_tokens >= 0 "
        "AND cache_write_tokens >= 0 AND units >= 0",
        name="usage",
    ),
    sqlite_with_rowid=False,
)
Index("ix_model_call_account_id", model_call.c.account_id, model_call.c.id)
Index(
    "ix_model_call_processing",
    model_call.c.process_id,
    **only(text("status = 'processing'")),
)

call_attempt = Table(
    "call_attempt",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("credential", Text, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    instant("started_us"),
    Column("duration_us", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("cost", BigInteger),
    one_of("reason", *Reason, name="reason"),
    sqlite_with_rowid=False,
)

# One charge and one answer for each key for a day; the digest covers the key and whose it is.
idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("key_digest", LargeBinary, primary_key=True),
    Column("body_digest", LargeBinary, nullable=False),
    Column("call_id", Text, nullable=False, unique=True),
    instant("created_us"),
    Column("complete", Integer, nullable=False, server_default="0"),
    Column("status", Integer),
    Column("content_type", Text),
    Column("model", Text),
    Column("body", LargeBinary),
)
Index("ix_idempotency_key_created_us", idempotency_key.c.created_us)

# What calls left at their providers: only its account reaches it, with the credential that made
# it (domain.objects).
upstream_object = Table(
    "upstream_object",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("credential", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("call_id", Text, nullable=False),
    instant("created_us"),
    # When the hub asks by itself whether it failed; null when it need not.
    instant("ask_us", nullable=True),
    sqlite_with_rowid=False,
)
Index(
    "ix_upstream_object_ask_us",
    upstream_object.c.ask_us,
    **only(text("ask_us IS NOT NULL")),
)
Index("ix_upstream_object_created_us", upstream_object.c.created_us)
# For lists: responses, of which an account may have a million, are in none.
Index(
    "ix_upstream_object_listed",
    upstream_object.c.account_id,
    upstream_object.c.kind,
    upstream_object.c.created_us,
    upstream_object.c.id,
    **only(text("kind <> 'response'")),
)
