"""What a neutral request asks of an answer, in the words of Gemini's `generationConfig`.

https://ai.google.dev/api/generate-content#generationconfig and /gemini-api/docs/thinking, the
words for an effort also /gemini-api/docs/openai: stored copies, November 2026.
"""

import re
from typing import Any

from aigne_hub.domain.inference import Effort, InferenceRequest, OutputFormat, Thinking
from aigne_hub.providers.languages.efforts import effort_of

_NAMES = {
    "max_output_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "seed": "seed",
}
_GENERATION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
_LATEST = re.compile(r"gemini-(?:pro|flash|flash-lite)-latest")
# The first models that think at all, and the first that are told how much in words.
THINKS = (2, 5)
THINKS_IN_LEVELS = (3, 0)
# What Google's own OpenAI format makes of an effort, in tokens.
_BUDGETS: dict[Effort, int] = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
# The Pro of the second generation always thinks, so little at the least and more at the most.
_PRO_LEAST = 128
_PRO_MOST = 32_768
_FLASH_MOST = 24_576
JSON_TYPE = "application/json"


def generation_of(model: str) -> tuple[int, int]:
    """Return the generation that a model's name tells, (0, 0) for one that tells none."""
    found = _GENERATION.search(model)
    if found is not None:
        return int(found[1]), int(found[2] or 0)
    return THINKS_IN_LEVELS if _LATEST.search(model) else (0, 0)


def configured(request: InferenceRequest, lost: list[str]) -> dict[str, Any]:
    """Return the members of `generationConfig`; what this wire lacks is added to `lost`."""
    said = {
        theirs: value
        for ours, theirs in _NAMES.items()
        if (value := getattr(request, ours)) is not None
    }
    if request.stop:
        said["stopSequences"] = list(request.stop)
    if request.output_format is not None:
        said |= _format(request.output_format)
    if request.thinking is not None:
        thinking = _thinking(request.thinking, request.model, lost)
        if thinking is not None:
            said["thinkingConfig"] = thinking
    return said


def _format(wanted: OutputFormat) -> dict[str, Any]:
    """Return the format of an answer, which this wire always keeps to strictly.

    It has no place for a name and a description beside the schema: they stand within.
    """
    said: dict[str, Any] = {"responseMimeType": JSON_TYPE}
    if wanted.schema is not None:
        told = {"title": wanted.name}
        if wanted.description is not None:
            told["description"] = wanted.description
        said["responseJsonSchema"] = {**told, **wanted.schema}
    return said


def _thinking(wanted: Thinking, model: str, lost: list[str]) -> dict[str, Any] | None:
    generation = generation_of(model)
    if generation < THINKS:
        lost.append("thinking")
        return None
    said: dict[str, Any] = {"includeThoughts": True} if wanted.is_shown else {}
    is_pro = "-pro" in model
    effort = effort_of(wanted)
    if effort == "none" and (is_pro or generation >= THINKS_IN_LEVELS):
        # These cannot be kept from thinking.
        lost.append("thinking")
    if effort is None:
        return said
    if generation >= THINKS_IN_LEVELS:
        return {**said, "thinkingLevel": _level(effort, model)}
    budget = _BUDGETS[effort] if wanted.budget_tokens is None else wanted.budget_tokens
    least, most = (_PRO_LEAST, _PRO_MOST) if is_pro else (0, _FLASH_MOST)
    return {**said, "thinkingBudget": min(max(budget, least), most)}


def _level(effort: Effort, model: str) -> str:
    """Return an effort in one of the four words, of which a model may not have all."""
    if effort in {"none", "minimal"}:
        return "minimal" if "flash" in model else "low"
    if effort == "medium" and "gemini-3-pro" in model:
        return "high"
    return effort if effort in {"low", "medium"} else "high"
