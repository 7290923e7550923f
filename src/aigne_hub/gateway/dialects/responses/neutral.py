"""OpenAI Responses requests in the neutral form.

https://platform.openai.com/docs/api-reference/responses, checked against the published OpenAPI
description of August 2026.
"""

from collections.abc import Iterator
from typing import Any, get_args

from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.inference import (
    Effort,
    HostedTool,
    InferenceRequest,
    Media,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    seal_of,
)
from aigne_hub.gateway.dialects.call_seals import gathered
from aigne_hub.gateway.dialects.members import (
    a_text,
    an_object,
    maybe_count,
    maybe_flag,
    maybe_number,
    maybe_text,
    objects,
    whole_object,
)
from aigne_hub.gateway.dialects.responses.tools import (
    ADDITIONAL_TOOLS,
    choice_of,
    full_name,
    is_search_of_ours,
    search_call,
    search_result,
    tools_of,
)
from aigne_hub.gateway.dialects.responses.writer import ResponsesWriter
from aigne_hub.providers.languages.openai import media_of
from aigne_hub.providers.profiles import RESPONSES_LANGUAGE

_EFFORTS = frozenset(get_args(Effort))
# What another provider cannot know, because OpenAI keeps it.
_KEPT = ("previous_response_id", "conversation", "prompt")
_READ = {
    *("model", "input", "instructions", "stream", "stream_options", "max_output_tokens"),
    *("temperature", "top_p", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning"),
    *("user", "safety_identifier", "prompt_cache_key", "service_tier", "include", "store"),
    *("background", "truncation", "metadata", *_KEPT),
}
_REASONING = frozenset({"effort", "summary", "generate_summary"})
_ROLES: dict[object, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}


class ResponsesForm:
    """dialects.NeutralForm for Responses."""

    def request(self, body: bytes) -> InferenceRequest:
        value = whole_object(body)
        _require_carried(value)
        offered = tools_of(value)
        return InferenceRequest(
            model=a_text(value.get("model"), "model"),
            messages=tuple(_messages(value)),
            stream=bool(value.get("stream")),
            max_output_tokens=maybe_count(value.get("max_output_tokens"), "max_output_tokens"),
            temperature=maybe_number(value.get("temperature"), "temperature"),
            top_p=maybe_number(value.get("top_p"), "top_p"),
            tools=tuple(tool for tool in offered if isinstance(tool, Tool)),
            hosted_tools=tuple(tool for tool in offered if isinstance(tool, HostedTool)),
            tool_choice=choice_of(value.get("tool_choice")),
            parallel_tool_calls=maybe_flag(value.get("parallel_tool_calls"), "parallel_tool_calls"),
            output_format=_format(value.get("text")),
            thinking=_thinking(value.get("reasoning")),
            end_user=maybe_text(value.get("safety_identifier") or value.get("user"), "user"),
            cache_key=maybe_text(value.get("prompt_cache_key"), "prompt_cache_key"),
            service_tier=maybe_text(value.get("service_tier"), "service_tier"),
            not_carried=tuple(_left_out(value)),
        )

    def writer(self, request: InferenceRequest, answer_id: str, created: int) -> ResponsesWriter:
        return ResponsesWriter(request, answer_id, created)


def _require_carried(value: dict[str, Any]) -> None:
    for name in _KEPT:
        if value.get(name) is not None:
            raise NotFound(
                f"`{name}`: the provider of this model does not keep what OpenAI keeps. Send the "
                "whole conversation as `input`, or use a model whose provider speaks Responses.",
                param=name,
            )
    if value.get("background"):
        raise InvalidRequest("`background` is not offered by this provider.", param="background")
    if value.get("top_logprobs"):
        raise InvalidRequest(
            "`top_logprobs`: probabilities cannot be translated.", param="top_logprobs"
        )


def _left_out(value: dict[str, Any]) -> Iterator[str]:
    """Name what the provider is not told. Nothing is kept there, so `store` is not carried."""
    if value.get("store") is not False:
        yield "store"
    if value.get("metadata"):
        yield "metadata"
    if value.get("truncation") == "auto":
        yield "truncation"
    text = value.get("text")
    if isinstance(text, dict) and text.get("verbosity") is not None:
        yield "text.verbosity"
    for name in value.get("include") or () if isinstance(value.get("include"), list) else ():
        if name != "reasoning.encrypted_content":
            yield "include"
            break
    if any(map(is_search_of_ours, objects(value.get("tools"), "tools"))):
        yield "tools.tool_search"
    reasoning = value.get("reasoning")
    if isinstance(reasoning, dict):
        yield from (f"reasoning.{name}" for name in reasoning if name not in _REASONING)
    yield from (name for name in value if name not in _READ)


def _messages(value: dict[str, Any]) -> Iterator[Message]:
    instructions = maybe_text(value.get("instructions"), "instructions")
    if instructions:
        yield Message("system", (Text(instructions),))
    given = value.get("input")
    if isinstance(given, str):
        yield Message("user", (Text(given),))
        return
    role: Role | None = None
    parts: list[Part] = []
    for index, item in enumerate(objects(given, "input")):
        if item.get("type") == ADDITIONAL_TOOLS:
            continue
        whose, content = _item(item, f"input[{index}]")
        # What the model said and called is one message, and so is what it is told after it.
        if role not in {whose, None}:
            yield Message(role, gathered(parts))
            parts = []
        role = whose
        parts += content
    if role is not None:
        yield Message(role, gathered(parts))


def _item(item: dict[str, Any], path: str) -> tuple[Role, list[Part]]:
    """Return whose an item is, and what it says."""
    kind = maybe_text(item.get("type"), f"{path}.type") or "message"
    if kind == "message":
        role = _ROLES.get(maybe_text(item.get("role"), f"{path}.role"))
        if role is None:
            raise InvalidRequest(f"`{path}.role` is none of OpenAI's roles.", param=f"{path}.role")
        return role, list(_content(item.get("content"), f"{path}.content"))
    if kind == "reasoning":
        return "assistant", [_reasoning(item, path)]
    if kind in {"function_call", "custom_tool_call"}:
        is_custom = kind == "custom_tool_call"
        member = "input" if is_custom else "arguments"
        namespace = maybe_text(item.get("namespace"), f"{path}.namespace")
        call = ToolCall(
            a_text(item.get("call_id"), f"{path}.call_id"),
            full_name(namespace, a_text(item.get("name"), f"{path}.name")),
            a_text(item.get(member), f"{path}.{member}"),
            is_custom,
        )
        return "assistant", [call]
    if kind in {"function_call_output", "custom_tool_call_output"}:
        result = ToolResult(
            a_text(item.get("call_id"), f"{path}.call_id"),
            tuple(_content(item.get("output"), f"{path}.output")),
        )
        return "user", [result]
    if kind == "tool_search_call":
        return "assistant", [search_call(item, path)]
    if kind == "tool_search_output":
        return "user", [search_result(item, path)]
    raise InvalidRequest(
        f"`{path}.type`: items of type {kind!r} cannot be translated for this model's provider.",
        param=f"{path}.type",
    )


def _reasoning(item: dict[str, Any], path: str) -> Reasoning:
    said = objects(item.get("summary"), f"{path}.summary") or objects(
        item.get("content"), f"{path}.content"
    )
    text = "\n\n".join(a_text(part.get("text"), f"{path}.summary.text") for part in said)
    sealed = maybe_text(item.get("encrypted_content"), f"{path}.encrypted_content")
    seal = seal_of(sealed, RESPONSES_LANGUAGE) if sealed else None
    return Reasoning(text, seal, is_redacted=not text)


def _content(content: object, path: str) -> Iterator[Text | Media]:
    if content is None:
        return
    if isinstance(content, str):
        yield Text(content)
        return
    for index, part in enumerate(objects(content, path)):
        yield _part(part, f"{path}[{index}]")


def _part(part: dict[str, Any], path: str) -> Text | Media:
    kind = maybe_text(part.get("type"), f"{path}.type")
    if kind in {"input_text", "output_text", "text"}:
        return Text(a_text(part.get("text"), f"{path}.text"))
    if kind == "refusal":
        return Text(a_text(part.get("refusal"), f"{path}.refusal"))
    if part.get("file_id") is not None:
        raise InvalidRequest(
            f"`{path}.file_id`: files kept at one provider cannot be read by another; send the "
            "data itself.",
            param=f"{path}.file_id",
        )
    if kind == "input_image":
        found = media_of(a_text(part.get("image_url"), f"{path}.image_url"))
        detail = maybe_text(part.get("detail"), f"{path}.detail")
        return Media("image", found.url, found.data, found.mime_type, detail=detail)
    if kind == "input_file":
        given = part.get("file_data") or part.get("file_url")
        found = media_of(a_text(given, f"{path}.file_data"))
        name = maybe_text(part.get("filename"), f"{path}.filename")
        return Media("file", found.url, found.data, found.mime_type, name)
    raise InvalidRequest(
        f"`{path}.type`: content of type {kind!r} cannot be translated.", param=f"{path}.type"
    )


def _format(text: object) -> OutputFormat | None:
    wanted = an_object(text, "text").get("format") if text is not None else None
    if wanted is None:
        return None
    value = an_object(wanted, "text.format")
    kind = value.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat()
    if kind != "json_schema":
        raise InvalidRequest(f"`text.format.type` {kind!r} is not known.", param="text.format.type")
    return OutputFormat(
        an_object(value.get("schema"), "text.format.schema"),
        a_text(value.get("name", "answer"), "text.format.name"),
        maybe_text(value.get("description"), "text.format.description"),
        maybe_flag(value.get("strict"), "text.format.strict"),
    )


def _thinking(reasoning: object) -> Thinking | None:
    if reasoning is None:
        return None
    value = an_object(reasoning, "reasoning")
    effort = maybe_text(value.get("effort"), "reasoning.effort")
    if effort is not None and effort not in _EFFORTS:
        raise InvalidRequest(
            f"`reasoning.effort` {effort!r} is not known.", param="reasoning.effort"
        )
    if effort is None and value.get("summary") is None:
        return None
    shown = value.get("summary") is not None or value.get("generate_summary") is not None
    return Thinking(effort, is_shown=shown)  # type: ignore[arg-type] # one of the efforts
