"""What a request needs of a model, as far as a glance at it shows."""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from aigne_hub.catalog.model_features import AUDIO, IMAGE, VIDEO, known_input
from aigne_hub.domain.quotes import count_text
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.quoting import Request

# How callers name a conversation; Codex sends `session_id`.
SESSION_HEADERS: Final = (b"x-aigne-hub-session", b"session_id", b"x-session-id")
SESSION_CHARS_MAX: Final = 512
# Members and types that no text can contain: its quotation marks are escaped.
_MEDIA: Final = (
    (IMAGE, re.compile(rb'"(?:image_url|input_image|image/[a-z+.-]+)"|"type"\s*:\s*"image"')),
    (AUDIO, re.compile(rb'"(?:input_audio|audio/[a-z0-9+.-]+)"')),
    (VIDEO, re.compile(rb'"(?:video_url|video/[a-z0-9+.-]+)"')),
)


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Named(msgspec.Struct):
    """The members that name a conversation.

    OpenAI's key of the prompt cache, and Anthropic's `metadata.user_id`, in which Claude Code
    has its session.
    """

    prompt_cache_key: str | None = None
    metadata: _Metadata | None = None


_NAMED: Final = msgspec.json.Decoder(_Named)


def misfits(request: Request) -> Callable[[Candidate], str | None]:
    """Return what says why a candidate cannot serve a request, None when it can.

    Only what is certain counts: text that does not fit into a context window by the hub's
    own count, and media that a model's vendor says it does not read.
    """
    tokens = count_text(request.size.text_bytes)
    needed = _media(request.ask.body)

    def misfit(candidate: Candidate) -> str | None:
        model = candidate.model
        if tokens > model.context_tokens:
            return f"its context holds {model.context_tokens} tokens, the request has {tokens}"
        if needed:
            read = known_input(model.name)
            lacking = [kind for kind in needed if read is not None and kind not in read]
            if lacking:
                return f"it does not read {lacking[0]}"
        return None

    return misfit


def _media(body: bytes) -> tuple[str, ...]:
    return tuple(kind for kind, pattern in _MEDIA if pattern.search(body))


def session_of(fields: Mapping[bytes, bytes], body: bytes) -> str | None:
    """Return the name a caller gives the conversation of a request, None without one."""
    for name in SESSION_HEADERS:
        value = fields.get(name)
        if value:
            return value.decode("latin-1")[:SESSION_CHARS_MAX]
    try:
        named = _NAMED.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    found = named.prompt_cache_key or (named.metadata and named.metadata.user_id)
    return found[:SESSION_CHARS_MAX] if found else None
