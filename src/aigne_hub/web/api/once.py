"""`Idempotency-Key` on routes that move money: sent twice, the effect is one and so the answer.

A refused request has no effect and frees its key.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.responses import JSONResponse

from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.domain.idempotency import KEY_CHARS_MAX, Claim
from aigne_hub.storage import route_answers
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.route_answers import Begun
from aigne_hub.web.api.access import Caller, actor
from aigne_hub.web.backend import Backend, Hub

Document = dict[str, Any]
REPLAYED = "idempotency-replayed"


@dataclass(frozen=True, slots=True)
class Once:
    """One request of one caller, with the key it sent, if any."""

    hub: Backend
    actor: str
    claim: Claim | None

    def change(self, effect: Callable[[Changes], Document | HubError]) -> Response:
        """Run an effect and keep its answer in the same transaction.

        An effect may return an error whose traces are to be kept; it is raised afterwards.
        """
        with self.hub.changing(self.actor) as change:
            begun = self._begin(change)
            if begun.status is not None:
                return _again(begun)
            document = effect(change)
            if not isinstance(document, HubError):
                return self._kept(change, document)
            if self.claim is not None:
                route_answers.free(change.connection, self.claim)
        raise document

    def outside(
        self, prepare: Callable[[Changes], str], act: Callable[[str], Document]
    ) -> Response:
        """Run what asks a payment provider: `act` on the target that `prepare` returns.

        Cut short and sent again, `act` gets the same target; it must lead to the same effect.
        """
        if self.claim is None:
            with self.hub.changing(self.actor) as change:
                target = prepare(change)
            return JSONResponse(act(target))
        with self.hub.changing(self.actor) as change:
            begun = self._begin(change)
            if begun.status is not None:
                return _again(begun)
            target = begun.target or prepare(change)
            route_answers.note(change.connection, self.claim, target)
            change.audit("idempotency.begin", target)
        try:
            document = act(target)
        except HubError:
            with self.hub.changing(self.actor) as change:
                route_answers.free(change.connection, self.claim)
                change.audit("idempotency.free", target)
            raise
        with self.hub.changing(self.actor) as change:
            change.audit("idempotency.keep", target)
            return self._kept(change, document)

    def _begin(self, change: Changes) -> Begun:
        if self.claim is None:
            return Begun()
        return route_answers.begin(change.connection, change.clock.now_us(), self.claim)

    def _kept(self, change: Changes, document: Document) -> Response:
        if self.claim is not None:
            route_answers.keep(change.connection, self.claim, 200, json.dumps(document))
        return JSONResponse(document)


def _again(begun: Begun) -> Response:
    status, headers = begun.status or 200, {REPLAYED: "true"}
    return Response(begun.body, status, headers, media_type="application/json")


async def once(
    request: Request,
    caller: Caller,
    hub: Hub,
    idempotency_key: Annotated[
        str | None, Header(description="Makes a repeated request one effect with one answer.")
    ] = None,
) -> Once:
    """Return the request's claim. A key is its API key's own, and of one path and body."""
    claim = None
    if idempotency_key is not None:
        key = idempotency_key.encode()
        plain = idempotency_key.isascii() and idempotency_key.isprintable()
        if not plain or not 0 < len(key) <= KEY_CHARS_MAX:
            raise InvalidRequest(
                f"Idempotency-Key is 1 to {KEY_CHARS_MAX} printable ASCII characters.",
                param="Idempotency-Key",
            )
        place = f"{request.method} {request.scope['path']}".encode()
        claim = Claim(
            hashlib.sha256(b"%b\0%b" % (caller.key_id.encode(), key)).digest(),
            hashlib.sha256(b"%b\0%b" % (place, await request.body())).digest(),
        )
    return Once(hub, actor(caller), claim)


OnceOnly = Annotated[Once, Depends(once)]
