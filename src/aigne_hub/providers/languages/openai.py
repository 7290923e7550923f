"""OpenAI Chat Completions, as OpenAI and the many compatible vendors answer it.

https://platform.openai.com/docs/api-reference/chat, checked against the published OpenAPI
description of August 2026. What compatibles add: `reasoning_content` (DeepSeek, vLLM),
`reasoning` and `images` (OpenRouter), lists as content (Mistral), calls without an index.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.inference import (
    Finish,
    FinishReason,
    InferenceEvent,
    InferenceRequest,
    Media,
    MediaMade,
    Message,
    Reasoning,
    ReasoningDelta,
    Seal,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolResult,
)
from aigne_hub.domain.usage import Report
from aigne_hub.providers.complaints import blamed
from aigne_hub.providers.frames import Splitter, payload_of
from aigne_hub.providers.languages import (
    CUSTOM_PARAMETERS,
    Outgoing,
    has_to_be_called,
    objects_in,
    offered,
    parsed,
    require_good,
    retold,
    wrapped,
    written,
)
from aigne_hub.providers.languages.efforts import asked_effort
from aigne_hub.providers.profiles import OPENAI_LANGUAGE, Profile
from aigne_hub.providers.usage import Wire
from aigne_hub.providers.usage.stream import UsageStream

_ACCEPTED = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "service_tier",
)
_IDS = {"end_user": "safety_identifier", "cache_key": "prompt_cache_key"}
# Vendors that take what others refuse as an unknown member.
_KNOWS_USERS = frozenset({"openai", "azure"})
USER_MAX = 64
_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_DONE = b"[DONE]"
_SHOWN_BELOW = "(What this returned is shown in the next message.)"


def outgoing(request: InferenceRequest, profile: Profile) -> Outgoing:
    """Return a chat completion request."""
    lost: list[str] = []
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [m for message in request.messages for m in _messages(message, lost)],
    }
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.max_output_tokens is not None:
        body[profile.spoken(OPENAI_LANGUAGE).limit_field] = request.max_output_tokens
    body |= {name: value for name in _ACCEPTED if (value := getattr(request, name)) is not None}
    if request.stop:
        body["stop"] = list(request.stop)
    body |= _tools(request, lost)
    if request.output_format is not None:
        body["response_format"] = _format(request)
    if request.thinking is not None:
        effort = asked_effort(request.thinking, request.model, lost)
        body |= {"reasoning_effort": effort} if effort is not None else {}
    body |= _ids(request, profile, lost)
    if request.top_k is not None:
        lost.append("top_k")
    return Outgoing("chat/completions", written(body), b"", tuple(dict.fromkeys(lost)))


def _ids(request: InferenceRequest, profile: Profile, lost: list[str]) -> dict[str, str]:
    """Return the caller's own marks, for vendors that do not refuse them."""
    said = {}
    for ours, theirs in _IDS.items():
        value = getattr(request, ours)
        if value is None:
            continue
        if profile.kind in _KNOWS_USERS and len(value) <= USER_MAX:
            said[theirs] = value
        else:
            lost.append(ours)
    return said


def _messages(message: Message, lost: list[str]) -> Iterator[dict[str, Any]]:
    """Return what says one neutral message: each result of a tool is a message of its own.

    Such a message takes text alone, so what else a tool returned is shown by the user.
    """
    content: list[dict[str, Any]] = []
    calls = []
    for part in message.content:
        if isinstance(part, ToolResult):
            yield _result(part, lost)
            content += [_part(one, lost) for one in part.content if isinstance(one, Media)]
        elif isinstance(part, ToolCall):
            calls.append(_call(part))
        elif isinstance(part, Reasoning):
            lost.append("reasoning")
        else:
            content.append(_part(part, lost))
    if not content and not calls:
        return
    said: dict[str, Any] = {"role": message.role, "content": _shortest(content)}
    if calls:
        said["tool_calls"] = calls
    yield said


def _shortest(content: list[dict[str, Any]]) -> Any:
    """Return mere text as a string: what every compatible server takes."""
    if not content:
        return None
    if len(content) == 1 and content[0]["type"] == "text":
        return content[0]["text"]
    return content


