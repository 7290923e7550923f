"""The hub itself: its state, its processes, its jobs and its audit log."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Integer, LargeBinary, Table, Text

from aigne_hub.storage.schema.columns import amount, identifier, instant, metadata

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
    # Where the chain of the audit log ends.
    Column("audit_seq", BigInteger, nullable=False, server_default="0"),
    Column("audit_hash", LargeBinary),
    # What hub.yaml grants to new accounts, for commands that do not see the file.
    amount("new_user_credits", "0"),
    amount("overdraft", "0"),
    # What one credit costs, in nano-dollars; null when it is sold in another currency.
    Column("credit_price", BigInteger, server_default="1000000000"),
    CheckConstraint("id = 1", name="single"),
)

# A serving process. Its lock, not this row, says whether it lives.
process = Table(
    "process",
    metadata,
    identifier(),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    instant("started_us"),
    instant("seen_us", nullable=True),
    # The last batch of its journal that committed (PostgreSQL): asked when an answer is lost.
    Column("batch", BigInteger),
    instant("ended_us", nullable=True),
)

# -- operations -------------------------------------------------------------------------

audit_log = Table(
    "audit_log",
    metadata,
    identifier(),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("actor", Text, nullable=False),
    Column("origin", Text, nullable=False, server_default=""),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default="{}"),
    instant("created_us"),
    # Covers this entry and, through its own, every one before it.
    Column("hash", LargeBinary, nullable=False),
)

job = Table(
    "job",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text),
    instant("lease_until_us", nullable=True),
    instant("last_run_us", nullable=True),
    Column("last_error", Text),
    # What the last run found, for jobs that look for something.
    Column("found", BigInteger),
)

# What processes tell each other of the health of a target: a provider, a credential, a model.
# `fault` is why it is barred; `since_us` when that began, and `told_us` when its owner was told.
# `prober` may send the one call, or the one check, that shows whether it works again.
target_health = Table(
    "target_health",
    metadata,
    Column("target", Text, primary_key=True),
    Column("fault", Text),
    instant("until_us"),
    Column("bars", Integer, nullable=False),
    instant("changed_us"),
    instant("since_us", nullable=True),
    instant("told_us", nullable=True),
    Column("prober", Text),
    instant("probe_until_us", nullable=True),
)

# Operations that could not be committed; kept so that nothing is lost silently.
dead_letter = Table(
    "dead_letter",
    metadata,
    identifier(),
    Column("operation", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("error", Text, nullable=False),
    instant("created_us"),
)
