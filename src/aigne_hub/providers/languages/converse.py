"""AWS Bedrock's Converse: one format for the models of many makers.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, as AWS's own
description of the service has it (botocore 1.44.8, bedrock-runtime 2023-09-30), November 2026.
Which models take what it has a place for is told by
https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html.
What a model refuses that changes what is meant is sent all the same: its own words say why.
"""

from typing import Any

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import InferenceRequest, OutputFormat, Tool
from aigne_hub.providers.languages import (
    CUSTOM_PARAMETERS,
    Outgoing,
    has_to_be_called,
    offered,
    written,
)
from aigne_hub.providers.languages.converse_content import Turns
from aigne_hub.providers.languages.converse_models import additional
from aigne_hub.providers.languages.converse_reader import ConverseReader
from aigne_hub.providers.profiles import Profile
from aigne_hub.providers.usage import Wire

WHOLE, STREAM = "converse", "converse-stream"
_LOST = ("presence_penalty", "frequency_penalty", "seed", "end_user", "cache_key")
# The neutral form has OpenAI's words for tiers.
_TIERS = {"default": "default", "priority": "priority", "flex": "flex"}
TEMPERATURE_MAX = 1
_JSON_ONLY = "Answer with one JSON object and nothing else."
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}


def outgoing(request: InferenceRequest, _profile: Profile) -> Outgoing:
    """Return a request of Converse; the path names the model."""
    lost = [name for name in _LOST if getattr(request, name) is not None]
    turns = Turns(request, lost)
    if request.output_format is not None and request.output_format.schema is None:
        turns.system.append({"text": _JSON_ONLY})
        lost.append("output_format")
    body: dict[str, Any] = {"messages": turns.messages}
    if turns.system:
        body["system"] = turns.system
    inference = _inference(request, lost)
    if inference:
        body["inferenceConfig"] = inference
    tools = _tools(request, turns.called, lost)
    if tools:
        body["toolConfig"] = tools
    if request.output_format is not None and request.output_format.schema is not None:
        body["outputConfig"] = {"textFormat": _format(request.output_format)}
    fields = additional(request, inference, lost)
    if fields:
        body["additionalModelRequestFields"] = fields
    if request.service_tier is not None:
        tier = _TIERS.get(request.service_tier)
        if tier is not None:
            body["serviceTier"] = {"type": tier}
        elif request.service_tier != "auto":
            lost.append("service_tier")
    operation = STREAM if request.stream else WHOLE
    return Outgoing(operation, written(body), b"", tuple(dict.fromkeys(lost)))


def reader(_request: InferenceRequest, wire: Wire) -> ConverseReader:
    return ConverseReader(wire)


def _inference(request: InferenceRequest, lost: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if request.max_output_tokens is not None:
        said["maxTokens"] = request.max_output_tokens
    if request.temperature is not None:
        said["temperature"] = min(request.temperature, TEMPERATURE_MAX)
        if request.temperature > TEMPERATURE_MAX:
            lost.append("temperature")
    if request.top_p is not None:
        said["topP"] = request.top_p
    if request.stop:
        if not all(request.stop):
            raise InvalidRequest(
                "The provider of this model stops at nothing that is empty.", param="stop"
            )
        said["stopSequences"] = list(request.stop)
    return said


def _tools(request: InferenceRequest, called: tuple[str, ...], lost: list[str]) -> dict[str, Any]:
    """Return the tools and which to choose; `called` are the names that messages have calls of.

    There is no word for a choice of none: then none are offered. But a conversation with
    calls in it is refused without tools, so those have to stay.
    """
    _hosted(request, lost)
    choice = request.tool_choice
    tools = offered(request)
    if choice is not None and choice.mode == "none":
        if not called:
            return {}
        lost.append("tool_choice")
    if not tools and called:
        tools = tuple(Tool(name) for name in called)
        lost.append("tools")
    if not tools:
        return {}
    said: dict[str, Any] = {"tools": [_tool(tool, lost) for tool in tools]}
    # What is free to choose is so unsaid, which models take that take no choice at all.
    if choice is not None and choice.mode == "required":
        name = has_to_be_called(choice)
        said["toolChoice"] = {"any": {}} if name is None else {"tool": {"name": name}}
    if request.parallel_tool_calls is False:
        lost.append("parallel_tool_calls")
    return said


def _hosted(request: InferenceRequest, lost: list[str]) -> None:
    """Note that there is no web search, which some clients ask for in every call."""
    for hosted in request.hosted_tools:
        if hosted.kind != "web_search":
            raise InvalidRequest(
                f"The provider of this model has no tool {hosted.kind!r} that the hub could "
                "ask for.",
                param="tools",
            )
        lost.append("hosted_tools")


def _tool(tool: Tool, lost: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {"name": tool.name}
    if tool.description:
        said["description"] = tool.description
    parameters = CUSTOM_PARAMETERS if tool.is_custom else tool.parameters or {}
    said["inputSchema"] = {"json": {**_NO_PARAMETERS, **parameters}}
    if tool.strict:
        said["strict"] = True
    if tool.cache is not None:
        # Of the models that are reached by this wire none has tools in its cache.
        lost.append("cache")
    return {"toolSpec": said}


def _format(wanted: OutputFormat) -> dict[str, Any]:
    """Return the format of an answer, which this wire always keeps to; its schema is text."""
    schema = {"schema": written(wanted.schema).decode(), "name": wanted.name}
    if wanted.description is not None:
        schema["description"] = wanted.description
    return {"type": "json_schema", "structure": {"jsonSchema": schema}}
