"""The schema as first released."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column
from sqlalchemy.types import TypeEngine

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def _required(kind: type[TypeEngine[Any]], *names: str) -> Iterator[Column[Any]]:
    return (Column(name, kind(), nullable=False) for name in names)


def _nullable(kind: type[TypeEngine[Any]], *names: str) -> Iterator[Column[Any]]:
    return (Column(name, kind()) for name in names)


def upgrade() -> None:
    _operations()
    _access()
    _providers()
    _models()
    _calls()
    _attempts()
    _credit()
    _ledger()
    op.execute(sa.text("INSERT INTO hub_state (id, version) VALUES (1, 1)"))


def _operations() -> None:
    op.create_table(
        "hub_state",
        *_required(sa.Integer, "id"),
        *_required(sa.BigInteger, "version"),
        *_nullable(sa.LargeBinary, "sealed_pepper", "setup_digest"),
        sa.Column("new_user_credits", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("overdraft", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_hub_state_single")),
        sa.PrimaryKeyConstraint("id", name="pk_hub_state"),
    )
    op.create_table(
        "process",
        *_required(sa.Text, "id", "host"),
        *_required(sa.Integer, "pid"),
        *_required(sa.BigInteger, "started_us"),
        *_nullable(sa.BigInteger, "seen_us", "ended_us"),
        sa.PrimaryKeyConstraint("id", name="pk_process"),
    )
    op.create_table(
        "audit_log",
        *_required(sa.Text, "id", "actor", "action", "object"),
        sa.Column("detail", sa.Text(), server_default="{}", nullable=False),
        *_required(sa.BigInteger, "created_us"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_table(
        "job",
        *_required(sa.Text, "name"),
        *_nullable(sa.Text, "holder"),
        *_nullable(sa.BigInteger, "lease_until_us", "last_run_us"),
        *_nullable(sa.Text, "last_error"),
        sa.PrimaryKeyConstraint("name", name="pk_job"),
    )
    op.create_table(
        "dead_letter",
        *_required(sa.Text, "id", "operation", "payload", "error"),
        *_required(sa.BigInteger, "created_us"),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letter"),
    )


def _access() -> None:
    op.create_table(
        "user",
        *_required(sa.Text, "id", "did"),
        *_nullable(sa.Text, "email"),
        *_required(sa.Text, "role"),
        *_nullable(sa.BigInteger, "disabled_us"),
        *_required(sa.BigInteger, "created_us"),
        sa.CheckConstraint("did LIKE 'did:%'", name=op.f("ck_user_did")),
        sa.CheckConstraint(
            "role = 'owner' OR role = 'admin' OR role = 'member' OR role = 'guest'",
            name=op.f("ck_user_role"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_user"),
        sa.UniqueConstraint("did", name="uq_user_did"),
        sa.UniqueConstraint("email", name="uq_user_email"),
    )
    op.create_table(
        "identity",
        *_required(sa.Text, "did", "kind"),
        *_nullable(sa.Text, "user_id"),
        *_required(sa.LargeBinary, "public_key"),
        *_nullable(sa.LargeBinary, "sealed_secret"),
        *_required(sa.BigInteger, "created_us"),
        sa.CheckConstraint("kind = 'user' OR kind = 'application'", name=op.f("ck_identity_kind")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_identity_user_id"),
        sa.PrimaryKeyConstraint("did", name="pk_identity"),
    )
    op.create_table(
        "api_key",
        *_required(sa.Text, "id", "user_id", "name", "prefix"),
        *_required(sa.LargeBinary, "digest"),
        *_required(sa.Text, "app_did", "scopes"),
        sa.Column("models", sa.Text(), server_default="", nullable=False),
        *_nullable(sa.BigInteger, "credit_limit"),
        *_nullable(sa.Text, "limit_window"),
        *_nullable(sa.Integer, "rpm", "tpm"),
        *_required(sa.BigInteger, "created_us"),
        *_nullable(sa.BigInteger, "expires_us", "revoked_us"),
        sa.CheckConstraint(
            "limit_window = 'day' OR limit_window = 'week' OR limit_window = 'month' "
            "OR limit_window = 'total'",
            name=op.f("ck_api_key_window"),
        ),
        sa.CheckConstraint("scopes <> ''", name=op.f("ck_api_key_scopes")),
        sa.CheckConstraint(
            "(credit_limit IS NULL) = (limit_window IS NULL)", name=op.f("ck_api_key_limit")
        ),
        sa.CheckConstraint("length(digest) = 32", name=op.f("ck_api_key_digest")),
        sa.ForeignKeyConstraint(["user_id"], ["user.id"], name="fk_api_key_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("app_did", name="uq_api_key_app_did"),
        sa.UniqueConstraint("digest", name="uq_api_key_digest"),
    )
    op.create_index("ix_api_key_user_id", "api_key", ["user_id"])


def _providers() -> None:
    op.create_table(
        "provider",
        *_required(sa.Text, "id", "name", "kind"),
        *_nullable(sa.Text, "base_url"),
        *_required(sa.Text, "origin"),
        *_required(sa.BigInteger, "created_us"),
        *_nullable(sa.BigInteger, "removed_us"),
        sa.CheckConstraint("origin = 'file' OR origin = 'api'", name=op.f("ck_provider_origin")),
        sa.PrimaryKeyConstraint("id", name="pk_provider"),
        sa.UniqueConstraint("name", name="uq_provider_name"),
    )
    op.create_table(
        "credential",
        *_required(sa.Text, "id", "provider_id", "name"),
        *_required(sa.LargeBinary, "sealed_key"),
        *_required(sa.Integer, "weight"),
        *_required(sa.Text, "origin"),
        *_required(sa.BigInteger, "created_us"),
        *_nullable(sa.BigInteger, "removed_us"),
        sa.CheckConstraint("origin = 'file' OR origin = 'api'", name=op.f("ck_credential_origin")),
        sa.CheckConstraint("weight > 0", name=op.f("ck_credential_weight")),
        sa.ForeignKeyConstraint(["provider_id"], ["provider.id"], name="fk_credential_provider_id"),
        sa.PrimaryKeyConstraint("id", name="pk_credential"),
        sa.UniqueConstraint("provider_id", "name", name="uq_credential_provider_id_name"),
    )


def _models() -> None:
    op.create_table(
        "model",
        *_required(sa.Text, "id", "provider_id", "name", "type"),
        *_required(sa.Integer, "max_output_tokens", "context_tokens"),
        *_required(sa.Text, "origin"),
        *_required(sa.BigInteger, "created_us"),
        *_nullable(sa.BigInteger, "removed_us"),
        sa.CheckConstraint("origin = 'file' OR origin = 'api'", name=op.f("ck_model_origin")),
        sa.CheckConstraint(
            "type = 'chat' OR type = 'embedding' OR type = 'image' OR type = 'video' "
            "OR type = 'speech' OR type = 'transcription' OR type = 'rerank' "
            "OR type = 'moderation'",
            name=op.f("ck_model_type"),
        ),
        sa.CheckConstraint(
            "max_output_tokens > 0 AND context_tokens > 0", name=op.f("ck_model_limits")
        ),
        sa.ForeignKeyConstraint(["provider_id"], ["provider.id"], name="fk_model_provider_id"),
        sa.PrimaryKeyConstraint("id", name="pk_model"),
        sa.UniqueConstraint("provider_id", "name", name="uq_model_provider_id_name"),
    )
    op.create_table(
        "rate",
        *_required(sa.Text, "id", "model_id"),
        *_required(sa.Integer, "version"),
        *_required(sa.Text, "amounts"),
        sa.Column("cost", sa.Text(), server_default="{}", nullable=False),
        *_required(sa.Text, "source"),
        *_required(sa.BigInteger, "effective_us"),
        sa.CheckConstraint("version > 0", name=op.f("ck_rate_version")),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name="fk_rate_model_id"),
        sa.PrimaryKeyConstraint("id", name="pk_rate"),
        sa.UniqueConstraint("model_id", "version", name="uq_rate_model_id_version"),
    )
    op.create_table(
        "alias",
        *_required(sa.Text, "name", "model"),
        sa.Column("fallbacks", sa.Text(), server_default="", nullable=False),
        *_required(sa.Text, "origin"),
        sa.CheckConstraint("name NOT LIKE '%/%'", name=op.f("ck_alias_name")),
        sa.CheckConstraint("origin = 'file' OR origin = 'api'", name=op.f("ck_alias_origin")),
        sa.PrimaryKeyConstraint("name", name="pk_alias"),
    )


def _calls() -> None:
    op.create_table(
        "model_call",
        *_required(sa.Text, "id", "status"),
        *_nullable(sa.Text, "outcome"),
        *_required(
            sa.Text,
            "account_id",
            "user_did",
            "app_did",
            "key_id",
            "process_id",
            "request_id",
            "type",
            "model",
        ),
        *_required(sa.Integer, "stream"),
        *_nullable(sa.Text, "rate_id"),
        *_required(sa.BigInteger, "input_counted", "started_us"),
        sa.Column("sent", sa.Integer(), server_default="0", nullable=False),
        *_nullable(sa.BigInteger, "delivered_tokens"),
        *_nullable(sa.Text, "provider", "credential"),
        *_nullable(
            sa.BigInteger,
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "units",
        ),
        *_nullable(sa.Text, "usage_source"),
        *_nullable(sa.BigInteger, "charge", "duration_us", "ttfb_us"),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        *_nullable(sa.Text, "error_code", "error_message"),
        sa.CheckConstraint(
            "(status = 'processing') = (outcome IS NULL)", name=op.f("ck_model_call_closed")
        ),
        sa.CheckConstraint(
            "outcome = 'completed' OR outcome = 'client_cancelled' "
            "OR outcome = 'cut_off' OR outcome = 'upstream_failed' "
            "OR outcome = 'upstream_timeout' OR outcome = 'rejected' "
            "OR outcome = 'interrupted'",
            name=op.f("ck_model_call_outcome"),
        ),
        sa.CheckConstraint(
            "status = 'processing' OR status = 'success' OR status = 'failed'",
            name=op.f("ck_model_call_status"),
        ),
        sa.CheckConstraint(
            "usage_source = 'provider' OR usage_source = 'counted'",
            name=op.f("ck_model_call_usage_source"),
        ),
        sa.CheckConstraint("charge >= 0", name=op.f("ck_model_call_charge")),
        sa.CheckConstraint(
            "input_tokens >= 0 AND output_tokens >= 0 AND cache_read_tokens >= 0 "
            "AND cache_write_tokens >= 0 AND units >= 0",
            name=op.f("ck_model_call_usage"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_model_call"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_model_call_account_id", "model_call", ["account_id", "id"])
    op.create_index(
        "ix_model_call_processing",
        "model_call",
        ["process_id"],
        sqlite_where=sa.text("status = 'processing'"),
        postgresql_where=sa.text("status = 'processing'"),
    )


def _attempts() -> None:
    op.create_table(
        "call_attempt",
        *_required(sa.Text, "call_id"),
        *_required(sa.Integer, "seq"),
        *_required(sa.Text, "provider", "credential"),
        *_nullable(sa.Integer, "status"),
        *_nullable(sa.Text, "error"),
        *_required(sa.BigInteger, "started_us", "duration_us"),
        sa.PrimaryKeyConstraint("call_id", "seq", name="pk_call_attempt"),
        sqlite_with_rowid=False,
    )


def _credit() -> None:
    op.create_table(
        "account",
        *_required(sa.Text, "id"),
        sa.Column("balance", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("overdraft", sa.BigInteger(), server_default="0", nullable=False),
        *_nullable(sa.BigInteger, "expiry_due_us"),
        *_required(sa.BigInteger, "created_us"),
        sa.CheckConstraint("balance - held + overdraft >= 0", name=op.f("ck_account_available")),
        sa.CheckConstraint("held >= 0", name=op.f("ck_account_held")),
        sa.CheckConstraint("overdraft >= 0", name=op.f("ck_account_overdraft")),
        sa.ForeignKeyConstraint(["id"], ["user.id"], name="fk_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
    )
    op.create_table(
        "credit_grant",
        *_required(sa.Text, "id", "account_id"),
        *_required(sa.BigInteger, "amount", "remaining"),
        *_required(sa.Text, "category"),
        *_required(sa.Integer, "priority"),
        *_nullable(sa.BigInteger, "expires_us"),
        *_required(sa.BigInteger, "created_us"),
        *_required(sa.Text, "source"),
        sa.CheckConstraint(
            "category = 'promotional' OR category = 'paid'", name=op.f("ck_credit_grant_category")
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_credit_grant_amount")),
        sa.CheckConstraint("priority BETWEEN 0 AND 100", name=op.f("ck_credit_grant_priority")),
        sa.CheckConstraint(
            "remaining >= 0 AND remaining <= amount", name=op.f("ck_credit_grant_remaining")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_credit_grant_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_credit_grant"),
    )
    op.create_index(
        "ix_credit_grant_live",
        "credit_grant",
        ["account_id"],
        sqlite_where=sa.text("remaining > 0"),
        postgresql_where=sa.text("remaining > 0"),
    )


def _ledger() -> None:
    op.create_table(
        "transfer",
        *_required(sa.Text, "account_id", "operation_id"),
        *_required(sa.Integer, "seq"),
        *_required(sa.Text, "kind", "debit", "credit"),
        *_required(sa.BigInteger, "amount"),
        *_nullable(sa.Text, "grant_id", "call_id"),
        *_required(sa.BigInteger, "created_us"),
        sa.CheckConstraint(
            "kind = 'grant' OR kind = 'capture' OR kind = 'write_off' OR kind = 'expiry'",
            name=op.f("ck_transfer_kind"),
        ),
        sa.CheckConstraint("amount > 0", name=op.f("ck_transfer_amount")),
        sa.CheckConstraint("debit <> credit", name=op.f("ck_transfer_sides")),
        sa.PrimaryKeyConstraint("account_id", "operation_id", "seq", name="pk_transfer"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hold",
        *_required(sa.Text, "call_id", "account_id"),
        *_required(sa.BigInteger, "amount"),
        *_required(sa.Text, "state"),
        *_nullable(sa.BigInteger, "captured"),
        *_required(sa.BigInteger, "created_us"),
        *_nullable(sa.BigInteger, "resolved_us"),
        sa.CheckConstraint(
            "(state = 'pending') = (resolved_us IS NULL)", name=op.f("ck_hold_resolved")
        ),
        sa.CheckConstraint(
            "state = 'pending' OR state = 'captured' OR state = 'voided'",
            name=op.f("ck_hold_state"),
        ),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_hold_amount")),
        sa.CheckConstraint("captured >= 0", name=op.f("ck_hold_captured")),
        sa.PrimaryKeyConstraint("call_id", name="pk_hold"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "meter_event",
        *_required(sa.Text, "call_id", "meter", "account_id"),
        *_required(sa.BigInteger, "value", "created_us"),
        *_nullable(sa.BigInteger, "delivered_us"),
        sa.CheckConstraint("value >= 0", name=op.f("ck_meter_event_value")),
        sa.PrimaryKeyConstraint("call_id", name="pk_meter_event"),
        sqlite_with_rowid=False,
    )