def _result(result: ToolResult, lost: list[str]) -> dict[str, Any]:
    """Return the message of a result; that it is an error, the text has to say."""
    content = [_part(part, lost) for part in result.content if isinstance(part, Text)]
    if len(content) < len(result.content):
        content.append({"type": "text", "text": _SHOWN_BELOW})
    if result.is_error:
        content.insert(0, {"type": "text", "text": "Error:"})
    said = content if len(content) > 1 else _shortest(content) or ""
    return {"role": "tool", "tool_call_id": result.call_id, "content": said}


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = wrapped(call.arguments, is_custom=call.is_custom)
    said: dict[str, Any] = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if call.seal is not None and call.seal.origin == "openai":
        said["extra_content"] = orjson.loads(call.seal.value)
    return said


def _part(part: Text | Media, lost: list[str]) -> dict[str, Any]:
    if part.cache is not None:
        lost.append("cache")
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part.kind == "image":
        url = part.url or f"data:{part.mime_type or 'image/png'};base64,{part.data}"
        image = {"url": url} | ({"detail": part.detail} if part.detail else {})
        return {"type": "image_url", "image_url": image}
    if part.kind == "audio" and part.data is not None:
        form = (part.mime_type or "audio/wav").rpartition("/")[2].removeprefix("x-")
        kind = {"mpeg": "mp3"}.get(form, form)
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": kind}}
    if part.data is not None:
        data = f"data:{part.mime_type or 'application/pdf'};base64,{part.data}"
        return {"type": "file", "file": {"filename": part.name or "file", "file_data": data}}
    return {"type": "file", "file": {"filename": part.name or "file", "file_data": part.url}}


def _tools(request: InferenceRequest, lost: list[str]) -> dict[str, Any]:
    if request.hosted_tools:
        lost.append("hosted_tools")
    choice = request.tool_choice
    tools = [_tool(tool, lost) for tool in offered(request)]
    if not tools:
        return {}
    said: dict[str, Any] = {"tools": tools}
    if choice is not None:
        name = has_to_be_called(choice)
        named = {"type": "function", "function": {"name": name}}
        said["tool_choice"] = choice.mode if name is None else named
    if request.parallel_tool_calls is not None:
        said["parallel_tool_calls"] = request.parallel_tool_calls
    return said


def _tool(tool: Tool, lost: list[str]) -> dict[str, Any]:
    if tool.cache is not None:
        lost.append("cache")
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    parameters = CUSTOM_PARAMETERS if tool.is_custom else tool.parameters
    if parameters is not None:
        function["parameters"] = parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _format(request: InferenceRequest) -> dict[str, Any]:
    wanted = request.output_format
    assert wanted is not None
    if wanted.schema is None:
        return {"type": "json_object"}
    schema = {"name": wanted.name, "schema": wanted.schema}
    for name in ("description", "strict"):
        if getattr(wanted, name) is not None:
            schema[name] = getattr(wanted, name)
    return {"type": "json_schema", "json_schema": schema}


def reader(_request: InferenceRequest, wire: Wire) -> "ChatReader":
    return ChatReader(wire)


