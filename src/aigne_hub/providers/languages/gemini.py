"""Gemini's `generateContent` and `streamGenerateContent`, version v1beta.

https://ai.google.dev/api/generate-content, /api/caching#Tool and
/gemini-api/docs/thought-signatures: from the vendor's SDK of November 2026 and stored copies.
"""

from collections.abc import Iterator
from typing import Any

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    InferenceRequest,
    Media,
    MediaKind,
    Message,
    Part,
    Reasoning,
    Seal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from aigne_hub.providers.google import STREAM_METHOD
from aigne_hub.providers.languages import CUSTOM_PARAMETERS, Outgoing, arguments_of, written
from aigne_hub.providers.languages.gemini_config import (
    THINKS_IN_LEVELS,
    configured,
    generation_of,
)
from aigne_hub.providers.languages.gemini_reader import reader
from aigne_hub.providers.profiles import GEMINI_LANGUAGE, Profile

__all__ = ["outgoing", "reader"]

VERSION = "v1beta"
WHOLE_METHOD = "generateContent"
# What stands for the signature of a call that another model made: a model that requires one
# takes it, as Google's page on thought signatures says.
UNSIGNED = "skip_thought_signature_validator"
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
# A provider's own tools by the neutral name.
_HOSTED = {"web_search": "googleSearch"}
_TIERS = {"default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}
_TYPES: dict[MediaKind, str] = {
    "image": "image/png",
    "audio": "audio/wav",
    "video": "video/mp4",
    "file": "application/pdf",
}
_ENDINGS = {
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
    "wav": "audio/wav",
    "webp": "image/webp",
}


def outgoing(request: InferenceRequest, _profile: Profile) -> Outgoing:
    """Return a request for one answer."""
    lost = [name for name in ("end_user", "cache_key") if getattr(request, name) is not None]
    contents = _Contents(request.model, lost)
    for message in request.messages:
        contents.add(message)
    if not contents.said:
        raise InvalidRequest(
            "The provider of this model needs a message of the user's.", param="messages"
        )
    body: dict[str, Any] = {"contents": contents.said}
    if contents.system:
        body["systemInstruction"] = {"parts": contents.system}
    body |= _tools(request, lost)
    config = configured(request, lost)
    if config:
        body["generationConfig"] = config
    if request.service_tier is not None:
        tier = _TIERS.get(request.service_tier)
        if tier is not None:
            body["serviceTier"] = tier
        elif request.service_tier != "auto":
            lost.append("service_tier")
    method = STREAM_METHOD if request.stream else WHOLE_METHOD
    operation = f"{VERSION}/models/{request.model}:{method}"
    return Outgoing(operation, written(body), b"", tuple(dict.fromkeys(lost)))


class _Contents:
    """The messages as this wire has them, and what the system says apart."""

    def __init__(self, model: str, lost: list[str]) -> None:
        self.said: list[dict[str, Any]] = []
        self.system: list[dict[str, Any]] = []
        self._lost = lost
        self._is_newest = generation_of(model) >= THINKS_IN_LEVELS
        # The results name the function, which the form knows by the call's id alone.
        self._names: dict[str, str] = {}

    def add(self, message: Message) -> None:
        if message.role == "system":
            self._instruct(message)
            return
        is_model = message.role == "assistant"
        said = self._answer(message) if is_model else list(self._parts(message.content))
        if said:
            self.said.append({"role": "model" if is_model else "user", "parts": said})

    def _instruct(self, message: Message) -> None:
        """Add to the one instruction that there is, wherever in the talk it was given."""
        if self.said:
            self._lost.append("system_position")
        for part in message.content:
            if not isinstance(part, Text):
                raise InvalidRequest(
                    "The provider of this model takes only text as system instructions.",
                    param="messages",
                )
            self._note(part)
            self.system.append({"text": part.text})

    def _answer(self, message: Message) -> list[dict[str, Any]]:
        """Return the parts of an answer of the model's, each with the seal it came with."""
        said: list[dict[str, Any]] = []
        signature = ""
        for part in message.content:
            if not isinstance(part, Reasoning):
                said += self._parts((part,))
            elif part.seal is None or part.seal.origin != GEMINI_LANGUAGE:
                self._lost.append("reasoning")
            elif part.is_redacted:
                signature = part.seal.value
            else:
                sealed = {"thought": True, "thoughtSignature": part.seal.value}
                said.append({"text": part.text, **sealed})
        calls = [part for part in said if "functionCall" in part]
        if signature:
            # A seal without thoughts came with the text, at its end or alone after it.
            text = next((p for p in reversed(said) if "text" in p and "thought" not in p), None)
            if text is None:
                text = {"text": ""}
                said.append(text)
            text["thoughtSignature"] = signature
        if self._is_newest and calls and not any("thoughtSignature" in part for part in calls):
            calls[0]["thoughtSignature"] = UNSIGNED
        return said

    def _parts(self, content: tuple[Part, ...]) -> Iterator[dict[str, Any]]:
        for part in content:
            match part:
                case ToolResult():
                    yield from self._result(part)
                case ToolCall():
                    self._names[part.id] = part.name
                    yield self._call(part)
                case Text():
                    self._note(part)
                    if part.text:
                        yield {"text": part.text}
                case Media():
                    yield self._media(part)
                case Reasoning():
                    self._lost.append("reasoning")

    def _call(self, call: ToolCall) -> dict[str, Any]:
        self._note(call)
        part: dict[str, Any] = {
            "functionCall": {"id": call.id, "name": call.name, "args": arguments_of(call)}
        }
        return part | _sealed(call.seal)

    def _result(self, result: ToolResult) -> Iterator[dict[str, Any]]:
        """Yield a result, whose text is its output or error; media beside it where they must be."""
        name = self._names.get(result.call_id)
        if name is None:
            raise InvalidRequest(
                f"There is a result for the call {result.call_id!r}, which no message before "
                "it makes.",
                param="messages",
            )
        self._note(result)
        media = [self._media(part) for part in result.content if isinstance(part, Media)]
        text = "\n".join(part.text for part in result.content if isinstance(part, Text))
        said: dict[str, Any] = {
            "id": result.call_id,
            "name": name,
            "response": {"error" if result.is_error else "output": text},
        }
        if media and self._is_newest:
            said["parts"] = media
        yield {"functionResponse": said}
        if not self._is_newest:
            yield from media

    def _media(self, media: Media) -> dict[str, Any]:
        self._note(media)
        if media.detail is not None:
            self._lost.append("detail")
        if media.name is not None:
            self._lost.append("name")
        if media.data is not None:
            kind = media.mime_type or _TYPES[media.kind]
            return {"inlineData": {"mimeType": kind, "data": media.data}}
        url = media.url or ""
        ending = url.partition("?")[0].rpartition(".")[2].lower()
        known = media.mime_type or _ENDINGS.get(ending)
        return {"fileData": {"fileUri": url} | ({"mimeType": known} if known else {})}

    def _note(self, part: Text | Media | ToolCall | ToolResult) -> None:
        if part.cache is not None:
            self._lost.append("cache")


def _sealed(seal: Seal | None) -> dict[str, str]:
    """Return the signature of a part that came from this wire."""
    return {"thoughtSignature": seal.value} if seal and seal.origin == GEMINI_LANGUAGE else {}


def _tools(request: InferenceRequest, lost: list[str]) -> dict[str, Any]:
    choice = request.tool_choice
    offered = request.tools
    if choice is not None and choice.names and choice.mode == "auto":
        # Only a call that must be made can be bounded by names.
        offered = tuple(tool for tool in offered if tool.name in choice.names)
    tools: list[dict[str, Any]] = []
    if offered:
        tools.append({"functionDeclarations": [_declared(tool, lost) for tool in offered]})
    for hosted in request.hosted_tools:
        name = _HOSTED.get(hosted.kind)
        if name is None:
            raise InvalidRequest(
                f"The provider of this model has no tool of its own like {hosted.kind!r}.",
                param="tools",
            )
        tools.append({name: {}})
    if request.parallel_tool_calls is False:
        lost.append("parallel_tool_calls")
    said: dict[str, Any] = {"tools": tools} if tools else {}
    if offered and choice is not None:
        said["toolConfig"] = {"functionCallingConfig": _choice(choice)}
    return said


def _choice(choice: ToolChoice) -> dict[str, Any]:
    said: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.names and choice.mode == "required":
        said["allowedFunctionNames"] = list(choice.names)
    return said


def _declared(tool: Tool, lost: list[str]) -> dict[str, Any]:
    """Return a function with its JSON Schema as it is: this wire takes both kinds of schema."""
    if tool.cache is not None:
        lost.append("cache")
    if tool.strict is not None:
        lost.append("strict")
    said: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        said["description"] = tool.description
    parameters = CUSTOM_PARAMETERS if tool.is_custom else tool.parameters
    if parameters is not None:
        said["parametersJsonSchema"] = parameters
    return said
