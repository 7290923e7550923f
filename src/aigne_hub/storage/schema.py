"""The one schema, for SQLite and PostgreSQL: users, access, catalogue, calls and money.

Ids are UUIDv7 text, instants are Unix microseconds, money is nano-credits, all as
64-bit integers. Constraints carry the invariants; triggers (see `triggers.py`) keep the
ledger append-only.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _id(name: str = "id") -> Column[str]:
    return Column(name, Text, primary_key=True)


def _us(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _amount(name: str, default: str | None = None) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=default)


def _one_of(column: str, *values: str, name: str | None = None) -> CheckConstraint:
    """Constrain a column to some values; SQLite builds a table a row for IN, none for OR."""
    return CheckConstraint(" OR ".join(f"{column} = '{v}'" for v in values), name=name or column)


# One row: what every process compares to know that configuration changed.
hub_state = Table(
    "hub_state",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", BigInteger, nullable=False),
    # The secret that API key digests are made with; opening it also proves the hub's own key.
    Column("sealed_pepper", LargeBinary),
    # Who knows the text of this digest may take the hub over, once.
    Column("setup_digest", LargeBinary),
    # What hub.yaml grants to new accounts, for commands that do not see the file.
    _amount("new_user_credits", "0"),
    _amount("overdraft", "0"),
    CheckConstraint("id = 1", name="single"),
)

# A serving process. Its lock, not this row, says whether it lives.
process = Table(
    "process",
    metadata,
    _id(),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    _us("started_us"),
    _us("seen_us", nullable=True),
    _us("ended_us", nullable=True),
)

# -- users and identities ---------------------------------------------------------------

user = Table(
    "user",
    metadata,
    _id(),
    Column("did", Text, nullable=False, unique=True),
    Column("email", Text, unique=True),
    Column("role", Text, nullable=False),
    Column("disabled_us", BigInteger),
    _us("created_us"),
    _one_of("role", "owner", "admin", "member", "guest", name="role"),
    CheckConstraint("did LIKE 'did:%'", name="did"),
)

identity = Table(
    "identity",
    metadata,
    Column("did", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("user_id", Text, ForeignKey("user.id")),
    Column("public_key", LargeBinary, nullable=False),
    Column("sealed_secret", LargeBinary),
    _us("created_us"),
    _one_of("kind", "user", "application", name="kind"),
)

api_key = Table(
    "api_key",
    metadata,
    _id(),
    Column("user_id", Text, ForeignKey("user.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("app_did", Text, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("models", Text, nullable=False, server_default=""),
    Column("credit_limit", BigInteger),
    Column("limit_window", Text),
    Column("rpm", Integer),
    Column("tpm", Integer),
    _us("created_us"),
    _us("expires_us", nullable=True),
    _us("revoked_us", nullable=True),
    CheckConstraint("length(digest) = 32", name="digest"),
    CheckConstraint("scopes <> ''", name="scopes"),
    _one_of("limit_window", "day", "week", "month", "total", name="window"),
    CheckConstraint("(credit_limit IS NULL) = (limit_window IS NULL)", name="limit"),
)

# -- catalogue --------------------------------------------------------------------------

provider = Table(
    "provider",
    metadata,
    _id(),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("base_url", Text),
    Column("origin", Text, nullable=False),
    _us("created_us"),
    _us("removed_us", nullable=True),
    _one_of("origin", "file", "api", name="origin"),
)

credential = Table(
    "credential",
    metadata,
    _id(),
    Column("provider_id", Text, ForeignKey("provider.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    _us("created_us"),
    _us("removed_us", nullable=True),
    UniqueConstraint("provider_id", "name"),
    CheckConstraint("weight > 0", name="weight"),
    _one_of("origin", "file", "api", name="origin"),
)

model = Table(
    "model",
    metadata,
    _id(),
    Column("provider_id", Text, ForeignKey("provider.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("max_output_tokens", Integer, nullable=False),
    Column("context_tokens", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    _us("created_us"),
    _us("removed_us", nullable=True),
    UniqueConstraint("provider_id", "name"),
    _one_of(
        "type",
        "chat",
        "embedding",
        "image",
        "video",
        "speech",
        "transcription",
        "rerank",
        "moderation",
        name="type",
    ),
    CheckConstraint("max_output_tokens > 0 AND context_tokens > 0", name="limits"),
    _one_of("origin", "file", "api", name="origin"),
)

# Prices only accumulate: a change is a new version, and a call keeps the one it began with.
rate = Table(
    "rate",
    metadata,
    _id(),
    Column("model_id", Text, ForeignKey("model.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("amounts", Text, nullable=False),
    Column("cost", Text, nullable=False, server_default="{}"),
    Column("source", Text, nullable=False),
    _us("effective_us"),
    UniqueConstraint("model_id", "version"),
    CheckConstraint("version > 0", name="version"),
)

alias = Table(
    "alias",
    metadata,
    Column("name", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("fallbacks", Text, nullable=False, server_default=""),
    Column("origin", Text, nullable=False),
    CheckConstraint("name NOT LIKE '%/%'", name="name"),
    _one_of("origin", "file", "api", name="origin"),
)

# -- calls ------------------------------------------------------------------------------

model_call = Table(
    "model_call",
    metadata,
    _id(),
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
    _us("started_us"),
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
    Column("usage_source", Text),
    Column("charge", BigInteger),
    Column("duration_us", BigInteger),
    Column("ttfb_us", BigInteger),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("error_code", Text),
    Column("error_message", Text),
    _one_of("status", "processing", "success", "failed", name="status"),
    _one_of(
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
    _one_of("usage_source", "provider", "counted", name="usage_source"),
    CheckConstraint("charge >= 0", name="charge"),
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
    sqlite_where=text("status = 'processing'"),
    postgresql_where=text("status = 'processing'"),
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
    _us("started_us"),
    Column("duration_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# -- money ------------------------------------------------------------------------------

# Only customers have a balance row; system accounts are names whose postings are summed.
account = Table(
    "account",
    metadata,
    Column("id", Text, ForeignKey("user.id"), primary_key=True),
    _amount("balance", "0"),
    _amount("held", "0"),
    _amount("overdraft", "0"),
    # The earliest instant at which a lot of this account expires; null for never.
    Column("expiry_due_us", BigInteger),
    _us("created_us"),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("overdraft >= 0", name="overdraft"),
    CheckConstraint("balance - held + overdraft >= 0", name="available"),
)

credit_grant = Table(
    "credit_grant",
    metadata,
    _id(),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    _amount("amount"),
    _amount("remaining"),
    Column("category", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    _us("expires_us", nullable=True),
    _us("created_us"),
    Column("source", Text, nullable=False),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("remaining >= 0 AND remaining <= amount", name="remaining"),
    _one_of("category", "promotional", "paid", name="category"),
    CheckConstraint("priority BETWEEN 0 AND 100", name="priority"),
)
Index(
    "ix_credit_grant_live",
    credit_grant.c.account_id,
    sqlite_where=text("remaining > 0"),
    postgresql_where=text("remaining > 0"),
)

transfer = Table(
    "transfer",
    metadata,
    # The account leads the key: its statement is one range, and no second index is written.
    Column("account_id", Text, primary_key=True),
    Column("operation_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    _amount("amount"),
    Column("grant_id", Text),
    Column("call_id", Text),
    _us("created_us"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("debit <> credit", name="sides"),
    _one_of("kind", "grant", "capture", "write_off", "expiry", name="kind"),
    sqlite_with_rowid=False,
)

hold = Table(
    "hold",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    _amount("amount"),
    Column("state", Text, nullable=False),
    Column("captured", BigInteger),
    _us("created_us"),
    _us("resolved_us", nullable=True),
    CheckConstraint("amount >= 0", name="amount"),
    _one_of("state", "pending", "captured", "voided", name="state"),
    CheckConstraint("(state = 'pending') = (resolved_us IS NULL)", name="resolved"),
    CheckConstraint("captured >= 0", name="captured"),
    sqlite_with_rowid=False,
)

# The outbox of the meter: one immutable fact a settled call, delivered at least once.
meter_event = Table(
    "meter_event",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("meter", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    _amount("value"),
    _us("created_us"),
    _us("delivered_us", nullable=True),
    CheckConstraint("value >= 0", name="value"),
    sqlite_with_rowid=False,
)

# -- operations -------------------------------------------------------------------------

audit_log = Table(
    "audit_log",
    metadata,
    _id(),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default="{}"),
    _us("created_us"),
)

job = Table(
    "job",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),
    _us("lease_until_us", nullable=True),
    _us("last_run_us", nullable=True),
    Column("last_error", Text),
)

# Operations that could not be committed; kept so that nothing is lost silently.
dead_letter = Table(
    "dead_letter",
    metadata,
    _id(),
    Column("operation", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("error", Text, nullable=False),
    _us("created_us"),
)
