"""AIGNE's chat input in the neutral form.

The `input` of the envelope that AIGNE's framework posts: camelCase members, the role `agent`,
tool arguments as objects. Read from the schema of the npm package `@aigne/core` 1.72.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    CacheMark,
    Effort,
    InferenceRequest,
    Media,
    MediaKind,
    Message,
    OutputFormat,
    Part,
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
from aigne_hub.gateway.dialects.openai.neutral import ChatForm
from aigne_hub.providers.languages import written
from aigne_hub.providers.languages.openai import media_of
from aigne_hub.providers.profiles import GEMINI_LANGUAGE

# Where the framework keeps what Google signs a call with, in the call's `metadata`.
SIGNATURE = "thoughtSignature"
_EFFORTS = frozenset(get_args(Effort))
_KINDS: dict[str, MediaKind] = {"image": "image", "audio": "audio", "video": "video"}
_DOCUMENTS = (".pdf", ".txt", ".md", ".csv", ".json", ".doc", ".docx", ".html")
_INPUT = {
    *("messages", "tools", "toolChoice", "responseFormat", "outputFileType", "model"),
    "modelOptions",
}
_OPTIONS = {
    *(
        "model",
        "temperature",
        "topP",
        "topK",
        "frequencyPenalty",
        "presencePenalty",
        "seed",
        "stop",
    ),
    *("parallelToolCalls", "modalities", "reasoningEffort", "cacheConfig", "maxTokens"),
}


def request_of(
    given: dict[str, Any], model: str, *, stream: bool, limit: int | None
) -> InferenceRequest:
    """Return what an `input` asks for; `limit` is of output tokens. Raises InvalidRequest."""
    options = an_object(given.get("modelOptions") or {}, "input.modelOptions")
    _require_written(options)
    tools = objects(given.get("tools"), "input.tools")
    noted = [name for name in given if name not in _INPUT]
    noted += [f"modelOptions.{name}" for name in options if name not in _OPTIONS]
    request = InferenceRequest(
        model=model,
        messages=tuple(_messages(objects(given.get("messages"), "input.messages"), noted)),
        stream=stream,
        max_output_tokens=limit,
        temperature=maybe_number(options.get("temperature"), "temperature"),
        top_p=maybe_number(options.get("topP"), "topP"),
        top_k=maybe_count(options.get("topK"), "topK"),
        presence_penalty=maybe_number(options.get("presencePenalty"), "presencePenalty"),
        frequency_penalty=maybe_number(options.get("frequencyPenalty"), "frequencyPenalty"),
        seed=maybe_count(options.get("seed"), "seed"),
        stop=texts(options.get("stop"), "stop"),
        tools=tuple(_tool(tool, f"input.tools[{i}]") for i, tool in enumerate(tools)),
        tool_choice=_choice(given.get("toolChoice")),
        parallel_tool_calls=maybe_flag(options.get("parallelToolCalls"), "parallelToolCalls"),
        output_format=_format(given.get("responseFormat")),
        thinking=_thinking(options.get("reasoningEffort")),
        not_carried=tuple(dict.fromkeys(noted)),
    )
    return _cached(request, options.get("cacheConfig"))


def _require_written(options: dict[str, Any]) -> None:
    modalities = options.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        raise InvalidRequest("Spoken answers are not translated.", param="modelOptions.modalities")


def _messages(given: list[dict[str, Any]], noted: list[str]) -> Iterator[Message]:
    """Return the messages, the results of tools in one with what the user says after them."""
    results: list[Part] = []
    for index, item in enumerate(given):
        path = f"input.messages[{index}]"
        role = maybe_text(item.get("role"), f"{path}.role")
        if item.get("name") is not None:
            noted.append("name")
        mark = _mark(item.get("cacheControl"), path)
        content = _marked(tuple(_parts(item.get("content"), f"{path}.content")), mark)
        if role == "tool":
            call_id = a_text(item.get("toolCallId"), f"{path}.toolCallId")
            said = tuple(replace(part, cache=None) for part in content)
            results.append(ToolResult(call_id, said, cache=mark))
            continue
        if role == "user":
            yield Message("user", (*results, *content))
            results = []
            continue
        if results:
            yield Message("user", tuple(results))
            results = []
        if role == "system":
            yield Message("system", content)
        elif role in ("agent", "assistant"):
            yield Message("assistant", (*content, *_calls(item, path)))
        else:
            raise InvalidRequest(
                f"`{path}.role` is `system`, `user`, `agent` or `tool`.", param=f"{path}.role"
            )
    if results:
        yield Message("user", tuple(results))


def _calls(item: dict[str, Any], path: str) -> Iterator[ToolCall]:
    for index, call in enumerate(objects(item.get("toolCalls"), f"{path}.toolCalls")):
        place = f"{path}.toolCalls[{index}]"
        function = an_object(call.get("function"), f"{place}.function")
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            said = an_object(arguments or {}, f"{place}.function.arguments")
            arguments = written(said).decode()
        yield ToolCall(
            a_text(call.get("id"), f"{place}.id"),
            a_text(function.get("name"), f"{place}.function.name"),
            arguments,
            seal=_seal(call.get("metadata")),
        )


def _seal(metadata: object) -> Seal | None:
    signature = metadata.get(SIGNATURE) if isinstance(metadata, dict) else None
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
    mark = _mark(part.get("cacheControl"), path)
    if kind == "text":
        return Text(a_text(part.get("text"), f"{path}.text"), mark)
    if kind == "local":
        raise InvalidRequest(
            f"`{path}`: a `local` file is on the caller's machine. Send its bytes as a `file`.",
            param=path,
        )
    mime = maybe_text(part.get("mimeType"), f"{path}.mimeType")
    name = maybe_text(part.get("filename"), f"{path}.filename")
    if kind == "url":
        found = media_of(a_text(part.get("url"), f"{path}.url"))
    elif kind == "file":
        found = Media("image", data=a_text(part.get("data"), f"{path}.data"))
    else:
        raise InvalidRequest(f"`{path}.type` is `text`, `url` or `file`.", param=f"{path}.type")
    mime = mime or found.mime_type
    named = name or (found.url or "").partition("?")[0]
    return Media(_kind(mime, named), found.url, found.data, mime, name, cache=mark)


def _kind(mime: str | None, name: str) -> MediaKind:
    """Return what a file is: by its type, else by its name, else a picture."""
    if mime:
        return _KINDS.get(mime.partition("/")[0], "file")
    return "file" if name.lower().endswith(_DOCUMENTS) else "image"


def _tool(tool: dict[str, Any], path: str) -> Tool:
    function = an_object(tool.get("function"), f"{path}.function")
    parameters = function.get("parameters")
    return Tool(
        name=a_text(function.get("name"), f"{path}.function.name"),
        description=maybe_text(function.get("description"), f"{path}.function.description"),
        parameters=None if parameters is None else an_object(parameters, f"{path}.parameters"),
        strict=maybe_flag(function.get("strict"), f"{path}.function.strict"),
    )


def _choice(choice: object) -> ToolChoice | None:
    if choice is None:
        return None
    if choice in ("auto", "none", "required"):
        return ToolChoice(choice)
    function = an_object(an_object(choice, "input.toolChoice").get("function"), "input.toolChoice")
    return ToolChoice("required", (a_text(function.get("name"), "input.toolChoice.name"),))


def _format(wanted: object) -> OutputFormat | None:
    if wanted is None:
        return None
    value = an_object(wanted, "input.responseFormat")
    kind = value.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat()
    if kind != "json_schema":
        raise InvalidRequest(
            "`input.responseFormat.type` is `text` or `json_schema`.",
            param="input.responseFormat.type",
        )
    path = "input.responseFormat.jsonSchema"
    schema = an_object(value.get("jsonSchema"), path)
    return OutputFormat(
        an_object(schema.get("schema"), f"{path}.schema"),
        a_text(schema.get("name", "answer"), f"{path}.name"),
        maybe_text(schema.get("description"), f"{path}.description"),
        maybe_flag(schema.get("strict"), f"{path}.strict"),
    )


def _thinking(effort: object) -> Thinking | None:
    """Return how much may be thought: a word, or a number of tokens."""
    if effort is None:
        return None
    if isinstance(effort, str) and effort in _EFFORTS:
        return Thinking(effort)  # type: ignore[arg-type] # just looked
    if type(effort) is int and effort >= 0:
        return Thinking(budget_tokens=effort) if effort else Thinking("none")
    raise InvalidRequest(
        f"`reasoningEffort` is a number of tokens or one of {', '.join(sorted(_EFFORTS))}.",
        param="modelOptions.reasoningEffort",
    )


# -- caching ---------------------------------------------------------------------------------


def _mark(control: object, path: str) -> CacheMark | None:
    if control is None:
        return None
    ttl = an_object(control, f"{path}.cacheControl").get("ttl")
    return "1h" if ttl == "1h" else "5m"


def _marked(content: tuple[Any, ...], mark: CacheMark | None) -> tuple[Any, ...]:
    """Return parts whose last ends what is to be cached."""
    if mark is None or not content:
        return content
    return (*content[:-1], replace(content[-1], cache=mark))


def _cached(request: InferenceRequest, config: object) -> InferenceRequest:
    """Put marks where `cacheConfig` wants them: behind the tools, the system, the last message."""
    if config is None:
        return request
    value = an_object(config, "modelOptions.cacheConfig")
    wanted = value.get("autoBreakpoints") or {}
    where = an_object(wanted, "modelOptions.cacheConfig.autoBreakpoints")
    if value.get("enabled") is False or value.get("strategy") == "manual":
        return request
    mark: CacheMark = "1h" if value.get("ttl") == "1h" else "5m"
    tools, messages = request.tools, list(request.messages)
    if where.get("tools", True):
        tools = _marked(tools, mark)
    systems = [i for i, message in enumerate(messages) if message.role == "system"]
    if systems and where.get("system", True):
        _mark_message(messages, systems[-1], mark)
    if messages and where.get("lastMessage", False):
        _mark_message(messages, len(messages) - 1, mark)
    return replace(request, tools=tools, messages=tuple(messages))


def _mark_message(messages: list[Message], at: int, mark: CacheMark) -> None:
    message = messages[at]
    messages[at] = Message(message.role, _marked(message.content, mark))


# -- forms -----------------------------------------------------------------------------------


def envelope_request(body: bytes) -> InferenceRequest:
    """Read what `aigne_chat` made of an envelope: it, and the model and limit beside it."""
    value = whole_object(body)
    envelope = an_object(value.get("envelope"), "the request body")
    return request_of(
        an_object(envelope.get("input"), "input"),
        a_text(value.get("model"), "model"),
        stream=bool(value.get("stream")),
        limit=maybe_count(value.get("limit"), "modelOptions.maxTokens"),
    )


# The flat form is OpenAI's with other spellings, and `aigne_flat` has put those right.
flat_request = ChatForm().request
