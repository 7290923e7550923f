"""The neutral form between dialects: a request, and the events of its answer.

An adapter turns its wire into these and back. Streaming is the only shape: a whole answer
is the fold of its events. What has no neutral name travels in `extra` and is either carried
by the other dialect or refused by it, never dropped silently.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aigne_hub.domain.usage import Usage

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a message: text, or media by URL or bytes with its MIME type."""

    kind: Literal["text", "image", "audio", "file", "reasoning"]
    text: str = ""
    url: str | None = None
    data: bytes | None = None
    mime_type: str | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    stream: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A fragment of a call; `id` and `name` come with its first fragment only."""

    index: int
    arguments: str
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    reason: FinishReason
    usage: Usage | None


InferenceEvent = TextDelta | ReasoningDelta | ToolCallDelta | Finish
