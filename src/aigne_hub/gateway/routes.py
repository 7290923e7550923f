"""Data-plane paths to what answers them, and nothing else."""

from collections.abc import Callable
from functools import partial

from aigne_hub.gateway import (
    aigne_paths,
    gemini_calls,
    gemini_models,
    response_calls,
    video_calls,
    video_list,
)
from aigne_hub.gateway.dialects.anthropic.messages import AnthropicCountTokens, AnthropicMessages
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat, OpenAICompletions
from aigne_hub.gateway.dialects.openai.embeddings import OpenAIEmbeddings
from aigne_hub.gateway.dialects.openai.image_edits import (
    OpenAIImageEdits,
    OpenAIImageVariations,
)
from aigne_hub.gateway.dialects.openai.images import OpenAIImages
from aigne_hub.gateway.dialects.openai.moderations import OpenAIModerations
from aigne_hub.gateway.dialects.openai.rerank import Rerank
from aigne_hub.gateway.dialects.openai.speech import OpenAISpeech
from aigne_hub.gateway.dialects.openai.transcriptions import (
    OpenAITranscriptions,
    OpenAITranslations,
)
from aigne_hub.gateway.dialects.openai.videos import OpenAIVideos
from aigne_hub.gateway.dialects.responses.compaction import OpenAICompaction
from aigne_hub.gateway.dialects.responses.create import OpenAIInputTokens
from aigne_hub.gateway.forms import handle_form
from aigne_hub.gateway.models import list_models, one_model
from aigne_hub.gateway.pipeline import handle
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.targets import Handler

MODELS = "/v1/models"
GEMINI_MODELS = "/v1beta/models"


def routes(plane: Plane) -> Callable[[str, str], Handler | None]:
    """Return the look-up of (method, path), None for what the data plane does not serve."""
    posts: dict[str, Handler] = {
        "/v1/chat/completions": partial(handle, plane, OpenAIChat()),
        "/v1/completions": partial(handle, plane, OpenAICompletions()),
        "/v1/responses": partial(response_calls.respond, plane),
        "/v1/responses/compact": partial(handle, plane, OpenAICompaction()),
        "/v1/responses/input_tokens": partial(handle, plane, OpenAIInputTokens()),
        "/v1/embeddings": partial(handle, plane, OpenAIEmbeddings()),
        "/v1/images/generations": partial(handle, plane, OpenAIImages()),
        "/v1/images/edits": partial(handle_form, plane, OpenAIImageEdits),
        "/v1/images/variations": partial(handle_form, plane, OpenAIImageVariations),
        "/v1/audio/transcriptions": partial(handle_form, plane, OpenAITranscriptions),
        "/v1/audio/translations": partial(handle_form, plane, OpenAITranslations),
        "/v1/audio/speech": partial(handle, plane, OpenAISpeech()),
        "/v1/videos": partial(handle_form, plane, OpenAIVideos),
        "/v1/moderations": partial(handle, plane, OpenAIModerations()),
        "/v1/rerank": partial(handle, plane, Rerank()),
        "/v1/messages": partial(handle, plane, AnthropicMessages()),
        "/v1/messages/count_tokens": partial(handle, plane, AnthropicCountTokens()),
    }
    kept = _kept(plane)
    aigne = aigne_paths.posts(plane)
    all_models: Handler = partial(list_models, plane)
    single_model: Handler = partial(one_model, plane)
    gemini_call: Handler = partial(gemini_calls.call, plane)
    gemini_list: Handler = partial(gemini_models.list_models, plane)
    gemini_model: Handler = partial(gemini_models.one_model, plane)

    lists = (
        (MODELS, all_models, single_model),
        (GEMINI_MODELS, gemini_list, gemini_model),
    )

    def find(method: str, path: str) -> Handler | None:
        if method == "POST":
            found = posts.get(path) or aigne.get(aigne_paths.canonical(path))
            if found is None and gemini_calls.called(path) is not None:
                found = gemini_call
            if found is not None:
                return found
        if method in {"GET", "HEAD"}:
            for base, whole, single in lists:
                if path == base:
                    return whole
                if path.startswith(f"{base}/"):
                    return single
        return kept(method, path)

    return find


def _kept(plane: Plane) -> Callable[[str, str], Handler | None]:
    """Return the look-up of what is asked about objects that providers keep."""
    response: Handler = partial(response_calls.stored, plane)
    video: Handler = partial(video_calls.stored, plane)
    videos: Handler = partial(video_list.list_videos, plane)

    def find(method: str, path: str) -> Handler | None:
        if path == video_calls.PATH and method in {"GET", "HEAD"}:
            return videos
        if video_calls.named(method, path) is not None:
            return video
        return None if response_calls.named(method, path) is None else response

    return find
