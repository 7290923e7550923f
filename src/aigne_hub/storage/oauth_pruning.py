"""Forgetting what the authorization server no longer needs."""

from typing import Final

from sqlalchemy import Connection, delete, select

from aigne_hub.storage import (
    oauth_codes,
    oauth_devices,
    oauth_families,
    oauth_tokens,
    schema,
)

# A client that registered itself and that no user has allowed anything.
UNUSED_US: Final = 30 * 24 * 3_600 * 1_000_000
PRUNE_BATCH: Final = 1_000
_CLIENT: Final = schema.oauth_client.c


def prune(connection: Connection, now_us: int) -> int:
    """Delete a batch of what has expired; return how many rows."""
    return (
        oauth_codes.prune(connection, now_us)
        + oauth_devices.prune(connection, now_us)
        + oauth_families.prune(connection, now_us)
        + oauth_tokens.prune(connection, now_us)
        + _unused_clients(connection, now_us)
    )


def _unused_clients(connection: Connection, now_us: int) -> int:
    grant, device = schema.oauth_grant.c, schema.oauth_device.c
    old = (
        select(_CLIENT.id, _CLIENT.app_did)
        .where(
            _CLIENT.address.is_not(None),
            _CLIENT.created_us <= now_us - UNUSED_US,
            ~select(grant.id).where(grant.client_id == _CLIENT.id).exists(),
            ~select(device.digest).where(device.client_id == _CLIENT.id).exists(),
        )
        .limit(PRUNE_BATCH)
    )
    rows = connection.execute(old).all()
    clients = [row.id for row in rows]
    applications = [row.app_did for row in rows]
    connection.execute(delete(schema.oauth_client).where(_CLIENT.id.in_(clients)))
    connection.execute(delete(schema.identity).where(schema.identity.c.did.in_(applications)))
    return len(rows)
