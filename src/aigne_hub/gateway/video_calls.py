"""What is below `/v1/videos`: a job asked after, its video, and its end."""

from aigne_hub.domain.objects import UpstreamObject
from aigne_hub.gateway.dialects.openai.videos import FAILED, OpenAIVideos, decode_job
from aigne_hub.gateway.dialects.reading import UNREADABLE
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.object_calls import answer_whole, read, relay_object
from aigne_hub.gateway.paths import CONTENT, stored_video
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.reply import Reply
from aigne_hub.gateway.verdicts import from_transport
from aigne_hub.providers.upstream import Answer
from aigne_hub.transport import TransportError


async def stored(plane: Plane, exchange: Exchange) -> None:
    """Answer a request about a video that `stored_video` knows."""
    wanted = stored_video(exchange.method, exchange.path)
    assert wanted is not None
    answer = _poured if wanted.path.endswith(CONTENT) else _polled
    if wanted.method == "DELETE":
        answer = answer_whole
    await relay_object(plane, OpenAIVideos(), exchange, wanted, answer)


async def _polled(plane: Plane, reply: Reply, found: UpstreamObject, answer: Answer) -> None:
    """Pass on how a job stands; one that failed is refunded, once, before its caller is told."""
    body = await read(reply.exchange, answer)
    try:
        job = decode_job(body)
    except UNREADABLE:
        job = None
    if job is not None and job.status == FAILED:
        await plane.objects.give_back(found)
    reply.whole(found.model, "0", answer.header(b"content-type") or b"application/json", body)


async def _poured(_plane: Plane, reply: Reply, found: UpstreamObject, answer: Answer) -> None:
    """Pass a video on as it comes: as much of it is held as its caller has yet to read."""
    exchange = reply.exchange
    kind = answer.header(b"content-type") or b"application/octet-stream"
    if exchange.method == "HEAD":
        answer.close()
        reply.whole(found.model, "0", kind, b"")
        return
    try:
        first = await answer.chunk()
        reply.expect_plain(kind, "0")
        reply.start_stream(found.model, first or b"")
        while first is not None and (data := await answer.chunk()) is not None:
            exchange.write(data)
            if exchange.write_paused:
                await exchange.drain()
            if exchange.interrupted:
                break
        else:
            exchange.finish()
            return
    except TransportError as error:
        if exchange.disconnected:
            return
        if not exchange.response_started:
            raise from_transport(error) from None
    # What was begun cannot be told to have failed but by its end.
    answer.close()
    exchange.abort()
