"""Webhook endpoints over HTTP: a user's own below `/api/user`, everybody's for administrators."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.events import EventType
from aigne_hub.storage import deliveries, users, webhooks
from aigne_hub.storage.engine import View
from aigne_hub.storage.webhooks import Endpoint
from aigne_hub.transport import Target
from aigne_hub.transport.target import URL_MAX
from aigne_hub.web.api.access import Caller, Proven, actor
from aigne_hub.web.api.allowed import MayReadWebhooks, MayWriteWebhooks
from aigne_hub.web.api.bodies import Body
from aigne_hub.web.backend import Backend, Hub

LIMIT_DEFAULT = 50
_ID_MAX = 64

Id = Annotated[str, Path(max_length=_ID_MAX, description="The endpoint.")]
Limit = Annotated[
    int, Query(ge=1, le=deliveries.LIMIT_MAX, description="How many, newest event first.")
]
Failed = Annotated[bool, Query(description="Only those whose last attempt failed.")]
Document = dict[str, Any]


class NewEndpoint(Body):
    """Without `types`, every type of event is sent."""

    url: str = Field(max_length=URL_MAX)
    types: list[str] = Field(default=[], max_length=len(EventType))


class NewEndpointOfAnyone(NewEndpoint):
    """Without `user` (an e-mail, DID or id), the events of everybody are sent."""

    user: str | None = Field(default=None, max_length=320)


class Replay(Body):
    event: str = Field(max_length=_ID_MAX)


def _created(
    hub: Backend, caller: Principal, new: NewEndpoint, find_owner: Callable[[View], str | None]
) -> Document:
    try:
        Target.parse(new.url)
    except ValueError as error:
        raise InvalidRequest(f"url: {error}.", param="url") from None
    with hub.changing(actor(caller)) as change:
        endpoint, secret = webhooks.create(
            change,
            hub.keyring,
            hub.randbytes,
            url=new.url,
            types=new.types,
            account_id=find_owner(change.connection),
        )
    return {**endpoint.document(), "secret": secret}


def _removed(hub: Backend, caller: Principal, endpoint_id: str, owner: str | None) -> Document:
    with hub.changing(actor(caller)) as change:
        webhooks.remove(change, webhooks.find(change.connection, endpoint_id, owner))
    return {"ok": True}


def _tested(hub: Backend, caller: Principal, endpoint_id: str, owner: str | None) -> Document:
    with hub.changing(actor(caller)) as change:
        endpoint = webhooks.find(change.connection, endpoint_id, owner)
        return deliveries.send_test(change, endpoint).document()


def _replayed(
    hub: Backend, caller: Principal, endpoint_id: str, event: str, owner: str | None
) -> Document:
    with hub.changing(actor(caller)) as change:
        endpoint = webhooks.find(change.connection, endpoint_id, owner)
        (made,) = deliveries.replay(change, event, endpoint)
    return made.document()


def _deliveries(
    hub: Backend, endpoint_id: str, owner: str | None, limit: int, *, failed: bool
) -> Document:
    with hub.reading() as view:
        endpoint: Endpoint = webhooks.find(view, endpoint_id, owner)
        found = deliveries.of(view, limit, endpoint_id=endpoint.id, failed=failed)
    return {"deliveries": [delivery.document() for delivery in found]}


# -- a user's own -----------------------------------------------------------------------


def list_own(caller: Caller, hub: Hub) -> Document:
    """Return the caller's endpoints, oldest first."""
    with hub.reading() as view:
        found = webhooks.listed(view, caller.user_id)
    return {"webhooks": [endpoint.document() for endpoint in found]}


def create_own(new: NewEndpoint, caller: Proven, hub: Hub) -> Document:
    """Make an endpoint that gets the events of the caller's account. Its secret is shown once."""
    return _created(hub, caller, new, lambda _: caller.user_id)


def remove_own(endpoint_id: Id, caller: Caller, hub: Hub) -> Document:
    """Send nothing there any more."""
    return _removed(hub, caller, endpoint_id, caller.user_id)


