"""Anthropic Messages requests in the neutral form.

https://platform.claude.com/docs/en/api/messages, checked against the vendor's own SDK 2.14 of
November 2026. docs/translation.md says what is carried, refused and noted.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import orjson

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    CacheMark,
    Effort,
    InferenceRequest,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Role,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
)
from aigne_hub.domain.quotes import count_text, size_of
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.anthropic.content import Content, cache_of
from aigne_hub.gateway.dialects.anthropic.tools import hosted_tools, is_closed, tools_of
from aigne_hub.gateway.dialects.anthropic.writer import MessageWriter, usage_object
from aigne_hub.gateway.dialects.members import (
    a_text,
    an_object,
    maybe_count,
    maybe_flag,
    maybe_number,
    maybe_text,
    objects,
    texts,
    whole_object,
)

_EFFORTS = frozenset(get_args(Effort))
# What only Anthropic keeps or reaches, and where the call would be computed: leaving these out
# would change what is answered, or break a promise.
_REFUSED = {
    "container": "containers are kept at Anthropic",
    "mcp_servers": "Anthropic itself would call these servers",
    "inference_geo": "nothing else promises where a call is computed",
}
_ANYWHERE = frozenset({"global", "not_available"})
_READ = {
    *("model", "messages", "system", "stream", "max_tokens", "temperature", "top_p", "top_k"),
    *("stop_sequences", "tools", "tool_choice", "thinking", "output_config", "output_format"),
    *("metadata", "service_tier", "cache_control", "container", "mcp_servers", "inference_geo"),
}
_MODES: dict[str, ToolChoice] = {
    "auto": ToolChoice("auto"),
    "any": ToolChoice("required"),
    "none": ToolChoice("none"),
}
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
# The neutral form has OpenAI's words for tiers.
_TIERS = {"auto": "auto", "standard_only": "default"}


class MessagesForm:
    """dialects.NeutralForm for Messages."""

    def request(self, body: bytes) -> InferenceRequest:
        value = whole_object(body)
        _require_carried(value)
        lost = [name for name, given in value.items() if name not in _READ and given is not None]
        offered = objects(value.get("tools"), "tools")
        tools = tools_of(offered, lost)
        choice = value.get("tool_choice")
        config = an_object(value.get("output_config") or {}, "output_config")
        lost += [f"output_config.{one}" for one in config if one not in {"effort", "format"}]
        metadata = an_object(value.get("metadata") or {}, "metadata")
        return InferenceRequest(
            model=a_text(value.get("model"), "model"),
            messages=_messages(value, lost),
            stream=bool(value.get("stream")),
            max_output_tokens=maybe_count(value.get("max_tokens"), "max_tokens"),
            temperature=maybe_number(value.get("temperature"), "temperature"),
            top_p=maybe_number(value.get("top_p"), "top_p"),
            top_k=maybe_count(value.get("top_k"), "top_k"),
            stop=texts(value.get("stop_sequences"), "stop_sequences"),
            tools=tools,
            hosted_tools=hosted_tools(offered),
            tool_choice=_choice(choice, tools, lost),
            parallel_tool_calls=_parallel(choice),
            output_format=_format(config, value.get("output_format")),
            thinking=_thinking(value.get("thinking"), config),
            end_user=maybe_text(metadata.get("user_id"), "metadata.user_id"),
            service_tier=_tier(value.get("service_tier")),
            not_carried=tuple(dict.fromkeys(lost)),
        )

    def telling(self, body: bytes, usage: Usage) -> bytes:
        return orjson.dumps({**orjson.loads(body), "usage": usage_object(usage)})

    def writer(self, request: InferenceRequest, answer_id: str, _created: int) -> MessageWriter:
        thinking = request.thinking
        is_shown = thinking is not None and thinking.is_shown and thinking.effort != "none"
        return MessageWriter(request.model, f"msg_{answer_id}", shows_thoughts=is_shown)


class CountForm(MessagesForm):
    """dialects.Estimating for count_tokens: no other format counts, so that the hub estimates."""

    def estimate(self, body: bytes) -> bytes:
        """Return the answer: text at the hub's measure, four bytes a token, without media."""
        tokens = count_text(size_of(body).text_bytes)
        return orjson.dumps({"input_tokens": tokens, "is_estimate": True})


