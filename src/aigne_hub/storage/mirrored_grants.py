"""Credit that was bought at Payment Kit, in our own ledger: each grant there once here.

A grant that existed before this hub kept accounts for that Payment Kit is mirrored with what
was left of it: what was spent of it was not spent here.
"""

from collections.abc import Callable, Collection
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from aigne_hub.billing.kit_grants import KitGrant
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.domain.lots import Category
from aigne_hub.domain.transfers import FUNDING, PROMOTIONAL
from aigne_hub.storage import corrections, grants, schema, users
from aigne_hub.storage.changes import Changes

SOURCE = f"{FUNDING}payment_kit"
_DETAIL_MAX = 300
# How Payment Kit says that a grant is no more to be spent.
OVER = frozenset({"depleted", "expired", "voided"})
VOIDED = "voided"

_MIRRORED = schema.mirrored_grant.c
_GRANT = schema.credit_grant.c


class Outcome(StrEnum):
    GRANTED = "granted"
    SKIPPED = "skipped"  # nothing was left of it before this hub knew it
    REFUSED = "refused"  # it cannot be a grant here; its detail says why
    VOIDED = "voided"  # it was taken back there, and here


def since(change: Changes, kit_id: str) -> int:
    """Return since when this hub keeps accounts for a Payment Kit: since now, the first time."""
    table = schema.payment_kit
    known: int | None = change.connection.execute(
        select(table.c.since_us).where(table.c.id == kit_id)
    ).scalar_one_or_none()
    if known is not None:
        return known
    now = change.clock.now_us()
    change.connection.execute(insert(table).values(id=kit_id, since_us=now))
    change.audit("payment_kit.begin", kit_id)
    return now


def known(connection: Connection, grant_ids: Collection[str]) -> dict[str, Outcome]:
    """Return what became of grants that were seen before."""
    rows = connection.execute(
        select(_MIRRORED.kit_grant_id, _MIRRORED.outcome).where(
            _MIRRORED.kit_grant_id.in_(sorted(grant_ids))
        )
    )
    return {row.kit_grant_id: Outcome(row.outcome) for row in rows}


def mirror(
    change: Changes,
    keyring: Keyring,
    randbytes: Callable[[int], bytes],
    grant: KitGrant,
    since_us: int,
) -> Outcome:
    """Give a customer here what it was given there; the customer is made for its DID.

    `since_us` is when this hub began to keep accounts for that Payment Kit. A grant that was
    seen before changes nothing. One that cannot be granted is recorded with the reason, and
    holds up no other.
    """
    seen = known(change.connection, {grant.id}).get(grant.id)
    if seen is not None:
        return seen
    is_new = grant.created_us >= since_us
    amount = grant.amount if is_new else grant.remaining
    # A new one may have paid at once what is owed there; that was spent here as well.
    over = OVER - {"depleted"} if is_new else OVER
    if not amount or grant.status in over:
        return _record(change, grant.id, Outcome.SKIPPED, f"it was {grant.status}")
    try:
        with change.connection.begin_nested():
            made = _granted(change, keyring, randbytes, grant, amount)
    except (HubError, ValueError) as error:
        return refuse(change, grant.id, str(error))
    return _record(change, grant.id, Outcome.GRANTED, "", made)


def refuse(change: Changes, grant_id: str, reason: str) -> Outcome:
    """Record that something at Payment Kit cannot be a grant here."""
    return _record(change, grant_id, Outcome.REFUSED, reason)


def void(change: Changes, grant_id: str) -> bool:
    """Take back what was given for a grant that was voided there; return whether anything was.

    What was spent of it is owed by the rest of the account, as after any returned payment.
    """
    row = change.connection.execute(
        select(_MIRRORED.grant_id, _GRANT.amount)
        .join_from(schema.mirrored_grant, schema.credit_grant, _GRANT.id == _MIRRORED.grant_id)
        .where(_MIRRORED.kit_grant_id == grant_id, _MIRRORED.outcome == Outcome.GRANTED)
    ).one_or_none()
    if row is None:
        return False
    operation = f"payment_kit/void/{grant_id}"
    corrections.reverse_grant(change.connection, change.clock.now_us(), operation, row.grant_id)
    change.connection.execute(
        update(schema.mirrored_grant)
        .where(_MIRRORED.kit_grant_id == grant_id)
        .values(outcome=Outcome.VOIDED)
    )
    change.audit("credits.void", row.grant_id, {"payment_kit_grant": grant_id})
    return True


def _granted(
    change: Changes,
    keyring: Keyring,
    randbytes: Callable[[int], bytes],
    grant: KitGrant,
    amount: int,
) -> str:
    user = users.find_customer(change.connection, grant.did)
    if user is None:
        user = users.create(change, keyring, randbytes, email=None, role=Role.MEMBER, did=grant.did)
    category = Category(grant.category)
    now = change.clock.now_us()
    if grant.expires_us is not None and grant.expires_us <= now:
        raise InvalidRequest("It had expired before it was seen.")
    terms = grants.Terms(
        category=category,
        priority=min(max(grant.priority, 0), grants.PRIORITY_MAX),
        effective_us=grant.effective_us,
        expires_us=grant.expires_us,
        source=PROMOTIONAL if category is Category.PROMOTIONAL else SOURCE,
        reference=f"payment_kit/{grant.id}",
        name="".join(c for c in grant.name if c.isprintable())[: grants.NAME_MAX],
    )
    return grants.grant(change.connection, change.clock, change.ids, user.id, amount, terms).id


def _record(
    change: Changes, grant_id: str, outcome: Outcome, detail: str, made: str | None = None
) -> Outcome:
    change.connection.execute(
        insert(schema.mirrored_grant).values(
            kit_grant_id=grant_id,
            grant_id=made,
            outcome=outcome,
            detail=detail[:_DETAIL_MAX],
            created_us=change.clock.now_us(),
        )
    )
    change.audit("credits.mirror", grant_id, {"outcome": outcome, "grant": made})
    return outcome
