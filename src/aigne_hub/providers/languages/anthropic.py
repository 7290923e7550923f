"""Anthropic Messages, as Anthropic and those that speak its format answer it.

https://platform.claude.com/docs/en/api/messages, checked against the vendor's own SDK 2.14 of
November 2026. What generations of models accept is in `claude`.
"""

from collections.abc import Iterator
from typing import Any

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    Effort,
    InferenceRequest,
    OutputFormat,
    Reasoning,
    Tool,
    ToolResult,
)
from aigne_hub.providers.languages import (
    CUSTOM_PARAMETERS,
    Outgoing,
    has_to_be_called,
    offered,
    written,
)
from aigne_hub.providers.languages.anthropic_content import Turns, mark_of
from aigne_hub.providers.languages.anthropic_reader import MessageReader
from aigne_hub.providers.languages.claude import Generation, generation_of
from aigne_hub.providers.languages.efforts import effort_of
from aigne_hub.providers.profiles import ANTHROPIC, ANTHROPIC_LANGUAGE, Profile
from aigne_hub.providers.usage import Wire

# What is asked for where neither the caller nor the catalogue has a limit: the wire demands one.
OUTPUT_DEFAULT = 4_096
# Nor more than this unasked: of every generation since Claude 3.7 a model answers so much,
# while more is refused by some without a header of their own.
OUTPUT_UNASKED_MAX = 32_000
BUDGET_MIN = 1_024
# As many searches as the hub holds credit for.
SEARCHES_MAX = 10
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": SEARCHES_MAX}
# Where Claude is without it; Codex asks for searches in every call.
_SEARCHLESS = frozenset({"bedrock"})
USER_MAX = 256
# As deep as what can be written with it.
SCHEMA_DEPTH_MAX = 200
_BUDGETS: dict[Effort, int] = {
    "minimal": BUDGET_MIN,
    "low": 4_096,
    "medium": 16_384,
    "high": 32_768,
    "xhigh": 65_536,
    "max": 131_072,
}
_LOST = ("presence_penalty", "frequency_penalty", "seed", "cache_key")
# The neutral form has OpenAI's words for tiers.
_TIERS = {"auto": "auto", "default": "standard_only"}
_UNNAMED = OutputFormat().name
_JSON_ONLY = "Answer with one JSON object and nothing else."


def outgoing(request: InferenceRequest, profile: Profile) -> Outgoing:
    """Return a Messages request; the limit asked for is never more than what was held."""
    lost = [name for name in _LOST if getattr(request, name) is not None]
    if request.cache_key is not None and profile.kind == ANTHROPIC.kind:
        lost.remove("cache_key")
    generation = generation_of(request.model)
    turns = Turns(request, lost)
    limit = request.max_output_tokens
    if limit is None:
        limit = min(request.output_max or OUTPUT_DEFAULT, OUTPUT_UNASKED_MAX)
    body: dict[str, Any] = {"model": request.model, "max_tokens": limit}
    if request.stream:
        body["stream"] = True
    if turns.system:
        body["system"] = turns.system
    body["messages"] = turns.messages
    body |= _tools(request, profile, generation, lost)
    body |= _output(request, body, lost)
    body |= _thinking(request, generation, limit, body, lost)
    body |= _sampling(request, generation, body, lost)
    body |= _stop(request)
    body |= _labels(request, lost)
    if _is_cached_by_itself(request, profile, turns):
        body["cache_control"] = {"type": "ephemeral"}
    return Outgoing("messages", written(body), b"", tuple(dict.fromkeys(lost)))


def reader(_request: InferenceRequest, wire: Wire) -> MessageReader:
    return MessageReader(wire)


def _is_cached_by_itself(request: InferenceRequest, profile: Profile, turns: Turns) -> bool:
    """Tell whether the end of the prompt gets a mark of its own, for a caller who sets none.

    What is written to a cache costs more than what is read afresh, so only where it will
    likely be read again: a conversation that goes on, or a caller who names a cache.
    """
    if profile.kind != ANTHROPIC.kind or turns.marks or any(tool.cache for tool in request.tools):
        return False
    answered = any(message.role == "assistant" for message in request.messages)
    return answered or request.cache_key is not None


def _tools(
    request: InferenceRequest, profile: Profile, generation: Generation, lost: list[str]
) -> dict[str, Any]:
    choice = request.tool_choice
    tools = [_tool(tool, generation, lost) for tool in offered(request)]
    tools += _hosted(request, profile, lost)
    if not tools:
        return {}
    said: dict[str, Any] = {"tools": tools}
    wanted: dict[str, Any] | None = None
    if choice is not None:
        wanted = {"type": {"required": "any"}.get(choice.mode, choice.mode)}
        name = has_to_be_called(choice)
        if name is not None:
            wanted = {"type": "tool", "name": name}
    if request.parallel_tool_calls is False:
        wanted = wanted or {"type": "auto"}
        if wanted["type"] != "none":
            wanted["disable_parallel_tool_use"] = True
    if wanted is not None:
        said["tool_choice"] = wanted
    return said


def _hosted(
    request: InferenceRequest, profile: Profile, lost: list[str]
) -> Iterator[dict[str, Any]]:
    """Return the tools that the provider runs itself. Raises InvalidRequest for others."""
    for hosted in request.hosted_tools:
        if hosted.kind != "web_search":
            raise InvalidRequest(
                f"The provider of this model has no tool {hosted.kind!r} that the hub could "
                "ask for.",
                param="tools",
            )
        if profile.kind in _SEARCHLESS:
            lost.append("hosted_tools")
        else:
            yield SEARCH