def _require_carried(value: dict[str, Any]) -> None:
    for name, reason in _REFUSED.items():
        given = value.get(name)
        if given in (None, [], {}) or (isinstance(given, str) and given in _ANYWHERE):
            continue
        raise InvalidRequest(
            f"`{name}`: the provider of this model speaks another format, and {reason}. "
            "Leave it out, or use a model of Anthropic's.",
            param=name,
        )


def _messages(value: dict[str, Any], lost: list[str]) -> tuple[Message, ...]:
    content = Content(lost)
    said: list[Message] = []
    system = tuple(content.parts(value.get("system"), "system"))
    if system:
        said.append(Message("system", system))
    for index, item in enumerate(objects(value.get("messages"), "messages")):
        path = f"messages[{index}]"
        role = _ROLES.get(maybe_text(item.get("role"), f"{path}.role") or "")
        if role is None:
            raise InvalidRequest(
                f"`{path}.role` is none of Anthropic's roles.", param=f"{path}.role"
            )
        said.append(Message(role, _in_order(content.parts(item.get("content"), f"{path}.content"))))
    mark = cache_of(value)
    if mark is not None and said:
        said[-1] = _marked(said[-1], mark)
    return tuple(said)


def _in_order(parts: Iterator[Part]) -> tuple[Part, ...]:
    """Return parts with the results of tools before what else a message says."""
    return tuple(sorted(parts, key=lambda part: not isinstance(part, ToolResult)))


def _marked(message: Message, mark: CacheMark) -> Message:
    """Return a message whose last part that can have a mark has it."""
    parts = list(message.content)
    for index in reversed(range(len(parts))):
        part = parts[index]
        if not isinstance(part, Reasoning):
            parts[index] = replace(part, cache=mark)
            break
    return Message(message.role, tuple(parts))


def _choice(given: object, tools: tuple[Tool, ...], lost: list[str]) -> ToolChoice | None:
    """Return the choice; nobody else can be told to use a tool of the provider's own."""
    if given is None:
        return None
    value = an_object(given, "tool_choice")
    kind = value.get("type")
    if kind == "tool":
        name = a_text(value.get("name"), "tool_choice.name")
        if any(tool.name == name for tool in tools):
            return ToolChoice("required", (name,))
        lost.append("tool_choice")
        return None
    known = _MODES.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise InvalidRequest(f"`tool_choice.type` {kind!r} is not known.", param="tool_choice.type")
    return known


def _parallel(given: object) -> bool | None:
    if not isinstance(given, dict):
        return None
    one = maybe_flag(
        given.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use"
    )
    return None if one is None else not one


def _thinking(given: object, config: dict[str, Any]) -> Thinking | None:
    """Return how much may be thought: effort alone bounds thoughts without showing them."""
    said = maybe_text(config.get("effort"), "output_config.effort")
    if said is not None and said not in _EFFORTS:
        raise InvalidRequest(
            f"`output_config.effort` {said!r} is not known.", param="output_config.effort"
        )
    effort: Effort | None = said  # type: ignore[assignment] # just looked
    if given is None:
        return None if effort is None else Thinking(effort, is_shown=False)
    value = an_object(given, "thinking")
    kind = maybe_text(value.get("type"), "thinking.type")
    is_shown = value.get("display") != "omitted"
    if kind == "disabled":
        return Thinking("none", is_shown=False)
    if kind == "enabled":
        budget = maybe_count(value.get("budget_tokens"), "thinking.budget_tokens")
        return Thinking(effort, budget, is_shown)
    if kind in {"adaptive", "between_tools"}:
        return Thinking(effort, None, is_shown)
    raise InvalidRequest(f"`thinking.type` {kind!r} is not known.", param="thinking.type")


def _format(config: dict[str, Any], older: object) -> OutputFormat | None:
    """Return the schema of an answer: in `output_config.format`, before 2026 `output_format`."""
    given, path = config.get("format"), "output_config.format"
    if given is None:
        given, path = older, "output_format"
    if given is None:
        return None
    value = an_object(given, path)
    if value.get("type") != "json_schema":
        raise InvalidRequest(
            f"`{path}.type` {value.get('type')!r} is not known.", param=f"{path}.type"
        )
    schema = an_object(value.get("schema"), f"{path}.schema")
    return OutputFormat(schema, strict=True if is_closed(schema) else None)


def _tier(given: object) -> str | None:
    said = maybe_text(given, "service_tier")
    return None if said is None else _TIERS.get(said, said)
