"""A request looked at as if it had come in, for who wants to know what would become of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from aigne_hub.catalog.snapshot import Snapshot
from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.domain.limits import Limit
from aigne_hub.domain.operations import Open
from aigne_hub.domain.quotes import BYTES_PER_TOKEN, Size, size_of
from aigne_hub.domain.usage import TOKENS_MAX
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.dialects.anthropic.messages import AnthropicMessages
from aigne_hub.gateway.dialects.gemini.called import Called
from aigne_hub.gateway.dialects.gemini.generate import GeminiEmbed, GeminiGenerate
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat, OpenAICompletions
from aigne_hub.gateway.dialects.openai.embeddings import OpenAIEmbeddings
from aigne_hub.gateway.dialects.openai.images import OpenAIImages
from aigne_hub.gateway.dialects.openai.moderations import OpenAIModerations
from aigne_hub.gateway.dialects.openai.rerank import Rerank
from aigne_hub.gateway.dialects.openai.speech import OpenAISpeech
from aigne_hub.gateway.dialects.openai.videos import OpenAIVideos
from aigne_hub.gateway.quoting import Request, priced, tokens_wanted
from aigne_hub.providers.google import STREAM_METHOD
from aigne_hub.providers.profiles import ANTHROPIC_LANGUAGE, GEMINI_LANGUAGE, languages_of

_CHAT, _EMBEDDING, _IMAGE = "chat", "embedding", "image"
_MODERATION, _RERANK, _SPEECH, _VIDEO = "moderation", "rerank", "speech", "video"
_DIALECTS: Mapping[str, Dialect] = {
    _CHAT: OpenAIChat(),
    _EMBEDDING: OpenAIEmbeddings(),
    _IMAGE: OpenAIImages(),
    _MODERATION: OpenAIModerations(),
    _RERANK: Rerank(),
    _SPEECH: OpenAISpeech(),
    _VIDEO: OpenAIVideos(),
}
# Types whose requests have `input`, as those of embeddings have.
_BY_INPUT = frozenset({_MODERATION, _SPEECH})
_COMPLETIONS = OpenAICompletions()
_MESSAGES = AnthropicMessages()
_GEMINI = "v1beta"
# What a body needs beside its model, when only its size is given.
_PLACEHOLDERS: Mapping[str, Mapping[str, Any]] = {
    _CHAT: {"messages": []},
    _EMBEDDING: {"input": "-"},
    _IMAGE: {"prompt": "-"},
    _MODERATION: {"input": "-"},
    _RERANK: {"query": "-", "documents": ["-"]},
    _SPEECH: {"input": "-", "voice": "-"},
    _VIDEO: {"prompt": "-"},
}


class Wanted(NamedTuple):
    """What is asked about: a body, or members of one and how many tokens its prompt has."""

    body: bytes
    input_tokens: int | None = None

    @property
    def size(self) -> Size:
        if self.input_tokens is None:
            return size_of(self.body)
        return Size(self.input_tokens, self.input_tokens * BYTES_PER_TOKEN)


def wanted_by_size(
    snapshot: Snapshot,
    model: str,
    *,
    max_tokens: int | None,
    stream: bool,
    n: int | None,
    input_tokens: int,
) -> Wanted:
    """Return a request of which only sizes are known. Raises InvalidRequest."""
    if not 0 <= input_tokens <= TOKENS_MAX:
        raise InvalidRequest(f"input_tokens: 0 to {TOKENS_MAX} is sensible.", param="input_tokens")
    kind = _kind(snapshot, model)
    members: dict[str, Any] = {"model": model, **_PLACEHOLDERS[kind]}
    if max_tokens is None and _speaks_only(snapshot, model, ANTHROPIC_LANGUAGE):
        max_tokens = snapshot.resolve(model)[0].max_output_tokens
    given: dict[str, Any] = {"max_tokens": max_tokens, "n": n, "stream": stream or None}
    if _speaks_only(snapshot, model, GEMINI_LANGUAGE):
        config = {"maxOutputTokens": max_tokens, "candidateCount": n}
        members = {"model": model, "content" if kind == _EMBEDDING else "contents": []}
        given = {"generationConfig": config, "stream": stream or None}
    members.update({name: value for name, value in given.items() if value is not None})
    return Wanted(orjson.dumps(members), input_tokens)


def previewed(
    snapshot: Snapshot, principal: Principal, wanted: Wanted, *, billing: bool
) -> Request:
    """Read, authorise and quote a request as the data plane does; raises the same errors."""
    principal.require_scope(Scope.INFERENCE)
    dialect = dialect_of(snapshot, wanted.body)
    ask = dialect.ask(wanted.body)
    size = wanted.size if wanted.input_tokens is not None else ask.size or wanted.size
    return priced(snapshot, dialect, principal, ask, size, billing=billing)


def entry_of(
    request: Request,
    principal: Principal,
    application: str,
    limits: tuple[Limit, ...],
    now_us: int,
) -> Open:
    """Return the entry that would open the call, for a rehearsal only: it has no id."""
    rates = request.rates
    return Open(
        call_id="",
        account_id=principal.user_id,
        user_did=principal.user_did,
        app_did=application,
        key_id=principal.key_id,
        type=request.models[0].type,
        model=request.models[0].ref,
        rate_id=rates.id if rates else None,
        stream=request.ask.stream,
        input_counted=0,
        request_id="",
        started_us=now_us,
        quote=request.quote,
        limits=limits,
        tokens_wanted=tokens_wanted(request) if limits else 0,
    )


def dialect_of(snapshot: Snapshot, body: bytes) -> Dialect:
    """Return the dialect of the path that a body is made for, by the member it must have."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        return _DIALECTS[_CHAT]
    if "contents" in value or "content" in value:
        return _gemini(value)
    if "messages" in value:
        only = _speaks_only(snapshot, value.get("model"), ANTHROPIC_LANGUAGE)
        return _MESSAGES if only else _DIALECTS[_CHAT]
    kind = _kind(snapshot, value.get("model"))
    if "input" in value:
        return _DIALECTS[kind if kind in _BY_INPUT else _EMBEDDING]
    return _COMPLETIONS if "prompt" in value and kind == _CHAT else _DIALECTS[kind]


def _gemini(value: dict[str, Any]) -> Dialect:
    """Return the dialect of a body for Gemini's paths, which otherwise name model and method."""
    model = value.get("model")
    name = model if isinstance(model, str) else ""
    if "content" in value:
        return GeminiEmbed(Called(_GEMINI, name, "embedContent"))
    method = STREAM_METHOD if value.get("stream") else "generateContent"
    return GeminiGenerate(Called(_GEMINI, name, method, streams=True))


def _speaks_only(snapshot: Snapshot, model: object, language: str) -> bool:
    """Tell whether a model is called at the paths of one format and at no other."""
    try:
        found = snapshot.resolve(model) if isinstance(model, str) else ()
    except HubError:
        return False
    spoken = [languages_of(one.provider.kind, one.name) for one in found]
    return bool(spoken) and all(one == {language} for one in spoken)


def _kind(snapshot: Snapshot, model: object) -> str:
    """Return the type of a model that is served, `chat` for any other."""
    try:
        found = snapshot.resolve(model)[0].type if isinstance(model, str) else _CHAT
    except HubError:
        return _CHAT
    return found if found in _DIALECTS else _CHAT