def _tool(tool: Tool, generation: Generation, lost: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        said["description"] = tool.description
    parameters = CUSTOM_PARAMETERS if tool.is_custom else tool.parameters or {}
    said["input_schema"] = {"type": "object", **parameters}
    if tool.strict and generation.is_strict:
        said["strict"] = True
    elif tool.strict:
        lost.append("strict")
    if tool.cache is not None:
        said["cache_control"] = mark_of(tool.cache)
    return said


def _output(request: InferenceRequest, body: dict[str, Any], lost: list[str]) -> dict[str, Any]:
    wanted = request.output_format
    if wanted is None:
        return {}
    if wanted.schema is None:
        lost.append("output_format")
        system = body.get("system", [])
        return {"system": [*system, {"type": "text", "text": _JSON_ONLY}]}
    return {"output_config": {"format": {"type": "json_schema", "schema": _schema(wanted)}}}


def _schema(wanted: OutputFormat) -> dict[str, Any]:
    """Return the schema with name and description in it, and its objects closed, as is demanded."""
    schema = _closed(wanted.schema)
    assert isinstance(schema, dict)
    if wanted.name != _UNNAMED and "title" not in schema:
        schema["title"] = wanted.name
    if wanted.description is not None and "description" not in schema:
        schema["description"] = wanted.description
    return schema


def _closed(schema: object, depth: int = 0) -> object:
    if depth > SCHEMA_DEPTH_MAX:
        raise InvalidRequest("The schema of the answer is nested too deeply.")
    if isinstance(schema, list):
        return [_closed(one, depth + 1) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value, depth + 1) for name, value in schema.items()}
    if closed.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def _thinking(
    request: InferenceRequest,
    generation: Generation,
    limit: int,
    body: dict[str, Any],
    lost: list[str],
) -> dict[str, Any]:
    """Return how much is thought, by effort where the model decides itself, else by budget."""
    wanted = request.thinking
    if wanted is None:
        return {}
    if wanted.effort == "none":
        is_known = generation.version is not None and generation.thinks
        return {"thinking": {"type": "disabled"}} if is_known else {}
    forced = body.get("tool_choice", {}).get("type") in {"any", "tool"}
    display = {} if wanted.is_shown else {"display": "omitted"}
    if not generation.thinks or forced:
        lost.append("thinking")
        return {}
    if generation.is_adaptive:
        said: dict[str, Any] = {"thinking": {"type": "adaptive", **display}}
        effort = effort_of(wanted)
        if effort is not None:
            config = body.get("output_config", {})
            said["output_config"] = {**config, "effort": generation.effort(effort)}
        return said
    budget = wanted.budget_tokens
    if budget is None:
        budget = min(_BUDGETS.get(wanted.effort or "medium", 0), limit // 2)
    budget = min(budget, limit - 1)
    if budget < BUDGET_MIN or _goes_on_without_thoughts(request):
        lost.append("thinking")
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget, **display}}


def _goes_on_without_thoughts(request: InferenceRequest) -> bool:
    """Tell whether tools answer a turn that has no thoughts of this wire.

    With a budget such a turn has to begin with them.
    """
    messages = request.messages
    if not any(isinstance(part, ToolResult) for part in messages[-1].content):
        return False
    asked = next((one for one in reversed(messages) if one.role == "assistant"), None)
    first = asked.content[0] if asked is not None and asked.content else None
    return not (
        isinstance(first, Reasoning)
        and first.seal is not None
        and first.seal.origin == ANTHROPIC_LANGUAGE
    )


def _sampling(
    request: InferenceRequest, generation: Generation, body: dict[str, Any], lost: list[str]
) -> dict[str, Any]:
    """Return how the model samples: newer ones are not told, nor is one that thinks.

    A temperature or top_p of 1 is what every model does untold.
    """
    given = {"temperature": request.temperature, "top_p": request.top_p}
    said = {name: value for name, value in given.items() if value not in {None, 1}}
    if request.top_k is not None:
        said["top_k"] = request.top_k
    thinks = body.get("thinking", {}).get("type") in {"enabled", "adaptive"}
    if thinks or not generation.is_sampled:
        lost += said
        return {}
    if generation.takes_either and "temperature" in said and "top_p" in said:
        del said["top_p"]
        lost.append("top_p")
    if (said.get("temperature") or 0) > 1:
        said["temperature"] = 1
        lost.append("temperature")
    return said


def _stop(request: InferenceRequest) -> dict[str, Any]:
    if not request.stop:
        return {}
    if any(not words.strip() for words in request.stop):
        raise InvalidRequest(
            "The provider of this model stops at nothing that is mere white space.", param="stop"
        )
    return {"stop_sequences": list(request.stop)}


def _labels(request: InferenceRequest, lost: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if request.end_user is not None:
        if len(request.end_user) <= USER_MAX:
            said["metadata"] = {"user_id": request.end_user}
        else:
            lost.append("end_user")
    if request.service_tier is not None:
        tier = _TIERS.get(request.service_tier)
        if tier is None:
            lost.append("service_tier")
        else:
            said["service_tier"] = tier
    return said
