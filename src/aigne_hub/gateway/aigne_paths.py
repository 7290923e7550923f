"""AIGNE's paths: `/api/v2/...` and the older `/api/v1/...`, each with other spellings."""

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
from aigne_hub.gateway.pipeline import handle
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.targets import Handler

_CLIENT = b"x-aigne-hub-client-did"
_EVENTS = b"text/event-stream"
_FLAT = AigneFlat()
_FLAT_EVENTS = AigneFlatEvents()


def posts(plane: Plane) -> Mapping[str, Handler]:
    common: dict[str, Handler] = {
        "embeddings": partial(handle, plane, AigneEmbeddings()),
        "image/generations": partial(_handle_new, plane, AigneFlatImages),
        "audio/speech": partial(handle, plane, OpenAISpeech()),
        "audio/transcriptions": partial(handle_form, plane, OpenAITranscriptions),
    }
    v1: dict[str, Handler] = {
        "chat/completions": partial(_flat, plane),
        "completions": partial(_flat, plane),
    }
    v2: dict[str, Handler] = {
        "chat": partial(handle, plane, AigneChat()),
        "chat/completions": partial(_flat_for_aigne, plane, OpenAIChat()),
        "completions": partial(_flat_for_aigne, plane, OpenAICompletions()),
        "image": partial(_handle_new, plane, AigneImages),
        "video": partial(video, plane),
    }
    found = {f"{AIGNE_V1}{name}": handler for name, handler in (common | v1).items()}
    return found | {f"{AIGNE_V2}{name}": handler for name, handler in (common | v2).items()}


async def _flat_for_aigne(plane: Plane, others: Dialect, exchange: Exchange) -> None:
    """Answer AIGNE's own clients in their format, and `others` in theirs."""
    if exchange.header(_CLIENT) is None:
        await handle(plane, others, exchange)
    else:
        await _flat(plane, exchange)


async def _flat(plane: Plane, exchange: Exchange) -> None:
    events = _EVENTS in (exchange.header(b"accept") or b"").lower()
    await handle(plane, _FLAT_EVENTS if events else _FLAT, exchange)


async def _handle_new(plane: Plane, dialect: Callable[[], Dialect], exchange: Exchange) -> None:
    """Answer with a dialect that is made for one request."""
    await handle(plane, dialect(), exchange)
