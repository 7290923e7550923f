"""What payment providers call accounts, and whether they keep a card for them."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes

_TABLE = schema.payment_customer


@dataclass(frozen=True, slots=True)
class Customer:
    """`card_saved`: the provider may charge a card of theirs while nobody is present."""

    account_id: str
    provider: str
    external_id: str
    card_saved: bool


def find(connection: Connection, account_id: str, provider: str) -> Customer | None:
    row = connection.execute(
        select(_TABLE).where(_TABLE.c.account_id == account_id, _TABLE.c.provider == provider)
    ).one_or_none()
    if row is None:
        return None
    return Customer(row.account_id, row.provider, row.external_id, row.card_saved)


def remember(
    change: Changes, account_id: str, provider: str, external_id: str, *, card_saved: bool
) -> None:
    """Note a provider's name for an account. One that is another account's is left alone."""
    connection = change.connection
    owner = connection.execute(
        select(_TABLE.c.account_id).where(
            _TABLE.c.provider == provider, _TABLE.c.external_id == external_id
        )
    ).scalar_one_or_none()
    if owner not in {None, account_id}:
        return
    known = find(connection, account_id, provider)
    if known is None:
        connection.execute(
            insert(_TABLE).values(
                account_id=account_id,
                provider=provider,
                external_id=external_id,
                card_saved=card_saved,
                created_us=change.clock.now_us(),
            )
        )
    elif card_saved:
        # The newest card is the one its owner means.
        connection.execute(
            update(_TABLE)
            .where(_TABLE.c.account_id == account_id, _TABLE.c.provider == provider)
            .values(external_id=external_id, card_saved=True)
        )
