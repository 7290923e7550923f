"""A call as somebody describes it: where it goes, and its body or what matters of one."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from aigne_hub.catalog.snapshot import Snapshot
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.quotes import BYTES_PER_TOKEN, Size, size_of
from aigne_hub.domain.usage import TOKENS_MAX
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.dialects.anthropic.messages import AnthropicMessages
from aigne_hub.gateway.dialects.gemini.generate import METHODS
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat, OpenAICompletions
from aigne_hub.gateway.dialects.openai.embeddings import OpenAIEmbeddings
from aigne_hub.gateway.dialects.openai.images import OpenAIImages
from aigne_hub.gateway.dialects.openai.moderations import OpenAIModerations
from aigne_hub.gateway.dialects.openai.rerank import Rerank
from aigne_hub.gateway.dialects.openai.speech import OpenAISpeech
from aigne_hub.gateway.dialects.openai.videos import OpenAIVideos
from aigne_hub.gateway.dialects.responses.create import OpenAIResponses
from aigne_hub.gateway.paths import called as called_in
from aigne_hub.gateway.preview import dialect_of, wanted_by_size
from aigne_hub.gateway.quoting import Request, priced

# What answers a path, and what a body must have there beside its model.
_AT: Final[Mapping[str, tuple[Callable[[], Dialect], Mapping[str, Any]]]] = {
    "/v1/chat/completions": (OpenAIChat, {"messages": []}),
    "/v1/completions": (OpenAICompletions, {"prompt": "-"}),
    "/v1/responses": (OpenAIResponses, {"input": "-"}),
    "/v1/messages": (AnthropicMessages, {"messages": [], "max_tokens": 1}),
    "/v1/embeddings": (OpenAIEmbeddings, {"input": "-"}),
    "/v1/images/generations": (OpenAIImages, {"prompt": "-"}),
    "/v1/audio/speech": (OpenAISpeech, {"input": "-", "voice": "-"}),
    "/v1/videos": (OpenAIVideos, {"prompt": "-"}),
    "/v1/moderations": (OpenAIModerations, {"input": "-"}),
    "/v1/rerank": (Rerank, {"query": "-", "documents": ["-"]}),
}
_GEMINI: Final = "/v1beta/models/{model}:generateContent"


def described(
    snapshot: Snapshot,
    principal: Principal,
    model: str,
    *,
    path: str | None,
    body: bytes | Mapping[str, Any] | None,
    input_tokens: int | None,
    billing: bool,
) -> tuple[Request, Dialect]:
    """Return a call as the data plane would read it, and the dialect that does.

    Without a `path` it goes where models of its type are called, without a `body` it has
    nothing but what must be there; the model is added to one that is given as a value, where
    the path does not name it. Raises what the call would meet.
    """
    if input_tokens is not None and not 0 <= input_tokens <= TOKENS_MAX:
        raise InvalidRequest(f"input_tokens: 0 to {TOKENS_MAX} is sensible.", param="input_tokens")
    named = {"model": model} if path is None or path in _AT else {}
    sent = _written({**body, **named}) if isinstance(body, Mapping) else body
    if path is not None:
        dialect, members = _at(path, model)
        sent = sent or orjson.dumps({**members, **named})
    else:
        sent = sent or _least(snapshot, model)
        dialect = dialect_of(snapshot, sent)
    ask = dialect.ask(sent)
    if ask.model != model:
        raise InvalidRequest(f"body: it names the model {ask.model[:80]!r}.", param="body")
    size = ask.size or size_of(ask.body)
    if input_tokens is not None:
        size = Size(input_tokens, input_tokens * BYTES_PER_TOKEN)
    return priced(snapshot, dialect, principal, ask, size, billing=billing), dialect


def _written(body: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(f"body: {error}. Give it as a string.", param="body") from None


def _least(snapshot: Snapshot, model: str) -> bytes:
    wanted = wanted_by_size(snapshot, model, max_tokens=None, stream=False, n=None, input_tokens=0)
    return wanted.body


def _at(path: str, model: str) -> tuple[Dialect, Mapping[str, Any]]:
    known = _AT.get(path)
    if known is not None:
        return known[0](), known[1]
    called = called_in(path.replace("{model}", model))
    if called is None:
        paths = ", ".join([*_AT, _GEMINI])
        raise InvalidRequest(f"path: one of {paths} can be explained.", param="path")
    member = "content" if called.method == "embedContent" else "contents"
    return METHODS[called.method](called), {member: []}