class ChatReader:
    """languages.AnswerReader for chat completions."""

    def __init__(self, wire: Wire) -> None:
        self._told = UsageStream(wire)
        self._splitter = Splitter()
        # Which call of ours one of theirs is: by its id, and by the index it came with.
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int, int] = {}
        self._reason: FinishReason | None = None
        self._is_done = False

    @property
    def report(self) -> Report:
        return self._told.report

    @property
    def has_told_all(self) -> bool:
        return self._is_done

    def whole(self, body: bytes) -> list[InferenceEvent]:
        value = parsed(body)
        require_good(value)
        self._told.add(value)
        events: list[InferenceEvent] = []
        for choice in _first(value.get("choices")):
            events += self._said(choice.get("message"))
            self._finish(choice)
        if self._reason is None:
            raise UpstreamError("The upstream's answer has no choice that is finished.")
        return [*events, self._end()]

    def feed(self, data: bytes) -> Iterator[InferenceEvent]:
        for frame in self._splitter.split(data):
            payload = payload_of(frame)
            if payload == _DONE:
                yield from self.end()
            elif payload and not self._is_done:
                yield from self._event(parsed(payload))
        endless = self._splitter.endless()
        if endless is not None:
            raise endless

    def end(self) -> list[InferenceEvent]:
        if self._is_done or self._reason is None:
            return []
        self._is_done = True
        return [self._end()]

    def _event(self, value: dict[str, Any]) -> list[InferenceEvent]:
        require_good(value)
        self._told.add(value)
        events: list[InferenceEvent] = []
        for choice in _first(value.get("choices")):
            events += self._said(choice.get("delta"))
            self._finish(choice)
        return events

    def _said(self, said: object) -> list[InferenceEvent]:
        """Return the events of a message, or of a piece of one."""
        if not isinstance(said, dict):
            return []
        events: list[InferenceEvent] = []
        thought = said.get("reasoning_content") or said.get("reasoning")
        if isinstance(thought, str) and thought:
            events.append(ReasoningDelta(thought))
        events += _content(said.get("content"))
        events += _content(said.get("refusal"))
        for image in objects_in(said.get("images")):
            events += _image(image)
        for call in objects_in(said.get("tool_calls")):
            events += self._call(call)
        return events

    def _call(self, call: dict[str, Any]) -> list[InferenceEvent]:
        """Return the events of a piece of a call.

        Its id comes with the first piece. Some vendors give every call the index 0, some none.
        """
        function = call.get("function")
        if not isinstance(function, dict):
            return []
        given, theirs = call.get("id"), call.get("index")
        name, arguments = function.get("name"), function.get("arguments")
        at = theirs if type(theirs) is int else 0
        events: list[InferenceEvent] = []
        is_new = isinstance(given, str) and given != "" and given not in self._by_id
        if is_new or at not in self._by_index:
            index = len(self._by_id)
            known = given if isinstance(given, str) and given else f"call_{index}"
            self._by_id[known] = self._by_index[at] = index
            extra = call.get("extra_content")
            seal = Seal("openai", retold(extra).decode()) if extra else None
            events.append(ToolCallStart(index, known, str(name or ""), seal))
        index = self._by_id[given] if isinstance(given, str) and given else self._by_index[at]
        if isinstance(arguments, dict):
            arguments = retold(arguments).decode()
        if isinstance(arguments, str) and arguments:
            events.append(ToolCallDelta(index, arguments))
        return events

    def _finish(self, choice: dict[str, Any]) -> None:
        reason = choice.get("finish_reason")
        if reason == "error":
            said = "The upstream ended its answer with an error."
            raise blamed(said, choice.get("error"))
        if isinstance(reason, str) and reason:
            self._reason = _REASONS.get(reason, "stop")

    def _end(self) -> Finish:
        assert self._reason is not None
        reason = self._reason
        if reason == "stop" and self._by_id:
            reason = "tool_calls"
        return Finish(reason, self._told.report)


def _first(choices: object) -> Iterator[dict[str, Any]]:
    """Return the choice that was asked for, where there is one."""
    for choice in objects_in(choices):
        if not choice.get("index"):
            yield choice


def _content(content: object) -> list[InferenceEvent]:
    if isinstance(content, str):
        return [TextDelta(content)] if content else []
    events: list[InferenceEvent] = []
    for part in objects_in(content):
        if part.get("type") == "thinking":
            texts = [one.get("text") for one in objects_in(part.get("thinking"))]
            events += [ReasoningDelta(text) for text in texts if isinstance(text, str) and text]
        elif isinstance(part.get("text"), str):
            events.append(TextDelta(part["text"]))
    return events


def _image(image: dict[str, Any]) -> list[InferenceEvent]:
    inside = image.get("image_url")
    url = inside.get("url") if isinstance(inside, dict) else None
    if not isinstance(url, str):
        return []
    return [MediaMade(media_of(url))]


def media_of(url: str) -> Media:
    """Return a picture by its address, which may be a data URL (RFC 2397)."""
    head, comma, data = url.partition(";base64,")
    if comma and head.startswith("data:"):
        return Media("image", data=data, mime_type=head[5:])
    return Media("image", url=url)
