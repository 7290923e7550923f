"""Routing for administrators: its state now, and where a call would go (`/api/admin/routing`).

Handlers that look at the router run on the event loop, beside the calls that change it; what
they need of the database is read in a thread before.
"""

from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from aigne_hub.auth.verifier import Fields
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.usage import TOKENS_MAX
from aigne_hub.gateway import live
from aigne_hub.gateway.needs import SESSION_CHARS_MAX, SESSION_HEADERS
from aigne_hub.storage import target_health, users
from aigne_hub.web.api.allowed import MayReadRouting
from aigne_hub.web.api.bodies import Body
from aigne_hub.web.api.explanation import as_a_whole
from aigne_hub.web.api.routing_documents import (
    TARGETS_MAX,
    Page,
    explained,
    page_of,
    state_document,
)
from aigne_hub.web.backend import Hub

TARGETS_DEFAULT = 200
NAME_MAX = 512
HEADERS_MAX = 32
HEADER_CHARS_MAX = 1_024
BODY_CHARS_MAX = 4 * 1024 * 1024
_ADMIN: list[str | Enum] = ["Administration"]

_Provider = Annotated[str | None, Query(max_length=NAME_MAX, description="Only of this provider.")]
_After = Annotated[
    str | None,
    Query(max_length=NAME_MAX, description="Those after this target: an earlier `next`."),
]
_Limit = Annotated[int, Query(ge=1, le=TARGETS_MAX, description="How many targets at most.")]


class Explain(Body):
    """A call to explain.

    `path` is where it goes, by default where models of its type are called. `body` is its
    body, as an object or, where the very text matters, as a string; without it, `input_tokens`
    says how long its prompt is. `headers` are those that bear on routing, `session` stands for
    the header of that name. It is looked at as a call of `account`: a user's e-mail, DID or
    id, by default whoever asks.
    """

    model: Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
    path: Annotated[str, Field(max_length=NAME_MAX)] | None = None
    body: dict[str, Any] | Annotated[str, Field(max_length=BODY_CHARS_MAX)] | None = None
    input_tokens: Annotated[int, Field(ge=0, le=TOKENS_MAX)] | None = None
    session: Annotated[str, Field(min_length=1, max_length=SESSION_CHARS_MAX)] | None = None
    headers: Annotated[
        dict[
            Annotated[str, Field(max_length=NAME_MAX)],
            Annotated[str, Field(max_length=HEADER_CHARS_MAX)],
        ],
        Field(max_length=HEADERS_MAX),
    ] = Field(default_factory=dict)
    account: Annotated[str, Field(max_length=NAME_MAX)] | None = None

    def fields(self) -> Fields:
        """Return its headers as a call has them. Raises InvalidRequest."""
        given = dict(self.headers)
        if self.session is not None:
            given[SESSION_HEADERS[0].decode()] = self.session
        try:
            return {
                name.lower().encode("ascii"): value.encode("latin-1")
                for name, value in given.items()
            }
        except UnicodeEncodeError:
            raise InvalidRequest(
                "headers: names are ASCII and values Latin-1, as in HTTP.", param="headers"
            ) from None

    def sent(self) -> bytes | dict[str, Any] | None:
        """Return its body, where it is given."""
        return self.body.encode() if isinstance(self.body, str) else self.body


def _page(
    _: MayReadRouting,
    hub: Hub,
    provider: _Provider = None,
    after: _After = None,
    limit: _Limit = TARGETS_DEFAULT,
) -> Page:
    """Return the targets that are asked for: their names are of the configuration, unchanging."""
    router = hub.router
    if provider is not None and provider not in router.snapshot.providers:
        known = ", ".join(sorted(router.snapshot.providers)) or "none"
        raise NotFound(f"There is no provider {provider[:80]!r}. Known are: {known}.")
    with hub.reading() as view:
        episodes = target_health.episodes(view)
    return page_of(live.keys(router, provider), episodes, after, limit)


def _caller(admin: MayReadRouting, hub: Hub, body: Explain) -> Principal:
    if body.account is None:
        return admin
    with hub.reading() as view:
        return as_a_whole(view, users.find(view, body.account))


async def routing_state(
    _: MayReadRouting, hub: Hub, page: Annotated[Page, Depends(_page)], provider: _Provider = None
) -> dict[str, Any]:
    """Return how each provider, credential and model is, and which rules are in force.

    Bars are those of all processes; calls under way, latencies and budgets are those of the
    process that answers.
    """
    return state_document(hub.router, page, provider)


async def explain_route(
    _: MayReadRouting, hub: Hub, body: Explain, caller: Annotated[Principal, Depends(_caller)]
) -> dict[str, Any]:
    """Return who would be asked for a call, in which order and why, and who would not.

    It takes nobody's turn and asks nobody. Health, load and budget are those of the process
    that answers.
    """
    return explained(
        hub.router,
        caller,
        body.fields(),
        body.model,
        path=body.path,
        body=body.sent(),
        input_tokens=body.input_tokens,
        billing=hub.billing,
    )


def routing_router() -> APIRouter:
    router = APIRouter(prefix="/api/admin/routing", tags=_ADMIN)
    router.get("", operation_id="getRouting", summary="How targets are")(routing_state)
    router.post("/explain", operation_id="explainRoute", summary="Where would a call go?")(
        explain_route
    )
    return router