def test_own(endpoint_id: Id, caller: Caller, hub: Hub) -> Document:
    """Have a test event sent. It is `pending` here; the deliveries tell how it went."""
    return _tested(hub, caller, endpoint_id, caller.user_id)


def replay_own(endpoint_id: Id, body: Replay, caller: Caller, hub: Hub) -> Document:
    """Have an event of the caller's account sent again, under the id it had."""
    return _replayed(hub, caller, endpoint_id, body.event, caller.user_id)


def deliveries_own(
    endpoint_id: Id,
    caller: Caller,
    hub: Hub,
    limit: Limit = LIMIT_DEFAULT,
    *,
    failed: Failed = False,
) -> Document:
    """Return what was sent to one of the caller's endpoints, newest first."""
    return _deliveries(hub, endpoint_id, caller.user_id, limit, failed=failed)


# -- everybody's ------------------------------------------------------------------------


def list_all(_: MayReadWebhooks, hub: Hub) -> Document:
    """Return every endpoint, oldest first."""
    with hub.reading() as view:
        found = webhooks.listed(view)
    return {"webhooks": [endpoint.document() for endpoint in found]}


def create_any(new: NewEndpointOfAnyone, admin: MayWriteWebhooks, hub: Hub) -> Document:
    """Make an endpoint. Its secret is shown once."""

    def owner(view: View) -> str | None:
        return None if new.user is None else users.find(view, new.user).id

    return _created(hub, admin, new, owner)


def remove_any(endpoint_id: Id, admin: MayWriteWebhooks, hub: Hub) -> Document:
    """Send nothing there any more."""
    return _removed(hub, admin, endpoint_id, None)


def test_any(endpoint_id: Id, admin: MayWriteWebhooks, hub: Hub) -> Document:
    """Have a test event sent. It is `pending` here; the deliveries tell how it went."""
    return _tested(hub, admin, endpoint_id, None)


def replay_any(endpoint_id: Id, body: Replay, admin: MayWriteWebhooks, hub: Hub) -> Document:
    """Have an event sent again, under the id it had."""
    return _replayed(hub, admin, endpoint_id, body.event, None)


def deliveries_any(
    endpoint_id: Id,
    _: MayReadWebhooks,
    hub: Hub,
    limit: Limit = LIMIT_DEFAULT,
    *,
    failed: Failed = False,
) -> Document:
    """Return what was sent to an endpoint, newest first."""
    return _deliveries(hub, endpoint_id, None, limit, failed=failed)


def webhook_routers() -> list[APIRouter]:
    own = APIRouter(prefix="/api/user", tags=["Account"])
    own.get("/webhooks", operation_id="listWebhooks", summary="Own webhooks")(list_own)
    own.post("/webhooks", operation_id="createWebhook", summary="Make a webhook", status_code=201)(
        create_own
    )
    one = "/webhooks/{endpoint_id}"
    own.delete(one, operation_id="removeWebhook", summary="Remove a webhook")(remove_own)
    own.post(f"{one}/test", operation_id="testWebhook", summary="Test a webhook")(test_own)
    own.post(f"{one}/replay", operation_id="replayWebhook", summary="Send again")(replay_own)
    own.get(f"{one}/deliveries", operation_id="listWebhookDeliveries", summary="What was sent")(
        deliveries_own
    )

    all_ = APIRouter(prefix="/api/admin", tags=["Administration"])
    all_.get("/webhooks", operation_id="adminListWebhooks", summary="All webhooks")(list_all)
    all_.post(
        "/webhooks", operation_id="adminCreateWebhook", summary="Make a webhook", status_code=201
    )(create_any)
    all_.delete(one, operation_id="adminRemoveWebhook", summary="Remove a webhook")(remove_any)
    all_.post(f"{one}/test", operation_id="adminTestWebhook", summary="Test a webhook")(test_any)
    all_.post(f"{one}/replay", operation_id="adminReplayWebhook", summary="Send again")(replay_any)
    all_.get(
        f"{one}/deliveries", operation_id="adminListWebhookDeliveries", summary="What was sent"
    )(deliveries_any)
    return [own, all_]
