"""Providers' wire formats for callers of another: neutral requests out, neutral events in.

One module a format, without I/O. `registry` knows them all.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import orjson

from aigne_hub.domain.embedding import EmbeddingAnswer, EmbeddingRequest
from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.domain.inference import (
    InferenceEvent,
    InferenceRequest,
    Tool,
    ToolCall,
    ToolChoice,
)
from aigne_hub.domain.usage import Report
from aigne_hub.providers.complaints import reported
from aigne_hub.providers.profiles import Profile
from aigne_hub.providers.usage import Wire

# Of a tool that takes plain text, on a wire whose tools all take objects.
CUSTOM_PARAMETERS = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


class Outgoing(NamedTuple):
    """A request as a provider takes it.

    `headers` are lines, each ending CRLF; `not_carried` names what of the neutral request this
    wire has no place for, by the neutral names.
    """

    operation: str
    body: bytes
    headers: bytes = b""
    not_carried: tuple[str, ...] = ()


class AnswerReader(Protocol):
    """Reads one answer, whole or as it comes. Raises UpstreamError for what is none.

    Every answer ends with one Finish, which a broken one has not. What a stream said before it
    failed is given out before the error is raised. `report` is what the provider has said of
    usage so far; `has_told_all` whether that is all it says.
    """

    @property
    def report(self) -> Report: ...

    @property
    def has_told_all(self) -> bool: ...

    def whole(self, body: bytes) -> list[InferenceEvent]: ...

    def feed(self, data: bytes) -> Iterator[InferenceEvent]: ...

    def end(self) -> list[InferenceEvent]:
        """Return what is known only when the upstream has closed the stream cleanly."""
        ...


class Language(Protocol):
    """One wire format as its client speaks it; a module is one."""

    def outgoing(self, request: InferenceRequest, profile: Profile, /) -> Outgoing:
        """Return the request in this format; raises InvalidRequest for what cannot be said."""
        ...

    def reader(self, request: InferenceRequest, wire: Wire, /) -> AnswerReader: ...


class EmbeddingLanguage(Protocol):
    """Embeddings in one wire format as its client asks for them; a module is one."""

    def outgoing(self, request: EmbeddingRequest, profile: Profile, /) -> Outgoing:
        """Return the request in this format; raises InvalidRequest for what cannot be said."""
        ...

    def answer(self, request: EmbeddingRequest, body: bytes, wire: Wire, /) -> EmbeddingAnswer:
        """Return what was answered to it; raises UpstreamError for what is no answer."""
        ...


def offered(request: InferenceRequest) -> tuple[Tool, ...]:
    """Return the tools to offer: only those that may be chosen, where names bound the choice."""
    choice = request.tool_choice
    if choice is None or not choice.names or has_to_be_called(choice) is not None:
        return request.tools
    return tuple(tool for tool in request.tools if tool.name in choice.names)


def has_to_be_called(choice: ToolChoice) -> str | None:
    """Return the one tool that has to be called, None when there is any choice."""
    is_one = choice.mode == "required" and len(choice.names) == 1
    return choice.names[0] if is_one else None


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """Return a call's arguments for a wire that has them as an object.

    Raises InvalidRequest for what is none.
    """
    said = wrapped(call.arguments, is_custom=call.is_custom)
    try:
        given = orjson.loads(said) if said.strip() else {}
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        raise InvalidRequest(
            f"The arguments of the call {call.id!r} are no JSON object.", param="messages"
        )
    return given


def wrapped(arguments: str, *, is_custom: bool) -> str:
    """Return a call's arguments for a wire whose tools all take objects."""
    return orjson.dumps({"input": arguments}).decode() if is_custom else arguments


def written(request: object) -> bytes:
    """Return what a caller asks for as JSON.

    Raises InvalidRequest: what is read may be nested deeper than what can be written.
    """
    try:
        return orjson.dumps(request)
    except orjson.JSONEncodeError:
        raise InvalidRequest(
            "The request is nested too deeply, or has a number that is too large."
        ) from None


def retold(answer: object) -> bytes:
    """Return a part of an upstream's answer as JSON, as `written` does; raises UpstreamError."""
    try:
        return orjson.dumps(answer)
    except orjson.JSONEncodeError:
        raise UpstreamError("The upstream's answer is nested too deeply.") from None


def parsed(data: bytes) -> dict[str, Any]:
    """Return the object that an upstream sent; raises UpstreamError."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise UpstreamError("The upstream's answer is not valid JSON.") from None
    if not isinstance(value, dict):
        raise UpstreamError("The upstream's answer is not an object.")
    return value


def objects_in(items: object) -> list[dict[str, Any]]:
    """Return the objects of a list; of what is none, none."""
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def require_good(value: dict[str, Any]) -> None:
    """Raise UpstreamError for an error object."""
    if value.get("error"):
        raise reported(value["error"])


def _is_number(said: object) -> bool:
    return type(said) is int or (type(said) is float and math.isfinite(said))


def vector_of(said: object) -> tuple[float, ...]:
    """Return a list of numbers, and no empty one; raises UpstreamError."""
    if not isinstance(said, list) or not said or not all(map(_is_number, said)):
        raise UpstreamError("The upstream's answer has a vector that is none.")
    return tuple(said)
