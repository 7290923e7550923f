"""OpenAI chat requests in the neutral form.

https://platform.openai.com/docs/api-reference/chat, checked against the published OpenAPI
description of August 2026. Reasoning of other providers comes back in `reasoning_details`, as
OpenRouter writes it (https://openrouter.ai/docs/use-cases/reasoning-tokens).
"""

from collections.abc import Iterator
from typing import Any, get_args

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    Effort,
    HostedTool,
    InferenceRequest,
    Media,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    seal_of,
)
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
from aigne_hub.gateway.dialects.openai.writer import ChatWriter
from aigne_hub.providers.languages.openai import media_of
from aigne_hub.providers.profiles import GEMINI_LANGUAGE, OPENAI_LANGUAGE

_EFFORTS = frozenset(get_args(Effort))
# What changes the answer so much that it cannot be left out, and why it cannot be carried.
_REFUSED = {
    "n": "one answer",
    "logprobs": "no probabilities",
    "top_logprobs": "no probabilities",
    "logit_bias": "no biases",
    "audio": "no spoken answers",
    "functions": "`tools`, not the older `functions`",
    "function_call": "`tool_choice`, not the older `function_call`",
}
_READ = {
    *("model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens"),
    *("temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "seed", "stop"),
    *("tools", "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
    *("user", "safety_identifier", "prompt_cache_key", "service_tier", "modalities"),
    *("web_search_options", "n", "logprobs"),
}


class ChatForm:
    """dialects.NeutralForm for chat completions."""

    def request(self, body: bytes) -> InferenceRequest:
        value = whole_object(body)
        _require_carried(value)
        limit = value.get("max_completion_tokens")
        tools = objects(value.get("tools"), "tools")
        effort = maybe_text(value.get("reasoning_effort"), "reasoning_effort")
        return InferenceRequest(
            model=a_text(value.get("model"), "model"),
            messages=tuple(_messages(objects(value.get("messages"), "messages"))),
            stream=bool(value.get("stream")),
            max_output_tokens=maybe_count(
                value.get("max_tokens") if limit is None else limit, "max_tokens"
            ),
            temperature=maybe_number(value.get("temperature"), "temperature"),
            top_p=maybe_number(value.get("top_p"), "top_p"),
            top_k=maybe_count(value.get("top_k"), "top_k"),
            presence_penalty=maybe_number(value.get("presence_penalty"), "presence_penalty"),
            frequency_penalty=maybe_number(value.get("frequency_penalty"), "frequency_penalty"),
            seed=maybe_count(value.get("seed"), "seed"),
            stop=texts(value.get("stop"), "stop"),
            tools=tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools)),
            hosted_tools=(HostedTool("web_search"),) if value.get("web_search_options") else (),
            tool_choice=_choice(value.get("tool_choice")),
            parallel_tool_calls=maybe_flag(value.get("parallel_tool_calls"), "parallel_tool_calls"),
            output_format=_format(value.get("response_format")),
            thinking=Thinking(effort) if effort in _EFFORTS else None,  # type: ignore[arg-type] # just looked
            end_user=maybe_text(value.get("safety_identifier") or value.get("user"), "user"),
            cache_key=maybe_text(value.get("prompt_cache_key"), "prompt_cache_key"),
            service_tier=maybe_text(value.get("service_tier"), "service_tier"),
            not_carried=tuple(name for name in value if name not in _READ),
        )

    def writer(self, request: InferenceRequest, answer_id: str, created: int) -> ChatWriter:
        return ChatWriter(request.model, f"chatcmpl-{answer_id}", created)


def _require_carried(value: dict[str, Any]) -> None:
    for name, instead in _REFUSED.items():
        given = value.get(name)
        if given in (None, False, 0, [], {}) or (name == "n" and given == 1):
            continue
        raise InvalidRequest(
            f"`{name}`: the provider of this model speaks another format, which the hub "
            f"translates {instead} to. Leave it out, or use a model that is relayed to.",
            param=name,
        )
    modalities = value.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        raise InvalidRequest(
            "Spoken answers cannot be translated from another provider's format.",
            param="modalities",
        )


def _messages(given: list[dict[str, Any]]) -> Iterator[Message]:
    """Return the messages, the results of tools in one with what the user says after them."""
    results: list[Part] = []
    for index, item in enumerate(given):
        path = f"messages[{index}]"
        role = maybe_text(item.get("role"), f"{path}.role")
        if role in {"tool", "function"}:
            results.append(_result(item, path))
            continue
        content = tuple(_parts(item.get("content"), f"{path}.content"))
        if role == "user":
            yield Message("user", (*results, *content))
            results = []
            continue
        if results:
            yield Message("user", tuple(results))
            results = []
        if role in {"system", "developer"}:
            yield Message("system", content)
        elif role == "assistant":
            yield Message("assistant", (*_reasoning(item, path), *content, *_calls(item, path)))
        else:
            raise InvalidRequest(f"`{path}.role` is none of OpenAI's roles.", param=f"{path}.role")
    if results:
        yield Message("user", tuple(results))


def _result(item: dict[str, Any], path: str) -> ToolResult:
    given = item.get("tool_call_id", item.get("name"))
    return ToolResult(
        a_text(given, f"{path}.tool_call_id"),
        tuple(_parts(item.get("content"), f"{path}.content")),
    )


