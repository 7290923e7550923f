"""Data-plane paths to what answers them and the scope that takes, and nothing else."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from aigne_hub.domain.access import Scope
from aigne_hub.gateway import formats
from aigne_hub.gateway.dialects.gemini.called import METHOD_NAMES
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat
from aigne_hub.gateway.formats import ALL, ONE, Format
from aigne_hub.gateway.paths import (
    AIGNE_V1,
    AIGNE_V2,
    GEMINI_MODELS,
    GEMINI_VERSIONS,
    MODELS,
    OF_RESPONSES,
    OF_VIDEOS,
    RESPONSES,
    VIDEOS,
    called,
    canonical,
    stored_response,
    stored_video,
)
from aigne_hub.gateway.pipeline import handle
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.targets import Handler

_CHAT: Final = "/v1/chat/completions"
_POSTS: Final = (
    (
        formats.openai,
        ("/v1/completions", "/v1/embeddings", "/v1/moderations", "/v1/rerank"),
    ),
    (
        formats.images,
        ("/v1/images/generations", "/v1/images/edits", "/v1/images/variations"),
    ),
    (
        formats.sound,
        ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech"),
    ),
    (formats.messages, ("/v1/messages", "/v1/messages/count_tokens")),
)
_RESPONSES: Final = frozenset(
    {"/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens"}
)
_AIGNE_COMMON: Final = (
    *("chat/completions", "completions", "embeddings", "image/generations"),
    *("audio/speech", "audio/transcriptions"),
)
_AIGNE: Final = frozenset(
    {f"{base}{name}" for base in (AIGNE_V1, AIGNE_V2) for name in _AIGNE_COMMON}
    | {f"{AIGNE_V2}{name}" for name in ("chat", "image", "video")}
)

# What is posted to; paths with a name in them are read by `paths`.
PATHS: Final = (
    frozenset({_CHAT, VIDEOS}) | _RESPONSES | _AIGNE | {p for _, ps in _POSTS for p in ps}
)


class Served(NamedTuple):
    """What is served, `{…}` for any name, and the scope that its caller's key needs.

    `signed` is what takes no key: applications sign what they send there.
    """

    method: str
    path: str
    scope: Scope
    signed: bool = False


class UndeclaredPath(Exception):
    """A path is routed that `served` does not name: nobody would know what it asks for."""


# The scope of what is asked with GET, by its path; whatever is posted to calls a model.
_LISTS: Final = {MODELS: Scope.MODELS, GEMINI_MODELS: Scope.MODELS}


def served() -> Iterator[Served]:
    """Give every path of the data plane. What answers it asks the verifier for that scope."""
    for path in sorted(PATHS):
        yield Served("POST", path, Scope.INFERENCE, signed=path.startswith(AIGNE_V1))
    for path, scope in _LISTS.items():
        yield Served("GET", path, scope)
        yield Served("GET", f"{path}/{{model}}", scope)
    for version in GEMINI_VERSIONS:
        for method in METHOD_NAMES:
            yield Served("POST", f"/{version}/models/{{model}}:{method}", Scope.INFERENCE)
    yield Served("GET", VIDEOS, Scope.INFERENCE)
    for base, kept in ((RESPONSES, OF_RESPONSES), (VIDEOS, OF_VIDEOS)):
        for suffix, methods in kept.items():
            for method in methods:
                yield Served(method, f"{base}/{{id}}{suffix}", Scope.INFERENCE)


def routes(plane: Plane) -> Callable[[str, str], Handler | None]:
    """Return the look-up of (method, path), None for what the data plane does not serve."""
    return _Routes(plane).find


class _Routes:
    def __init__(self, plane: Plane) -> None:
        self._chat: Handler = partial(handle, plane, OpenAIChat())
        self._responses = Format(formats.responses, plane)
        self._videos = Format(formats.videos, plane)
        self._gemini = Format(formats.gemini, plane)
        self._posts: dict[str, Format] = {VIDEOS: self._videos}
        self._posts |= dict.fromkeys(_RESPONSES, self._responses)
        self._posts |= dict.fromkeys(_AIGNE, Format(formats.aigne, plane))
        for load, paths in _POSTS:
            self._posts |= dict.fromkeys(paths, Format(load, plane))
        self._lists = (
            (MODELS, Format(formats.models, plane)),
            (GEMINI_MODELS, self._gemini),
        )
        undeclared = {*self._posts, *(path for path, _ in self._lists)} - PATHS - _LISTS.keys()
        if undeclared:
            raise UndeclaredPath(f"no scope is declared for {', '.join(sorted(undeclared))}")

    def find(self, method: str, path: str) -> Handler | None:
        if method == "POST":
            found = self._posted(path)
        else:
            found = self._got(path) if method in {"GET", "HEAD"} else None
        return found or self._kept(method, path)

    def _posted(self, path: str) -> Handler | None:
        if path == _CHAT:
            return self._chat
        meant = canonical(path)
        found = self._posts.get(meant)
        if found is not None:
            return found.handler(meant)
        return None if called(path) is None else self._gemini.handler(formats.CALL)

    def _got(self, path: str) -> Handler | None:
        if path == VIDEOS:
            return self._videos.handler(ALL)
        for base, listed in self._lists:
            if path == base:
                return listed.handler(ALL)
            if path.startswith(f"{base}/"):
                return listed.handler(ONE)
        return None

    def _kept(self, method: str, path: str) -> Handler | None:
        """Return what answers about objects that providers keep."""
        if stored_video(method, path) is not None:
            return self._videos.handler(ONE)
        return None if stored_response(method, path) is None else self._responses.handler(ONE)
