"""What models behind Converse take beside what all do, by their names.

Nova: https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html in stored copies. Efforts
of others are told in https://github.com/anomalyco/opencode/pull/48195 and
https://github.com/langchain-ai/docs/pull/5239, read in November 2026. The ARN of a profile
tells nothing: it is asked for what all take.
"""

from typing import Any

from aigne_hub.domain.inference import Effort, InferenceRequest
from aigne_hub.providers.languages.efforts import effort_of, efforts_of, nearest

_NOVA, _NOVA_2 = "amazon.nova-", "amazon.nova-2-"
_OPENAI, _KIMI = "openai.", "kimi-k2"
_USUAL: tuple[Effort, ...] = ("low", "medium", "high")
# Nova takes the most effort only when it is told nothing else.
_NOVA_BOUNDED: tuple[Effort, ...] = ("low", "medium")
_NOVA_REFUSES = frozenset({"maxTokens", "temperature", "topP"})


def is_cached(model: str) -> bool:
    """Tell whether a model takes marks for a prompt cache."""
    return _NOVA in model


def additional(
    request: InferenceRequest, inference: dict[str, Any], lost: list[str]
) -> dict[str, Any]:
    """Return what a request has in `additionalModelRequestFields`.

    `inference` is what it says in `inferenceConfig`; what this model lacks is added to `lost`.
    """
    said: dict[str, Any] = {}
    if request.top_k is not None:
        if _NOVA in request.model:
            said["inferenceConfig"] = {"topK": request.top_k}
        else:
            lost.append("top_k")
    if request.thinking is None:
        return said
    effort = effort_of(request.thinking)
    taken = _efforts(request.model, inference)
    if effort is None or not taken:
        if effort != "none":
            lost.append("thinking")
        return said
    if effort == "none" and _NOVA_2 in request.model:
        return {**said, "reasoningConfig": {"type": "disabled"}}
    given = nearest(effort, taken)
    if effort == "none" != given or (effort in _USUAL and given != effort):
        lost.append("thinking")
    return said | _worded(given, request.model)


def _efforts(model: str, inference: dict[str, Any]) -> tuple[Effort, ...]:
    if _NOVA_2 in model:
        return _USUAL if _NOVA_REFUSES.isdisjoint(inference) else _NOVA_BOUNDED
    if _KIMI in model:
        return _USUAL
    return efforts_of(model.rpartition(_OPENAI)[2]) if _OPENAI in model else ()


def _worded(effort: Effort, model: str) -> dict[str, Any]:
    """Return an effort in a maker's own member."""
    if _NOVA_2 in model:
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
    if _KIMI in model or "gpt-oss" in model:
        return {"reasoning_effort": effort}
    return {"reasoning": {"effort": effort}}
