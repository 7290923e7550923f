"""The tools of an OpenAI Responses request in the neutral form, wherever it names them.

Some stand in the input: those of `additional_tools`, and those that a search of the caller's
own found (`tool_search` with the execution `client`). Other models are told of all at once.
https://platform.openai.com/docs/api-reference/responses, checked against the published OpenAPI
description of August 2026.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import HostedTool, Text, Tool, ToolCall, ToolChoice, ToolResult
from aigne_hub.gateway.dialects.members import (
    a_text,
    an_object,
    maybe_flag,
    maybe_text,
    objects,
)
from aigne_hub.gateway.dialects.responses.items import NAMESPACE_END, SEARCH

_WEB_SEARCH = ("web_search", "web_search_preview")
# Items of the input that name tools; the first is none of the conversation's.
ADDITIONAL_TOOLS = "additional_tools"
_FOUND_TOOLS = f"{SEARCH}_output"


def tools_of(value: dict[str, Any]) -> tuple[Tool | HostedTool, ...]:
    """Return every tool that a request names, once. Raises InvalidRequest."""
    offered: dict[str, Tool | HostedTool] = {}
    for given, path in _lists(value):
        for tool in _tools(given, path):
            offered.setdefault(tool.name if isinstance(tool, Tool) else f" {tool.kind}", tool)
    return tuple(offered.values())


def is_search_of_ours(tool: dict[str, Any]) -> bool:
    """Tell of a search for tools that OpenAI would run: all tools are told instead."""
    return tool.get("type") == SEARCH and tool.get("execution") != "client"


def search_call(item: dict[str, Any], path: str) -> ToolCall:
    arguments = an_object(item.get("arguments"), f"{path}.arguments")
    return ToolCall(
        a_text(item.get("call_id"), f"{path}.call_id"), SEARCH, orjson.dumps(arguments).decode()
    )


def search_result(item: dict[str, Any], path: str) -> ToolResult:
    found = [
        tool.name
        for tool in _tools(objects(item.get("tools"), f"{path}.tools"), f"{path}.tools")
        if isinstance(tool, Tool)
    ]
    said = f"These tools can be called now: {', '.join(found)}." if found else "Nothing was found."
    return ToolResult(a_text(item.get("call_id"), f"{path}.call_id"), (Text(said),))


def _lists(value: dict[str, Any]) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Yield the lists of tools of a request, with where they stand."""
    yield objects(value.get("tools"), "tools"), "tools"
    if isinstance(value.get("input"), str):
        return
    for index, item in enumerate(objects(value.get("input"), "input")):
        if item.get("type") in (ADDITIONAL_TOOLS, _FOUND_TOOLS):
            path = f"input[{index}].tools"
            yield objects(item.get("tools"), path), path


def _tools(given: list[dict[str, Any]], where: str) -> Iterator[Tool | HostedTool]:
    for index, tool in enumerate(given):
        path = f"{where}[{index}]"
        kind = maybe_text(tool.get("type"), f"{path}.type")
        if kind in {"function", "custom"}:
            yield _tool(tool, path, None)
        elif kind == "namespace":
            namespace = a_text(tool.get("name"), f"{path}.name")
            within = objects(tool.get("tools"), f"{path}.tools")
            for number, member in enumerate(within):
                yield _tool(member, f"{path}.tools[{number}]", namespace)
        elif kind == SEARCH and tool.get("execution") == "client":
            yield _search(tool, path)
        elif isinstance(kind, str) and kind.startswith(_WEB_SEARCH):
            yield HostedTool("web_search")
        elif not is_search_of_ours(tool):
            raise InvalidRequest(
                f"`{path}.type`: tools of type {kind!r} are run by OpenAI and cannot be "
                "translated for this model's provider.",
                param=f"{path}.type",
            )


def _tool(tool: dict[str, Any], path: str, namespace: str | None) -> Tool:
    name = full_name(namespace, a_text(tool.get("name"), f"{path}.name"))
    if tool.get("type") == "custom":
        described = _custom_description(tool, path)
        return Tool(name, described, is_custom=True, namespace=namespace)
    parameters = tool.get("parameters")
    return Tool(
        name,
        maybe_text(tool.get("description"), f"{path}.description"),
        None if parameters is None else an_object(parameters, f"{path}.parameters"),
        maybe_flag(tool.get("strict"), f"{path}.strict"),
        namespace=namespace,
    )


def _search(tool: dict[str, Any], path: str) -> Tool:
    """Return a caller's own search for tools, which has no name but its type."""
    parameters = tool.get("parameters")
    return Tool(
        SEARCH,
        maybe_text(tool.get("description"), f"{path}.description"),
        None if parameters is None else an_object(parameters, f"{path}.parameters"),
        is_search=True,
    )


def full_name(namespace: str | None, name: str) -> str:
    return name if namespace is None else f"{namespace}{NAMESPACE_END}{name}"


def _custom_description(tool: dict[str, Any], path: str) -> str | None:
    """Return what a tool does, with the grammar that its input must keep to."""
    said = maybe_text(tool.get("description"), f"{path}.description")
    form = tool.get("format")
    if not isinstance(form, dict) or form.get("type") != "grammar":
        return said
    grammar = a_text(form.get("definition"), f"{path}.format.definition")
    rule = f"The input must keep to this {form.get('syntax', 'lark')} grammar:\n{grammar}"
    return f"{said}\n\n{rule}" if said else rule


def choice_of(choice: object) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(choice)
    value = an_object(choice, "tool_choice")
    kind = maybe_text(value.get("type"), "tool_choice.type")
    if kind == "allowed_tools":
        allowed = objects(value.get("tools"), "tool_choice.tools")
        names = tuple(a_text(one.get("name"), "tool_choice.tools.name") for one in allowed)
        return ToolChoice("required" if value.get("mode") == "required" else "auto", names)
    if kind not in {"function", "custom"}:
        raise InvalidRequest(
            f"`tool_choice`: a tool of type {kind!r} is run by OpenAI.", param="tool_choice"
        )
    return ToolChoice("required", (a_text(value.get("name"), "tool_choice.name"),))
