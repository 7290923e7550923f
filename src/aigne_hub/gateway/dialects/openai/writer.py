"""Neutral events as an OpenAI chat completion, streamed or whole.

Thoughts are written as `reasoning_content`, like DeepSeek's and vLLM's; what must come back
with the next turn as `reasoning_details`, like OpenRouter's, and the signature of a call in
`extra_content`, like Google's OpenAI format.
"""

from collections.abc import Iterable
from typing import Any

from aigne_hub.domain.inference import (
    Finish,
    FinishReason,
    InferenceEvent,
    Media,
    MediaMade,
    ReasoningDelta,
    ReasoningSeal,
    Seal,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)
from aigne_hub.domain.usage import Usage
from aigne_hub.providers.languages import retold
from aigne_hub.providers.profiles import GEMINI_LANGUAGE, OPENAI_LANGUAGE

_REASONS: dict[FinishReason, str] = {"stop_sequence": "stop"}
_DONE = b"data: [DONE]\n\n"


class ChatWriter:
    """dialects.AnswerWriter for chat completions. Usage is always written."""

    def __init__(self, model: str, answer_id: str, created: int) -> None:
        self._head = {"id": answer_id, "created": created, "model": model}
        self._has_begun = False
        self._thought: list[str] = []

    def feed(self, events: Iterable[InferenceEvent]) -> bytes:
        frames = [] if self._has_begun else [self._frame({"role": "assistant", "content": ""})]
        self._has_begun = True
        for event in events:
            if isinstance(event, Finish):
                frames.append(self._frame({}, finish_reason=_reason(event)))
                usage = event.report.usage
                if usage is not None:
                    chunk = {"object": "chat.completion.chunk", "choices": []}
                    frames.append(_data({**self._head, **chunk, "usage": usage_object(usage)}))
                frames.append(_DONE)
            else:
                frames.append(self._frame(self._delta(event)))
        return b"".join(frames)

    def whole(self, events: Iterable[InferenceEvent]) -> bytes:
        message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
        calls: dict[int, dict[str, Any]] = {}
        value: dict[str, Any] = {**self._head, "object": "chat.completion", "choices": []}
        for event in events:
            match event:
                case Finish():
                    choice = {"index": 0, "message": message, "logprobs": None}
                    value["choices"] = [{**choice, "finish_reason": _reason(event)}]
                    if event.report.usage is not None:
                        value["usage"] = usage_object(event.report.usage)
                case ToolCallStart():
                    calls[event.index] = _call(event)
                case ToolCallDelta(index, arguments):
                    calls[index]["function"]["arguments"] += arguments
                case _:
                    _add(message, self._delta(event))
        if calls:
            message["tool_calls"] = [calls[index] for index in sorted(calls)]
        return retold(value)

    def _delta(self, event: InferenceEvent) -> dict[str, Any]:
        match event:
            case TextDelta(text):
                return {"content": text}
            case ReasoningDelta(text):
                self._thought.append(text)
                return {"reasoning_content": text}
            case ReasoningSeal(seal, is_redacted):
                return {"reasoning_details": [self._detail(seal, is_redacted=is_redacted)]}
            case ToolCallStart():
                return {"tool_calls": [{"index": event.index, **_call(event)}]}
            case ToolCallDelta(index, arguments):
                return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}
            case MediaMade(media):
                url = _url(media)
                return {"images": [{"type": "image_url", "image_url": {"url": url}}]}
        raise AssertionError(event)

    def _detail(self, seal: Seal, *, is_redacted: bool) -> dict[str, Any]:
        """Return a block of thoughts whole, as it has to come back."""
        said = seal.text_in(OPENAI_LANGUAGE)
        if is_redacted:
            return {"type": "reasoning.encrypted", "data": said}
        text = "".join(self._thought)
        self._thought.clear()
        return {"type": "reasoning.text", "text": text, "signature": said}

    def _frame(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _data({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


def usage_object(usage: Usage) -> dict[str, Any]:
    """Return usage in OpenAI's words, whose prompt includes what caches gave and took."""
    prompt = usage.context_tokens
    details = {"cached_tokens": usage.cache_read_tokens, "audio_tokens": usage.audio_input_tokens}
    if usage.cache_write_tokens:
        details["cache_write_tokens"] = usage.cache_write_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": details,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
        },
    }


def _reason(event: Finish) -> str:
    return _REASONS.get(event.reason, event.reason)


def _call(event: ToolCallStart) -> dict[str, Any]:
    call: dict[str, Any] = {
        "id": event.id,
        "type": "function",
        "function": {"name": event.name, "arguments": ""},
    }
    if event.seal is not None:
        signature = event.seal.text_in(GEMINI_LANGUAGE)
        call["extra_content"] = {"google": {"thought_signature": signature}}
    return call


def _url(media: Media) -> str:
    return media.url or f"data:{media.mime_type};base64,{media.data}"


def _add(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Append what a delta says to the message."""
    for name, value in delta.items():
        message[name] = value if message.get(name) is None else message[name] + value


def _data(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % retold(value)
