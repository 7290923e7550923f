"""The half of Converse that no caller of the hub's speaks: what a provider reads and writes."""

import json
from collections.abc import Iterable
from typing import Any

from tests.contract import aws

from aigne_hub.domain.inference import (
    Finish,
    InferenceEvent,
    InferenceRequest,
    Media,
    Message,
    OutputFormat,
    Part,
    ReasoningDelta,
    ReasoningSeal,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
    ToolResult,
)
from aigne_hub.domain.usage import Usage

Json = dict[str, Any]
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


class ConverseForm:
    """gateway.dialects.NeutralForm for tests, of what stands in a plain request."""

    def __init__(self, model: str) -> None:
        self._model = model

    def request(self, body: bytes) -> InferenceRequest:
        value = json.loads(body)
        system = Message("system", tuple(Text(one["text"]) for one in value["system"]))
        inference = value["inferenceConfig"]
        schema = value["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
        config = value["toolConfig"]
        return InferenceRequest(
            model=self._model,
            messages=(system, *(_message(one) for one in value["messages"])),
            stream=True,
            max_output_tokens=inference["maxTokens"],
            temperature=inference["temperature"],
            top_p=inference["topP"],
            stop=tuple(inference["stopSequences"]),
            tools=tuple(_tool(one["toolSpec"]) for one in config["tools"]),
            tool_choice=ToolChoice("required", (config["toolChoice"]["tool"]["name"],)),
            output_format=OutputFormat(json.loads(schema["schema"]), schema["name"], strict=True),
            thinking=Thinking(value["additionalModelRequestFields"]["reasoning_effort"]),
        )

    def writer(self, _request: InferenceRequest, _answer_id: str, _created: int) -> "Writer":
        return Writer()


class Writer:
    """gateway.dialects.AnswerWriter: one block for all of a kind that follows on itself."""

    def __init__(self) -> None:
        self._index = -1
        self._kind: object = None

    def feed(self, events: Iterable[InferenceEvent]) -> bytes:
        return b"".join(aws.event(name, value) for one in events for name, value in self._said(one))

    def whole(self, events: Iterable[InferenceEvent]) -> bytes:
        content: list[Json] = []
        answer: Json = {}
        for one in events:
            match one:
                case ReasoningDelta(text):
                    content.append({"reasoningContent": {"reasoningText": {"text": text}}})
                case TextDelta(text):
                    content.append({"text": text})
                case ToolCallStart():
                    use = {"toolUseId": one.id, "name": one.name, "input": ""}
                    content.append({"toolUse": use})
                case ToolCallDelta(_, arguments):
                    content[-1]["toolUse"]["input"] += arguments
                case Finish():
                    answer = {"stopReason": _REASONS[one.reason], **_metadata(one)}
        for block in content:
            if "toolUse" in block:
                block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
        message = {"role": "assistant", "content": content}
        return json.dumps({"output": {"message": message}, **answer}).encode()

    def _said(self, one: InferenceEvent) -> list[tuple[str, Json]]:
        match one:
            case TextDelta(text):
                return self._delta("text", {"text": text})
            case ReasoningDelta(text):
                return self._delta("reasoning", {"reasoningContent": {"text": text}})
            case ReasoningSeal(seal):
                said = {"reasoningContent": {"signature": seal.value}}
                return self._delta("reasoning", said)
            case ToolCallStart():
                ended = self._end()
                self._index, self._kind = self._index + 1, one.index
                start = {"toolUse": {"toolUseId": one.id, "name": one.name}}
                return [*ended, ("contentBlockStart", self._block(start=start))]
            case ToolCallDelta(index, arguments):
                return self._delta(index, {"toolUse": {"input": arguments}})
            case Finish():
                reason = ("messageStop", {"stopReason": _REASONS[one.reason]})
                return [*self._end(), reason, ("metadata", _metadata(one))]
        raise AssertionError(one)

    def _delta(self, kind: object, delta: Json) -> list[tuple[str, Json]]:
        ended = []
        if kind != self._kind:
            ended = self._end()
            self._index, self._kind = self._index + 1, kind
        return [*ended, ("contentBlockDelta", self._block(delta=delta))]

    def _end(self) -> list[tuple[str, Json]]:
        return [] if self._kind is None else [("contentBlockStop", self._block())]

    def _block(self, **more: Json) -> Json:
        return {"contentBlockIndex": self._index, **more}


def _metadata(finish: Finish) -> Json:
    usage = finish.report.usage or Usage()
    said = {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "cacheReadInputTokens": usage.cache_read_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens + usage.cache_read_tokens,
    }
    return {"usage": said, "metrics": {"latencyMs": 5}}


def _message(value: Json) -> Message:
    return Message(value["role"], tuple(_part(block) for block in value["content"]))


def _part(block: Json) -> Part:
    ((kind, said),) = block.items()
    match kind:
        case "text":
            return Text(said)
        case "image":
            mime = f"image/{said['format']}"
            return Media("image", data=said["source"]["bytes"], mime_type=mime)
        case "toolUse":
            arguments = json.dumps(said["input"], separators=(",", ":"))
            return ToolCall(said["toolUseId"], said["name"], arguments)
        case "toolResult":
            texts = tuple(Text(one["text"]) for one in said["content"])
            return ToolResult(said["toolUseId"], texts)
    raise AssertionError(kind)


def _tool(spec: Json) -> Tool:
    return Tool(spec["name"], spec["description"], spec["inputSchema"]["json"])
