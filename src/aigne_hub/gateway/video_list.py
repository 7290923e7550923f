"""`GET /v1/videos`: the caller's own jobs, newest first, each as its provider says it stands.

Providers list what all accounts of a credential made, so the hub lists what it knows.
"""

from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import HubError, InvalidRequest, NotFound, UpstreamRefusal
from aigne_hub.domain.objects import VIDEO, UpstreamObject, is_id
from aigne_hub.gateway.dialects.openai.videos import FAILED, OpenAIVideos
from aigne_hub.gateway.exchange import ClientGone, Exchange
from aigne_hub.gateway.object_calls import fetched, keeper, read
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.reply import AUTH, UPSTREAM, Reply

# Each entry is a question to its provider.
PAGE_MAX: Final = 20
# The largest `limit` that OpenAI takes; less is answered, and `has_more` says so.
LIMIT_MAX: Final = 100
_NOT_FOUND: Final = 404


async def list_videos(plane: Plane, exchange: Exchange) -> None:
    dialect = OpenAIVideos()
    reply = Reply(exchange, dialect, plane.clock, plane.new_id())
    plane.counters.in_flight += 1
    try:
        plane.admit()
        principal = await plane.verifier.verify(exchange.fields)
        reply.mark(AUTH)
        page = await _page(plane, exchange, principal, dialect.language)
        reply.mark(UPSTREAM)
        reply.plain(orjson.dumps(page))
    except HubError as error:
        plane.counters.refused[error.code] += 1
        reply.refuse(plane.explained(error))
    except ClientGone:
        plane.counters.refused["client_gone"] += 1
    finally:
        exchange.on_disconnect = None
        plane.counters.in_flight -= 1


async def _page(
    plane: Plane, exchange: Exchange, principal: Principal, language: str
) -> dict[str, Any]:
    """Return one page; raises InvalidRequest for a limit or a cursor that makes no sense."""
    asked = parse_qs(exchange.query.decode("latin-1"))
    limit = asked.get("limit", [str(PAGE_MAX)])[0]
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= LIMIT_MAX):
        raise InvalidRequest(f"`limit` is a number from 1 to {LIMIT_MAX}.", param="limit")
    if asked.get("order", ["desc"])[0] != "desc":
        raise InvalidRequest("Videos are listed newest first: `order` is `desc`.", param="order")
    after = asked.get("after", [None])[0]
    last = None
    if after is not None:
        last = await plane.objects.find(principal.user_id, after) if is_id(after) else None
        if last is None or last.kind != VIDEO:
            raise InvalidRequest("There is no video of that id to continue at.", param="after")
    size = min(int(limit), PAGE_MAX)
    found = await plane.objects.listed(principal.user_id, VIDEO, last, size + 1)
    shown = [one for one in found[:size] if principal.may_use(one.model)]
    jobs = [await _job(plane, exchange, one, language) for one in shown]
    return {
        "object": "list",
        "data": [job for job in jobs if job is not None],
        "first_id": found[0].id if found else None,
        "last_id": found[:size][-1].id if found else None,
        "has_more": len(found) > size,
    }


async def _job(
    plane: Plane, exchange: Exchange, found: UpstreamObject, language: str
) -> dict[str, Any] | None:
    """Return a job as its provider has it, None for one that is not there any more."""
    try:
        candidate = keeper(plane, found, language)
        answer = await fetched(exchange, candidate, "GET", f"/videos/{found.id}")
        job = orjson.loads(await read(exchange, answer))
    except NotFound:
        return None
    except UpstreamRefusal as refusal:
        if refusal.status != _NOT_FOUND:
            raise
        return None
    except orjson.JSONDecodeError:
        return None
    if not isinstance(job, dict):
        return None
    if job.get("status") == FAILED:
        await plane.objects.give_back(found)
    return job
