"""Gemini's requests for an answer in the neutral form.

https://ai.google.dev/api/generate-content: from the vendor's SDK of November 2026 and stored
copies. Model and method stand in the path, so a form is one call's.
"""

import re
from typing import Any, get_args

import orjson

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    Effort,
    HostedTool,
    InferenceRequest,
    OutputFormat,
    Thinking,
    Tool,
    ToolChoice,
)
from aigne_hub.domain.quotes import count_text, size_of
from aigne_hub.gateway.dialects.gemini.body import size_in
from aigne_hub.gateway.dialects.gemini.contents import Talk
from aigne_hub.gateway.dialects.gemini.members import Members
from aigne_hub.gateway.dialects.gemini.schema import is_exact, json_schema
from aigne_hub.gateway.dialects.gemini.writer import GenerateWriter
from aigne_hub.gateway.dialects.members import an_object, texts, whole_object

_EFFORTS = frozenset(get_args(Effort))
_MODES = {"AUTO": "auto", "VALIDATED": "auto", "ANY": "required", "NONE": "none"}
_SEARCHES = ("googleSearch", "googleSearchRetrieval")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ELSEWHERE = "cannot be translated to the format of this model's provider. Leave it out."
# What changes the answer so much that it cannot be left out.
_REFUSED = ("responseLogprobs", "logprobs", "responseFormat")


class GenerateForm:
    """dialects.NeutralForm for one call of `generateContent` or `streamGenerateContent`."""

    def __init__(self, model: str, *, stream: bool) -> None:
        self._model = model
        self._stream = stream

    def request(self, body: bytes) -> InferenceRequest:
        lost: list[str] = []
        top = Members(whole_object(body), "", lost)
        if "cachedContent" in top:
            raise InvalidRequest(
                "`cachedContent` is kept at Google, which does not serve this model: send the "
                "contents themselves.",
                param="cachedContent",
            )
        talk = Talk(lost)
        talk.instruct(top)
        talk.say(top)
        top.take("model")
        tools, hosted = _tools(top)
        config = top.within("generationConfig") or Members({}, "generationConfig", lost)
        _require_carried(config)
        return InferenceRequest(
            model=self._model,
            messages=tuple(talk.messages),
            stream=self._stream,
            max_output_tokens=config.count("maxOutputTokens") or None,
            temperature=config.number("temperature"),
            top_p=config.number("topP"),
            top_k=config.count("topK"),
            presence_penalty=config.number("presencePenalty"),
            frequency_penalty=config.number("frequencyPenalty"),
            seed=config.count("seed"),
            stop=texts(config.take("stopSequences"), "generationConfig.stopSequences"),
            tools=tuple(tools),
            hosted_tools=tuple(hosted),
            tool_choice=_choice(top),
            output_format=_format(config),
            thinking=_thinking(config),
            service_tier=_tier(top),
            not_carried=_rest(lost, config, top),
        )

    def writer(self, request: InferenceRequest, answer_id: str, _created: int) -> GenerateWriter:
        shows = request.thinking is not None and request.thinking.is_shown
        return GenerateWriter(request.model, answer_id, shows_thoughts=shows)


class CountForm(GenerateForm):
    """dialects.Estimating for `countTokens`: no other format counts, so that the hub estimates."""

    def estimate(self, body: bytes) -> bytes:
        """Return the answer: text at the hub's measure, four bytes a token, without media."""
        tokens = count_text((size_in(body) or size_of(body)).text_bytes)
        return orjson.dumps({"totalTokens": tokens, "isEstimate": True})


def _rest(lost: list[str], *members: Members) -> tuple[str, ...]:
    for one in members:
        one.note_rest()
    return tuple(dict.fromkeys(lost))


