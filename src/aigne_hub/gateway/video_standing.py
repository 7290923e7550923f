"""Asking a provider how a video's job stands when no caller does."""

import asyncio
from typing import Final

from aigne_hub.domain.errors import UpstreamError, UpstreamRefusal, UpstreamTimeout
from aigne_hub.domain.objects import UpstreamObject
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.dialects.openai.videos import (
    COMPLETED,
    FAILED,
    FRUITLESS,
    OpenAIVideos,
    decode_job,
)
from aigne_hub.gateway.dialects.reading import UNREADABLE
from aigne_hub.gateway.object_calls import keeper
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.verdicts import from_transport, refused
from aigne_hub.providers.upstream import Keeper
from aigne_hub.transport import TransportError

# A provider that takes longer is asked another time.
ASK_S: Final = 30.0
_GONE: Final = frozenset({404, 410})
_OVER: Final = FRUITLESS | {COMPLETED}


async def is_over(plane: Plane, found: UpstreamObject) -> bool:
    """Refund a job that failed; return whether a job will not change any more, or is gone.

    Raises HubError when its provider cannot be asked, or does not say.
    """
    candidate = keeper(plane, found, OpenAIVideos.language)
    try:
        async with asyncio.timeout(ASK_S):
            status = await _status(candidate, found)
    except UpstreamRefusal as refusal:
        if refusal.status in _GONE:
            return True
        raise
    except TimeoutError:
        raise UpstreamTimeout(f"The upstream took more than {ASK_S:.0f} s.") from None
    if status == FAILED:
        await plane.objects.give_back(found)
    return status in _OVER


async def _status(candidate: Candidate, found: UpstreamObject) -> str:
    assert isinstance(candidate.upstream, Keeper)
    try:
        answer = await candidate.upstream.fetch("GET", f"/videos/{found.id}")
        try:
            if answer.status != 200:
                raise await refused(answer, candidate.secret)
            return decode_job(await answer.read()).status
        finally:
            answer.close()
    except TransportError as error:
        raise from_transport(error) from None
    except UNREADABLE:
        raise UpstreamError("The upstream does not say how the video stands.") from None
