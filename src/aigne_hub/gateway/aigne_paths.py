"""AIGNE's paths: `/api/v2/...` and the older `/api/v1/...`, each with other spellings.

Below `/api/v1` callers sign; a key or a token is nothing there.
"""

from collections.abc import Callable, Mapping
from functools import partial

from aigne_hub.gateway.aigne_videos import video
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.dialects.aigne.chat import AigneChat
from aigne_hub.gateway.dialects.aigne.flat import AigneFlat, AigneFlatEvents
from aigne_hub.gateway.dialects.aigne.whole import AigneEmbeddings, AigneFlatImages, AigneImages
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat, OpenAICompletions
from aigne_hub.gateway.dialects.openai.speech import OpenAISpeech
from aigne_hub.gateway.dialects.openai.transcriptions import OpenAITranscriptions
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.forms import handle_form
from aigne_hub.gateway.paths import AIGNE_V1, AIGNE_V2
from aigne_hub.gateway.pipeline import Verify, handle
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.signed import signer
from aigne_hub.gateway.targets import Handler

_CLIENT = b"x-aigne-hub-client-did"
_EVENTS = b"text/event-stream"
_FLAT = AigneFlat()
_FLAT_EVENTS = AigneFlatEvents()


def posts(plane: Plane) -> Mapping[str, Handler]:
    v1: dict[str, Handler] = {
        "chat/completions": partial(_flat, plane, verify=signer),
        "completions": partial(_flat, plane, verify=signer),
    }
    v2: dict[str, Handler] = {
        "chat": partial(handle, plane, AigneChat()),
        "chat/completions": partial(_flat_for_aigne, plane, OpenAIChat()),
        "completions": partial(_flat_for_aigne, plane, OpenAICompletions()),
        "image": partial(_handle_new, plane, AigneImages),
        "video": partial(video, plane),
    }
    v1 |= _common(plane, signer)
    v2 |= _common(plane, None)
    found = {f"{AIGNE_V1}{name}": handler for name, handler in v1.items()}
    return found | {f"{AIGNE_V2}{name}": handler for name, handler in v2.items()}


def _common(plane: Plane, verify: Verify | None) -> dict[str, Handler]:
    """Return what both versions answer alike."""
    return {
        "embeddings": partial(handle, plane, AigneEmbeddings(), verify=verify),
        "image/generations": partial(_handle_new, plane, AigneFlatImages, verify=verify),
        "audio/speech": partial(handle, plane, OpenAISpeech(), verify=verify),
        "audio/transcriptions": partial(handle_form, plane, OpenAITranscriptions, verify=verify),
    }


async def _flat_for_aigne(plane: Plane, others: Dialect, exchange: Exchange) -> None:
    """Answer AIGNE's own clients in their format, and `others` in theirs."""
    if exchange.header(_CLIENT) is None:
        await handle(plane, others, exchange)
    else:
        await _flat(plane, exchange)


async def _flat(plane: Plane, exchange: Exchange, verify: Verify | None = None) -> None:
    events = _EVENTS in (exchange.header(b"accept") or b"").lower()
    await handle(plane, _FLAT_EVENTS if events else _FLAT, exchange, verify)


async def _handle_new(
    plane: Plane, dialect: Callable[[], Dialect], exchange: Exchange, verify: Verify | None = None
) -> None:
    """Answer with a dialect that is made for one request."""
    await handle(plane, dialect(), exchange, verify)
