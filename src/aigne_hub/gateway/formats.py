"""The formats of the data plane, each loaded by the first call that is made in it.

Each function imports and makes all that answers in its format, by name: a path of its own, or
what `routes` calls it.
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from aigne_hub.at_first_use import at_first_use
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.forms import handle_form
from aigne_hub.gateway.pipeline import handle
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.targets import Handler, Unloaded

Handlers = Mapping[str, Handler]
# What paths that are no names of their own are called.
CALL = "call"
ALL = "all"
ONE = "one"


class Format:
    """What answers in one format, by name."""

    def __init__(self, load: Callable[[Plane], Handlers], plane: Plane) -> None:
        self._load = at_first_use(lambda: load(plane))
        self._handlers: Handlers | None = None

    def handler(self, name: str) -> Handler:
        """Return what answers; until the format is loaded, what loads it first."""
        if self._handlers is not None:
            return self._handlers[name]
        return Unloaded(partial(self._first, name))

    async def _first(self, name: str, exchange: Exchange) -> None:
        """Load in a thread, so that other calls go on meanwhile."""
        self._handlers = await asyncio.to_thread(self._load)
        await self._handlers[name](exchange)


def openai(plane: Plane) -> Handlers:
    from aigne_hub.gateway.dialects.openai.chat import OpenAICompletions
    from aigne_hub.gateway.dialects.openai.embeddings import OpenAIEmbeddings
    from aigne_hub.gateway.dialects.openai.moderations import OpenAIModerations
    from aigne_hub.gateway.dialects.openai.rerank import Rerank

    return {
        "/v1/completions": partial(handle, plane, OpenAICompletions()),
        "/v1/embeddings": partial(handle, plane, OpenAIEmbeddings()),
        "/v1/moderations": partial(handle, plane, OpenAIModerations()),
        "/v1/rerank": partial(handle, plane, Rerank()),
    }


def images(plane: Plane) -> Handlers:
    from aigne_hub.gateway.dialects.openai.image_edits import (
        OpenAIImageEdits,
        OpenAIImageVariations,
    )
    from aigne_hub.gateway.dialects.openai.images import OpenAIImages

    return {
        "/v1/images/generations": partial(handle, plane, OpenAIImages()),
        "/v1/images/edits": partial(handle_form, plane, OpenAIImageEdits),
        "/v1/images/variations": partial(handle_form, plane, OpenAIImageVariations),
    }


def sound(plane: Plane) -> Handlers:
    from aigne_hub.gateway.dialects.openai.speech import OpenAISpeech
    from aigne_hub.gateway.dialects.openai.transcriptions import (
        OpenAITranscriptions,
        OpenAITranslations,
    )

    return {
        "/v1/audio/transcriptions": partial(handle_form, plane, OpenAITranscriptions),
        "/v1/audio/translations": partial(handle_form, plane, OpenAITranslations),
        "/v1/audio/speech": partial(handle, plane, OpenAISpeech()),
    }


def videos(plane: Plane) -> Handlers:
    from aigne_hub.gateway import video_calls, video_list
    from aigne_hub.gateway.dialects.openai.videos import OpenAIVideos

    return {
        "/v1/videos": partial(handle_form, plane, OpenAIVideos),
        ALL: partial(video_list.list_videos, plane),
        ONE: partial(video_calls.stored, plane),
    }


def responses(plane: Plane) -> Handlers:
    from aigne_hub.gateway import response_calls
    from aigne_hub.gateway.dialects.responses.compaction import OpenAICompaction
    from aigne_hub.gateway.dialects.responses.create import OpenAIInputTokens

    return {
        "/v1/responses": partial(response_calls.respond, plane),
        "/v1/responses/compact": partial(handle, plane, OpenAICompaction()),
        "/v1/responses/input_tokens": partial(handle, plane, OpenAIInputTokens()),
        ONE: partial(response_calls.stored, plane),
    }


def messages(plane: Plane) -> Handlers:
    from aigne_hub.gateway.dialects.anthropic.messages import (
        AnthropicCountTokens,
        AnthropicMessages,
    )

    return {
        "/v1/messages": partial(handle, plane, AnthropicMessages()),
        "/v1/messages/count_tokens": partial(handle, plane, AnthropicCountTokens()),
    }


def gemini(plane: Plane) -> Handlers:
    from aigne_hub.gateway import gemini_calls, gemini_models

    return {
        CALL: partial(gemini_calls.call, plane),
        ALL: partial(gemini_models.list_models, plane),
        ONE: partial(gemini_models.one_model, plane),
    }


def models(plane: Plane) -> Handlers:
    from aigne_hub.gateway.models import list_models, one_model

    return {ALL: partial(list_models, plane), ONE: partial(one_model, plane)}


def aigne(plane: Plane) -> Handlers:
    from aigne_hub.gateway import aigne_paths

    return aigne_paths.posts(plane)
