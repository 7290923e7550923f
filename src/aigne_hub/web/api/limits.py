"""Limits: what binds a caller (`/api/user/limits`), and setting them (`/api/admin/limits`)."""

from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from aigne_hub.auth.verifier import app_did, fields_of
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.limits import Measure, Subject
from aigne_hub.domain.money import parse_credits
from aigne_hub.domain.windows import Window
from aigne_hub.storage import limits, subjects, users
from aigne_hub.web.api.access import Caller, actor
from aigne_hub.web.api.allowed import MayReadLimits, MayWriteLimits
from aigne_hub.web.api.bodies import AMOUNT_CHARS_MAX, Body
from aigne_hub.web.backend import Hub

ZONE_CHARS_MAX = 80
# A strict body takes an enumeration's members only; JSON has their names.
_BY_NAME = Field(strict=False)
_ADMIN: list[str | Enum] = ["Administration"]

_UserName = Annotated[str | None, Query(description="Only those of a user and the user's keys.")]
_Subject = Annotated[Subject, Query(description="Whom it binds.")]
_Name = Annotated[
    str, Query(description="A user's e-mail, DID or id, a key's id, a project's DID.")
]
_Measure = Annotated[Measure, Query(description="What is counted.")]
_Window = Annotated[Window, Query(description="What it is counted over; `total` for streams.")]


class LimitBody(Body):
    """One limit. `amount` is decimal credits, or a whole number of calls, tokens or streams."""

    subject: Annotated[Subject, _BY_NAME]
    name: Annotated[str, Field(max_length=limits.PROJECT_CHARS_MAX)]
    measure: Annotated[Measure, _BY_NAME]
    window: Annotated[Window, _BY_NAME]
    amount: Annotated[str, Field(max_length=AMOUNT_CHARS_MAX)]
    zone: Annotated[str, Field(max_length=ZONE_CHARS_MAX)] = "UTC"


def own_limits(caller: Caller, hub: Hub, request: Request) -> dict[str, Any]:
    """Return every limit that binds the key that asks: its own, its user's, its project's.

    The project is the application that the key speaks for, or that the request names with
    `x-aigne-hub-client-did`.
    """
    application = app_did(caller, fields_of(request.headers.raw))
    binding = caller.limits + hub.snapshot.project_limits.get(application, ())
    now = hub.clock.now_us()
    with hub.reading() as view:
        found = limits.used(view, binding, now)
    return {"limits": [usage.document(now) for usage in found]}


def list_limits(_: MayReadLimits, hub: Hub, user: _UserName = None) -> dict[str, Any]:
    """Return all limits, with what is used of them now."""
    now = hub.clock.now_us()
    with hub.reading() as view:
        holder = None if user is None else users.find(view, user).id
        found = limits.used(view, limits.listed(view, holder), now)
    return {"limits": [usage.document(now) for usage in found]}


def put_limit(admin: MayWriteLimits, hub: Hub, body: LimitBody) -> dict[str, object]:
    """Set a limit, replacing the one on the same measure and window.

    What was used in the current window counts against the new amount.
    """
    amount = _amount(body)
    with hub.changing(actor(admin)) as change:
        name = subjects.name_of(change.connection, body.subject, body.name)
        made = limits.put(change, body.subject, name, body.measure, body.window, amount, body.zone)
        now = change.clock.now_us()
        (usage,) = limits.used(change.connection, [made], now)
    return usage.document(now)


def remove_limit(
    admin: MayWriteLimits,
    hub: Hub,
    subject: _Subject,
    name: _Name,
    measure: _Measure,
    window: _Window,
) -> dict[str, bool]:
    """Lift a limit."""
    with hub.changing(actor(admin)) as change:
        named = subjects.name_of(change.connection, subject, name)
        limits.remove(change, subject, named, measure, window)
    return {"ok": True}


def _amount(body: LimitBody) -> int:
    if body.measure is Measure.CREDITS:
        try:
            return parse_credits(body.amount)
        except ValueError as error:
            raise InvalidRequest(f"amount: {error}.", param="amount") from None
    if not (body.amount.isascii() and body.amount.isdigit()):
        raise InvalidRequest("amount: a whole number such as 60 is needed.", param="amount")
    return int(body.amount)


def limits_router() -> APIRouter:
    router = APIRouter(prefix="/api")
    router.get(
        "/user/limits", tags=["Account"], operation_id="getLimits", summary="Limits that bind me"
    )(own_limits)
    path = "/admin/limits"
    router.get(path, tags=_ADMIN, operation_id="listLimits", summary="All limits")(list_limits)
    router.put(path, tags=_ADMIN, operation_id="setLimit", summary="Set a limit")(put_limit)
    router.delete(path, tags=_ADMIN, operation_id="removeLimit", summary="Lift a limit")(
        remove_limit
    )
    return router
