"""The neutral form between dialects: a request, and the events of its answer.

An adapter turns its wire into these and back. Streaming is the only shape: a whole answer
is the fold of its events. What a caller's wire has and this form has not is refused where it
changes what is meant, and otherwise named in `InferenceRequest.not_carried`: nothing is
dropped silently. docs/translation.md has the table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from aigne_hub.domain.usage import NO_REPORT, Report

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "stop_sequence", "length", "tool_calls", "content_filter"]
# How long a provider is asked to keep what stands before a mark in its prompt cache.
CacheMark = Literal["5m", "1h"]
MediaKind = Literal["image", "audio", "video", "file"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_FOREIGN = "hub"


class Seal(NamedTuple):
    """What a provider signs or encrypts its model's reasoning with, for its own eyes only.

    It must come back unchanged with the next turn, and means nothing to any other provider.
    `origin` is the wire format it came from.
    """

    origin: str
    value: str

    def text_in(self, language: str) -> str:
        """Return how it is written in a wire format: as it is in its own, marked in others."""
        if language == self.origin:
            return self.value
        return f"{_FOREIGN}.{self.origin}.{self.value}"


def seal_of(text: str, language: str) -> Seal:
    """Return the seal that a wire format's text holds: the reverse of `Seal.text_in`."""
    mark, _, rest = text.partition(".")
    origin, _, value = rest.partition(".")
    if mark == _FOREIGN and origin and value:
        return Seal(origin, value)
    return Seal(language, text)


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """A picture, sound, film or document: by `url`, or by `data` in base64.

    `mime_type` is None where the caller did not say; `detail` is OpenAI's word for how
    closely a picture is looked at.
    """

    kind: MediaKind
    url: str | None = None
    data: str | None = None
    mime_type: str | None = None
    name: str | None = None
    detail: str | None = None
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """One block of a model's thoughts as it was given out. `is_redacted`: the seal is all."""

    text: str = ""
    seal: Seal | None = None
    is_redacted: bool = False


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments` is JSON text as the model wrote it; of a custom tool, its plain input."""

    id: str
    name: str
    arguments: str
    is_custom: bool = False
    seal: Seal | None = None
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call came to. It stands in a message of the user's, before what that says."""

    call_id: str
    content: tuple[Text | Media, ...] = ()
    is_error: bool = False
    cache: CacheMark | None = None


Part = Text | Media | Reasoning | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    content: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the caller runs. `parameters` is a JSON Schema, None for a function without.

    A custom tool takes plain text; a wire without such gives it one parameter, `input`. The
    name of a tool in a `namespace` begins with that: elsewhere it has to be unique without.
    `is_search`: the caller looks for more tools by it, which come with later requests.
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    is_custom: bool = False
    cache: CacheMark | None = None
    namespace: str | None = None
    is_search: bool = False


@dataclass(frozen=True, slots=True)
class HostedTool:
    """A tool that the provider runs itself, by the name most of them use: `web_search`."""

    kind: str


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`names` are the tools to choose from: with one and `required`, that is called."""

    mode: Literal["auto", "none", "required"]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """`schema` is a JSON Schema; None for any JSON."""

    schema: Mapping[str, Any] | None = None
    name: str = "answer"
    description: str | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """How much a model may think, in words or tokens, and whether its thoughts are shown."""

    effort: Effort | None = None
    budget_tokens: int | None = None
    is_shown: bool = True


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """What a chat asks for. `not_carried` names members of the caller's that are left out.

    `output_max` is what a caller without a limit may get at most, for wires that demand one.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    max_output_tokens: int | None = None
    output_max: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    hosted_tools: tuple[HostedTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output_format: OutputFormat | None = None
    thinking: Thinking | None = None
    end_user: str | None = None
    cache_key: str | None = None
    service_tier: str | None = None
    not_carried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningSeal:
    """Ends a block of reasoning; of a redacted one it is all there is."""

    seal: Seal
    is_redacted: bool = False


@dataclass(frozen=True, slots=True)
class ToolCallStart:
    """`index` counts the calls of an answer from 0; fragments of several may be mixed."""

    index: int
    id: str
    name: str
    seal: Seal | None = None


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class MediaMade:
    """A picture or sound that the model made."""

    media: Media


@dataclass(frozen=True, slots=True)
class Finish:
    """Ends an answer. `report` is what the provider said of usage."""

    reason: FinishReason
    report: Report = NO_REPORT
    stop_sequence: str | None = None


InferenceEvent = (
    TextDelta | ReasoningDelta | ReasoningSeal | ToolCallStart | ToolCallDelta | MediaMade | Finish
)