def _require_carried(config: Members) -> None:
    """Raise for what no other provider's answer can have."""
    count = config.count("candidateCount")
    if count is not None and count > 1:
        raise InvalidRequest(
            "`generationConfig.candidateCount`: the provider of this model gives one answer.",
            param="generationConfig.candidateCount",
        )
    kinds = texts(config.take("responseModalities"), "generationConfig.responseModalities")
    if any(kind.upper() not in {"TEXT", "MODALITY_UNSPECIFIED"} for kind in kinds):
        raise InvalidRequest(
            "`generationConfig.responseModalities`: only TEXT can be asked of another "
            "provider's model.",
            param="generationConfig.responseModalities",
        )
    for name in _REFUSED:
        if config.take(name):
            raise InvalidRequest(f"`{config.at(name)}` {_ELSEWHERE}", param=config.at(name))


def _tools(top: Members) -> tuple[list[Tool], list[HostedTool]]:
    tools: list[Tool] = []
    hosted: list[HostedTool] = []
    for given in top.each("tools"):
        for declared in given.each("functionDeclarations"):
            tools.append(_tool(declared))
            declared.note_rest()
        for name in _SEARCHES:
            search = given.within(name)
            if search is not None:
                hosted.append(HostedTool("web_search"))
                search.note_rest()
        given.refuse_rest(_ELSEWHERE)
    return tools, hosted


def _tool(declared: Members) -> Tool:
    plain = declared.take("parametersJsonSchema")
    google = declared.take("parameters")
    path = declared.at("parameters")
    if plain is not None and google is not None:
        raise InvalidRequest(f"`{path}` and `parametersJsonSchema` exclude each other.", param=path)
    parameters = plain
    if google is not None:
        parameters = json_schema(google, path, is_closed=False)
    return Tool(
        declared.text("name"),
        declared.maybe_text("description"),
        None if parameters is None else an_object(parameters, path),
    )


def _choice(top: Members) -> ToolChoice | None:
    config = top.within("toolConfig")
    calling = config.within("functionCallingConfig") if config is not None else None
    choice = None
    if calling is not None:
        said = (calling.maybe_text("mode") or "MODE_UNSPECIFIED").upper()
        path = calling.at("allowedFunctionNames")
        names = texts(calling.take("allowedFunctionNames"), path)
        mode = _MODES.get(said)
        if mode is None and said != "MODE_UNSPECIFIED":
            raise InvalidRequest(
                f"`{calling.at('mode')}` is one of {', '.join(_MODES)}.", param=calling.at("mode")
            )
        if mode is not None:
            choice = ToolChoice(mode, names)  # type: ignore[arg-type] # one of three words
        calling.note_rest()
    if config is not None:
        config.note_rest()
    return choice


def _format(config: Members) -> OutputFormat | None:
    """Return the format that is asked for, whose name is the schema's title."""
    kind = config.maybe_text("responseMimeType")
    google, plain = config.take("responseSchema"), config.take("responseJsonSchema")
    path = config.at("responseSchema")
    if kind not in {None, "", "text/plain", "application/json"}:
        raise InvalidRequest(
            f"`{config.at('responseMimeType')}` {_ELSEWHERE}", param=config.at("responseMimeType")
        )
    if google is None and plain is None:
        return OutputFormat() if kind == "application/json" else None
    schema: Any = plain if google is None else json_schema(google, path, is_closed=True)
    schema = an_object(schema, path)
    title = schema.get("title")
    is_name = isinstance(title, str) and _NAME.fullmatch(title) is not None
    return OutputFormat(
        schema, title if is_name else "answer", strict=True if is_exact(schema) else None
    )


def _thinking(config: Members) -> Thinking | None:
    wanted = config.within("thinkingConfig")
    if wanted is None:
        return None
    budget = wanted.count("thinkingBudget")
    level = (wanted.maybe_text("thinkingLevel") or "").lower()
    is_shown = wanted.flag("includeThoughts")
    wanted.note_rest()
    if budget == 0:
        return Thinking("none", is_shown=is_shown)
    if level in _EFFORTS:
        return Thinking(level, is_shown=is_shown)  # type: ignore[arg-type] # just looked
    # A budget of -1 leaves it to the model.
    return Thinking(None, budget if budget is not None and budget > 0 else None, is_shown)


def _tier(top: Members) -> str | None:
    tier = (top.maybe_text("serviceTier") or "").lower().removeprefix("service_tier_")
    return {"standard": "default", "unspecified": None}.get(tier, tier) or None
