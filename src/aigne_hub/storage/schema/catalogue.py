"""What is offered: providers, credentials, models, prices, aliases."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from aigne_hub.domain.routing import Policy
from aigne_hub.storage.schema.columns import identifier, instant, metadata, one_of

provider = Table(
    "provider",
    metadata,
    identifier(),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("base_url", Text),
    Column("origin", Text, nullable=False),
    instant("created_us"),
    instant("removed_us", nullable=True),
    one_of("origin", "file", "api", name="origin"),
)

credential = Table(
    "credential",
    metadata,
    identifier(),
    Column("provider_id", Text, ForeignKey("provider.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("sealed_key", LargeBinary, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    instant("created_us"),
    instant("removed_us", nullable=True),
    UniqueConstraint("provider_id", "name"),
    CheckConstraint("weight > 0", name="weight"),
    CheckConstraint("priority >= 0", name="priority"),
    one_of("origin", "file", "api", name="origin"),
)

model = Table(
    "model",
    metadata,
    identifier(),
    Column("provider_id", Text, ForeignKey("provider.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("max_output_tokens", Integer, nullable=False),
    Column("context_tokens", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    instant("created_us"),
    instant("removed_us", nullable=True),
    UniqueConstraint("provider_id", "name"),
    one_of(
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
    one_of("origin", "file", "api", name="origin"),
)

# Prices only accumulate: a change is a new version, and a call keeps the one it began with.
rate = Table(
    "rate",
    metadata,
    identifier(),
    Column("model_id", Text, ForeignKey("model.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("amounts", Text, nullable=False),
    Column("cost", Text, nullable=False, server_default="{}"),
    Column("source", Text, nullable=False),
    instant("effective_us"),
    UniqueConstraint("model_id", "version"),
    CheckConstraint("version > 0", name="version"),
)

# What a vendor charges for a model by the newest price list that was imported: nano-dollars.
price_reference = Table(
    "price_reference",
    metadata,
    Column("model_id", Text, ForeignKey("model.id"), primary_key=True),
    Column("amounts", Text, nullable=False),
    Column("source", Text, nullable=False),
    instant("imported_us"),
)

# What somebody was told of about a version of prices, so that it is told once.
price_alert = Table(
    "price_alert",
    metadata,
    Column("rate_id", Text, ForeignKey("rate.id"), primary_key=True),
    Column("type", Text, primary_key=True),
    instant("created_us"),
)

alias = Table(
    "alias",
    metadata,
    Column("name", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("fallbacks", Text, nullable=False, server_default=""),
    Column("policy", Text),
    Column("origin", Text, nullable=False),
    CheckConstraint("name NOT LIKE '%/%'", name="name"),
    one_of("policy", *Policy),
    one_of("origin", "file", "api", name="origin"),
)

# As the last calls went; `model` is a reference, which may outlive the model.
model_status = Table(
    "model_status",
    metadata,
    Column("model", Text, primary_key=True),
    Column("available", Integer, nullable=False),
    instant("checked_us"),
    Column("response_us", BigInteger),
    Column("code", Text),
    Column("message", Text),
)
