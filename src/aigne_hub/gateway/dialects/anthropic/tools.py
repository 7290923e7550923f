"""The tools of an Anthropic request: the caller's own, and those that Anthropic runs."""

from typing import Any

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import HostedTool, Tool
from aigne_hub.gateway.dialects.anthropic.content import cache_of
from aigne_hub.gateway.dialects.gemini.schema import DEPTH_MAX
from aigne_hub.gateway.dialects.members import a_text, an_object, maybe_flag, maybe_text

# Tools that the provider runs, by the beginning of their dated types.
_HOSTED = {
    "web_search_": "web_search",
    "web_fetch_": "web_fetch",
    "code_execution_": "code_execution",
}
# Looks for tools that were not told at once; another provider is told all of them.
_SEARCHING = "tool_search_tool_"
_READ = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})


def tools_of(given: list[dict[str, Any]], lost: list[str]) -> tuple[Tool, ...]:
    """Return the functions of the caller's. Raises InvalidRequest for tools made for Claude."""
    found = []
    for index, tool in enumerate(given):
        kind = maybe_text(tool.get("type"), f"tools[{index}].type")
        if kind in {None, "custom"}:
            found.append(_function(tool, f"tools[{index}]", lost))
            lost += [f"tools.{name}" for name, value in tool.items() if name not in _READ and value]
        elif kind.startswith(_SEARCHING):
            lost.append("tools.tool_search")
        elif _hosted(kind) is None:
            raise InvalidRequest(
                f"`tools[{index}].type`: only Claude knows tools of type {kind!r}; the provider "
                "of this model speaks another format. Describe it with `input_schema`.",
                param=f"tools[{index}].type",
            )
    return tuple(found)


def hosted_tools(given: list[dict[str, Any]]) -> tuple[HostedTool, ...]:
    """Return the tools that a provider would run."""
    kinds = (_hosted(tool.get("type")) for tool in given)
    return tuple(HostedTool(kind) for kind in dict.fromkeys(kinds) if kind is not None)


def _hosted(kind: object) -> str | None:
    if not isinstance(kind, str):
        return None
    return next((name for start, name in _HOSTED.items() if kind.startswith(start)), None)


def _function(tool: dict[str, Any], path: str, lost: list[str]) -> Tool:
    schema = an_object(tool.get("input_schema"), f"{path}.input_schema")
    strict = maybe_flag(tool.get("strict"), f"{path}.strict")
    if strict and not is_closed(schema):
        lost.append("tools.strict")
        strict = None
    return Tool(
        name=a_text(tool.get("name"), f"{path}.name"),
        description=maybe_text(tool.get("description"), f"{path}.description"),
        parameters=schema,
        strict=strict,
        cache=cache_of(tool),
    )


def is_closed(schema: object, depth: int = 0) -> bool:
    """Tell whether every object names all its members as required and has no others.

    Anthropic holds a model to any schema; others only to such.
    """
    if depth > DEPTH_MAX:
        return False
    if isinstance(schema, list):
        return all(is_closed(one, depth + 1) for one in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = schema.get("required") or []
        names_all = isinstance(required, list) and all(name in required for name in properties)
        if not names_all or schema.get("additionalProperties") is not False:
            return False
    return all(is_closed(one, depth + 1) for one in schema.values())