def _reasoning(item: dict[str, Any], path: str) -> Iterator[Reasoning]:
    details = objects(item.get("reasoning_details"), f"{path}.reasoning_details")
    for detail in details:
        if detail.get("type") == "reasoning.encrypted":
            data = a_text(detail.get("data"), f"{path}.reasoning_details.data")
            yield Reasoning(seal=seal_of(data, OPENAI_LANGUAGE), is_redacted=True)
        else:
            signature = maybe_text(detail.get("signature"), f"{path}.reasoning_details.signature")
            yield Reasoning(
                str(detail.get("text") or detail.get("summary") or ""),
                seal_of(signature, OPENAI_LANGUAGE) if signature else None,
            )
    thought = item.get("reasoning_content") or item.get("reasoning")
    if not details and isinstance(thought, str):
        yield Reasoning(thought)


def _calls(item: dict[str, Any], path: str) -> Iterator[ToolCall]:
    for index, call in enumerate(objects(item.get("tool_calls"), f"{path}.tool_calls")):
        place = f"{path}.tool_calls[{index}]"
        is_custom = call.get("type") == "custom"
        inside = an_object(call.get("custom" if is_custom else "function"), f"{place}.function")
        arguments = inside.get("input" if is_custom else "arguments")
        yield ToolCall(
            a_text(call.get("id"), f"{place}.id"),
            a_text(inside.get("name"), f"{place}.function.name"),
            a_text(arguments, f"{place}.function.arguments"),
            is_custom,
            _seal(call.get("extra_content")),
        )


def _seal(extra: object) -> Seal | None:
    """Return what Google signs a call with, where Google's own OpenAI format has it."""
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return seal_of(signature, GEMINI_LANGUAGE) if isinstance(signature, str) else None


def _parts(content: object, path: str) -> Iterator[Text | Media]:
    if content is None:
        return
    if isinstance(content, str):
        yield Text(content)
        return
    for index, part in enumerate(objects(content, path)):
        yield _part(part, f"{path}[{index}]")


def _part(part: dict[str, Any], path: str) -> Text | Media:
    kind = maybe_text(part.get("type"), f"{path}.type")
    cache = "5m" if part.get("cache_control") else None
    if kind in {"text", "refusal"}:
        return Text(a_text(part.get(kind), f"{path}.{kind}"), cache)  # type: ignore[arg-type] # one of two words
    if kind == "image_url":
        image = an_object(part.get("image_url"), f"{path}.image_url")
        found = media_of(a_text(image.get("url"), f"{path}.image_url.url"))
        detail = maybe_text(image.get("detail"), f"{path}.image_url.detail")
        return Media("image", found.url, found.data, found.mime_type, detail=detail)
    if kind == "input_audio":
        audio = an_object(part.get("input_audio"), f"{path}.input_audio")
        form = a_text(audio.get("format"), f"{path}.input_audio.format")
        return Media(
            "audio",
            data=a_text(audio.get("data"), f"{path}.input_audio.data"),
            mime_type="audio/mpeg" if form == "mp3" else f"audio/{form}",
        )
    if kind == "file":
        file = an_object(part.get("file"), f"{path}.file")
        if file.get("file_data") is None:
            raise InvalidRequest(
                f"`{path}.file`: files kept at one provider cannot be read by another; "
                "send `file_data`.",
                param=f"{path}.file",
            )
        found = media_of(a_text(file["file_data"], f"{path}.file.file_data"))
        name = maybe_text(file.get("filename"), f"{path}.file.filename")
        return Media("file", found.url, found.data, found.mime_type, name)
    raise InvalidRequest(
        f"`{path}.type`: content of type {kind!r} cannot be translated.", param=f"{path}.type"
    )


def _tool(tool: dict[str, Any], path: str) -> Tool:
    kind = maybe_text(tool.get("type"), f"{path}.type")
    if kind not in {"function", "custom"}:
        raise InvalidRequest(
            f"`{path}.type`: tools of type {kind!r} cannot be translated.", param=f"{path}.type"
        )
    inside = an_object(tool.get(kind), f"{path}.{kind}")
    parameters = inside.get("parameters")
    return Tool(
        name=a_text(inside.get("name"), f"{path}.{kind}.name"),
        description=maybe_text(inside.get("description"), f"{path}.{kind}.description"),
        parameters=None if parameters is None else an_object(parameters, f"{path}.parameters"),
        strict=maybe_flag(inside.get("strict"), f"{path}.{kind}.strict"),
        is_custom=kind == "custom",
    )


def _choice(choice: object) -> ToolChoice | None:
    if choice is None:
        return None
    if choice in {"auto", "none", "required"} if isinstance(choice, str) else False:
        return ToolChoice(choice)  # type: ignore[arg-type] # one of three words
    value = an_object(choice, "tool_choice")
    kind = value.get("type")
    if kind == "allowed_tools":
        allowed = an_object(value.get("allowed_tools"), "tool_choice.allowed_tools")
        names = tuple(
            a_text(an_object(one.get("function"), "function").get("name"), "name")
            for one in objects(allowed.get("tools"), "tool_choice.allowed_tools.tools")
        )
        return ToolChoice("required" if allowed.get("mode") == "required" else "auto", names)
    inside = an_object(value.get("custom" if kind == "custom" else "function"), "tool_choice")
    return ToolChoice("required", (a_text(inside.get("name"), "tool_choice.function.name"),))


def _format(wanted: object) -> OutputFormat | None:
    if wanted is None:
        return None
    value = an_object(wanted, "response_format")
    kind = value.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat()
    if kind != "json_schema":
        raise InvalidRequest(
            f"`response_format.type` {kind!r} is not known.", param="response_format.type"
        )
    schema = an_object(value.get("json_schema"), "response_format.json_schema")
    return OutputFormat(
        an_object(schema.get("schema"), "response_format.json_schema.schema"),
        a_text(schema.get("name", "answer"), "response_format.json_schema.name"),
        maybe_text(schema.get("description"), "response_format.json_schema.description"),
        maybe_flag(schema.get("strict"), "response_format.json_schema.strict"),
    )
