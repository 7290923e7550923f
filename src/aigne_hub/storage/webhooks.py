"""Webhook endpoints: where events are sent, whose events, and with which secret."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, func, insert, select, update

from aigne_hub.crypto.envelope import Keyring
from aigne_hub.crypto.webhook_signature import new_secret
from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.domain.events import EventType
from aigne_hub.domain.instants import format_instant
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes

# Of one account, and of the operator.
ENDPOINTS_MAX = 20
_TABLE, _COLUMN = "webhook_endpoint", "sealed_secret"
_SHOWN_MAX = 80

_ENDPOINT = schema.webhook_endpoint.c


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go. No `types` means all; no `account_id` means the events of everybody.

    `trusted` addresses may be private. One that answered 410 is `disabled_us`.
    """

    id: str
    url: str
    types: tuple[str, ...]
    account_id: str | None
    trusted: bool
    created_us: int
    succeeded_us: int | None = None
    failed_us: int | None = None
    disabled_us: int | None = None

    def document(self) -> dict[str, object]:
        """Return what people and programs are shown of it."""
        return {
            "id": self.id,
            "url": self.url,
            "types": list(self.types),
            "user_id": self.account_id,
            "trusted": self.trusted,
            "created_at": format_instant(self.created_us),
            "succeeded_at": _instant(self.succeeded_us),
            "failed_at": _instant(self.failed_us),
            "disabled_at": _instant(self.disabled_us),
        }


def create(
    change: Changes,
    keyring: Keyring,
    randbytes: Callable[[int], bytes],
    *,
    url: str,
    types: Sequence[str] = (),
    account_id: str | None = None,
    trusted: bool = False,
) -> tuple[Endpoint, str]:
    """Make an endpoint and its secret, whose text exists only here.

    The caller has parsed the URL (`transport.Target`). Raises InvalidRequest for an unknown
    event type or an address that is not https, Conflict when there are too many endpoints.
    """
    if not trusted and not url.lower().startswith("https://"):
        raise InvalidRequest(
            "A webhook's URL begins with https://. Only the operator, on the command line, can "
            "vouch for another address.",
            param="url",
        )
    unknown = sorted(set(types) - set(EventType))
    if unknown:
        raise InvalidRequest(
            f"{unknown[0][:_SHOWN_MAX]!r} is not a type of event. Use some of "
            f"{', '.join(EventType)}.",
            param="types",
        )
    _require_room(change.connection, account_id)
    endpoint = Endpoint(
        change.ids(), url, tuple(sorted(set(types))), account_id, trusted, change.clock.now_us()
    )
    secret = new_secret(randbytes)
    change.connection.execute(
        insert(schema.webhook_endpoint).values(
            id=endpoint.id,
            url=url,
            sealed_secret=keyring.seal(
                secret.encode(), table=_TABLE, row=endpoint.id, column=_COLUMN
            ),
            types=" ".join(endpoint.types),
            account_id=account_id,
            trusted=trusted,
            created_us=endpoint.created_us,
        )
    )
    detail = {"types": list(endpoint.types), "account": account_id, "trusted": trusted}
    change.audit("webhook.create", endpoint.id, detail)
    return endpoint, secret


def listed(connection: Connection, account_id: str | None = None) -> list[Endpoint]:
    """Return the endpoints of an account, or all there are, oldest first."""
    query = select(schema.webhook_endpoint).where(_ENDPOINT.removed_us.is_(None))
    if account_id is not None:
        query = query.where(_ENDPOINT.account_id == account_id)
    return [_endpoint(row) for row in connection.execute(query.order_by(_ENDPOINT.id))]


def find(connection: Connection, endpoint_id: str, account_id: str | None = None) -> Endpoint:
    """Return an endpoint, of an account when one is given.

    Raises NotFound, also for one of another account: nobody learns that it exists.
    """
    query = select(schema.webhook_endpoint).where(
        _ENDPOINT.id == endpoint_id, _ENDPOINT.removed_us.is_(None)
    )
    if account_id is not None:
        query = query.where(_ENDPOINT.account_id == account_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"There is no webhook endpoint {endpoint_id[:_SHOWN_MAX]!r}.")
    return _endpoint(row)


def remove(change: Changes, endpoint: Endpoint) -> None:
    """Send nothing there any more, and forget the secret. What was sent stays listed."""
    change.connection.execute(
        update(schema.webhook_endpoint)
        .where(_ENDPOINT.id == endpoint.id)
        .values(removed_us=change.clock.now_us(), sealed_secret=b"")
    )
    drop_due(change.connection, endpoint.id)
    change.audit("webhook.remove", endpoint.id)


def drop_due(connection: Connection, endpoint_id: str) -> None:
    """Give up what is still to be sent to an endpoint."""
    delivery = schema.webhook_delivery
    connection.execute(
        update(delivery)
        .where(delivery.c.endpoint_id == endpoint_id, delivery.c.due_us.is_not(None))
        .values(due_us=None)
    )


def sealed_secrets(connection: Connection) -> list[tuple[str, bytes]]:
    """Return the id and the sealed secret of each endpoint there is, oldest first."""
    query = select(_ENDPOINT.id, _ENDPOINT.sealed_secret).where(_ENDPOINT.removed_us.is_(None))
    return [(row.id, row.sealed_secret) for row in connection.execute(query.order_by(_ENDPOINT.id))]


def open_secret(keyring: Keyring, endpoint_id: str, sealed: bytes) -> str:
    """Return an endpoint's secret. Raises SealBroken."""
    return keyring.open(sealed, table=_TABLE, row=endpoint_id, column=_COLUMN).decode()


def _instant(us: int | None) -> str | None:
    return None if us is None else format_instant(us)


def _require_room(connection: Connection, account_id: str | None) -> None:
    alike = (
        _ENDPOINT.account_id.is_(None) if account_id is None else _ENDPOINT.account_id == account_id
    )
    count = connection.execute(
        select(func.count())
        .select_from(schema.webhook_endpoint)
        .where(alike, _ENDPOINT.removed_us.is_(None))
    ).scalar_one()
    if count >= ENDPOINTS_MAX:
        raise Conflict(f"There are {ENDPOINTS_MAX} webhook endpoints already. Remove one first.")


def _endpoint(row: Row[tuple[object, ...]]) -> Endpoint:
    return Endpoint(
        row.id,
        row.url,
        tuple(row.types.split()),
        row.account_id,
        row.trusted,
        row.created_us,
        row.succeeded_us,
        row.failed_us,
        row.disabled_us,
    )
