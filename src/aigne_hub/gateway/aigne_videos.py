"""`POST /api/v2/video`: one request for what is a job at the provider.

The job is made by a call like any other, which is settled and knows where the job is before
anybody waits for it: a hub that dies, or a caller that leaves, loses no video that was paid for.
The job's id then serves at `/v1/videos`.
"""

import asyncio
from contextlib import suppress
from typing import Final

from aigne_hub.domain.errors import HubError, NotFound, Overloaded, UpstreamError, UpstreamTimeout
from aigne_hub.domain.objects import UpstreamObject
from aigne_hub.gateway.attempt import SHUTTING_DOWN
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.aigne.video import (
    AigneVideos,
    Begun,
    decode_begun,
    decode_told,
    video_answer,
)
from aigne_hub.gateway.dialects.openai.videos import COMPLETED, FRUITLESS, decode_job
from aigne_hub.gateway.dialects.reading import UNREADABLE
from aigne_hub.gateway.exchange import ClientGone, Exchange
from aigne_hub.gateway.object_calls import fetched, keeper, read
from aigne_hub.gateway.pipeline import handle
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.reply import Reply
from aigne_hub.gateway.waiting import Waiting
from aigne_hub.logs import get_logger

# How long a job is asked after, first and at most, in seconds; and how long it may take.
POLL_S: Final = 1.0
POLL_S_MAX: Final = 10.0
WAIT_S_MAX: Final = 3_600.0
# These clients wait three times as long for a video as for anything else.
_PATIENCE: Final = 3
# How often in a row the provider may fail to say how a job stands.
SILENCES_MAX: Final = 5

_log = get_logger()


class _Inner(Exchange):
    """The making of the job within a request: its answer is kept, not sent."""

    __slots__ = ("kept",)

    kept: tuple[int, bytes, bytes] | None

    def respond(self, status: int, head: bytes, body: bytes) -> None:
        if not self.disconnected:
            self.response_started = self.response_complete = True
            self.kept = (status, head, body)


async def video(plane: Plane, exchange: Exchange) -> None:
    """Answer one request with a video, however long that takes."""
    made = await _call(plane, exchange)
    if made is None:
        return
    status, head, body = made
    if status != 200:
        exchange.respond(status, head, body)
        return
    begun = decode_begun(body)
    served = decode_told(begun.told)
    dialect = AigneVideos()
    reply = Reply(exchange, dialect, plane.clock, served.usage["modelCallId"])
    after_s = plane.settings.head_within_s * _PATIENCE
    waiting = Waiting(reply, Ask(b"", served.modelWithProvider), after_s)
    plane.counters.in_flight += 1
    try:
        film, kind = await _film(plane, exchange, begun)
        answer = video_answer(begun, film, kind)
        credits_ = str(served.usage["credits"])
        reply.whole(served.modelWithProvider, credits_, b"application/json", answer)
    except HubError as error:
        plane.counters.refused[error.code] += 1
        reply.refuse(plane.explained(error))
    except ClientGone:
        plane.counters.refused["client_gone"] += 1
    except Exception:  # noqa: BLE001 - a defect must not take the connection down unanswered
        _log.exception("waiting for a video failed in the hub", call_id=reply.call_id)
        reply.refuse(HubError("The hub failed to answer; its log says where."))
    finally:
        waiting.over()
        exchange.on_disconnect = None
        plane.counters.in_flight -= 1


async def _call(plane: Plane, exchange: Exchange) -> tuple[int, bytes, bytes] | None:
    """Make the job; return the answer of that call, None for a caller that left."""
    try:
        body: bytes | HubError = await exchange.body()
    except ClientGone:
        return None
    except HubError as error:
        body = error
    inner = _Inner(
        method=exchange.method,
        path=exchange.path,
        query=exchange.query,
        headers=exchange.headers,
        fields=exchange.fields,
        transport=exchange.transport,
        server=exchange.server,
        keep_alive=exchange.keep_alive,
        chunked=False,
        expects_continue=False,
        body_limit=exchange.body_limit,
    )
    inner.kept = None
    inner.task = exchange.task
    if isinstance(body, HubError):
        inner.fail_body(body)
    else:
        inner.feed(body)
        inner.end_of_body()
    exchange.on_disconnect = lambda: inner.interrupt() if exchange.interrupted else inner.lost()
    try:
        await handle(plane, AigneVideos(), inner)
    finally:
        exchange.on_disconnect = None
    return inner.kept


async def _film(plane: Plane, exchange: Exchange, begun: Begun) -> tuple[bytes, str]:
    """Wait for a job and return its video with its media type."""
    principal = await plane.verifier.verify(exchange.fields)
    found = await plane.objects.find(principal.user_id, begun.id)
    if found is None:
        raise UpstreamError("The upstream made a job that cannot be asked after.")
    candidate = keeper(plane, found, AigneVideos.language)
    status, pause, waited, silences = begun.status, POLL_S, 0.0, 0
    while status != COMPLETED:
        if status in FRUITLESS:
            await plane.objects.give_back(found)
            raise UpstreamError("The upstream could not make the video. It was refunded.")
        if waited >= WAIT_S_MAX:
            raise UpstreamTimeout(f"The video {found.id} is not made yet. Ask /v1/videos for it.")
        await _sleep(exchange, pause)
        waited, pause = waited + pause, min(pause * 2, POLL_S_MAX)
        try:
            status, silences = await _status(exchange, candidate, found), 0
        except NotFound:
            raise
        except HubError:
            silences += 1
            if silences >= SILENCES_MAX or exchange.interrupted:
                raise
    answer = await fetched(exchange, candidate, "GET", f"/videos/{found.id}/content")
    kind = (answer.header(b"content-type") or b"video/mp4").decode("latin-1")
    return await read(exchange, answer), kind


async def _status(exchange: Exchange, candidate: Candidate, found: UpstreamObject) -> str:
    answer = await fetched(exchange, candidate, "GET", f"/videos/{found.id}")
    try:
        return decode_job(await read(exchange, answer)).status
    except UNREADABLE:
        raise UpstreamError("The upstream does not say how the video stands.") from None


async def _sleep(exchange: Exchange, seconds: float) -> None:
    """Wait, unless the caller leaves or the hub stops."""
    woken = asyncio.Event()
    exchange.on_disconnect = woken.set
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            if not exchange.disconnected and not exchange.interrupted:
                await woken.wait()
    exchange.on_disconnect = None
    if exchange.interrupted:
        raise Overloaded(SHUTTING_DOWN)
    if exchange.disconnected:
        raise ClientGone
