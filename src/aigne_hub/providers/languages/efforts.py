"""How much a model may think, in words, and which words models of OpenAI's formats take.

What one does not take it refuses, so that a caller of another format is given the nearest.
https://platform.openai.com/docs/guides/reasoning, with Microsoft's page on ReasoningEffort and
a table that users tried out against the API
(https://community.openai.com/t/1371738), in stored copies of November 2026.
"""

import re
from typing import get_args

from aigne_hub.domain.inference import Effort, Thinking

_WORDS: tuple[Effort, ...] = get_args(Effort)
_USUAL: tuple[Effort, ...] = ("low", "medium", "high")
_GPT = re.compile(r"(?:^|/)gpt-(\d+)(?:\.(\d+))?(?!\d|o)")
# Others that take the usual three.
_THINKERS = re.compile(r"(?:^|/)(?:o\d|gpt-oss|grok-\d+-mini|grok-4|deepseek-r|qwen3)")
# A budget of tokens in words: at most so many are this effort.
_BUDGETS: tuple[tuple[int, Effort], ...] = ((4_096, "low"), (16_384, "medium"))
_FIRST_THINKING = (5, 0)
_FIRST_SILENT = (5, 1)
_FIRST_DEEP = (5, 2)


def effort_of(wanted: Thinking) -> Effort | None:
    """Return how much may be thought, in words."""
    if wanted.effort is not None or wanted.budget_tokens is None:
        return wanted.effort
    budget = wanted.budget_tokens
    return next((word for most, word in _BUDGETS if budget <= most), "high")


def asked_effort(wanted: Thinking, model: str, lost: list[str]) -> Effort | None:
    """Return the effort that a model of OpenAI's formats is asked for, None for none at all.

    Names `thinking` in `lost` where the model cannot do as is wanted.
    """
    effort, taken = effort_of(wanted), efforts_of(model)
    if effort is None or not taken:
        if effort != "none":
            lost.append("thinking")
        return None
    given = nearest(effort, taken)
    if effort == "none" != given:
        lost.append("thinking")
    return given


def efforts_of(model: str) -> tuple[Effort, ...]:
    """Return the efforts that a model takes, least first; none of one that does not think."""
    found = _GPT.search(model)
    if found is None:
        return _USUAL if _THINKERS.search(model) else ()
    version = (int(found[1]), int(found[2] or 0))
    if version < _FIRST_THINKING or "-chat" in model or "-search" in model:
        return ()
    is_deep = version >= _FIRST_DEEP or "codex-max" in model
    most: tuple[Effort, ...] = ("xhigh",) if is_deep else ()
    if "-pro" in model:
        return ("medium", "high", *most) if is_deep else ("high",)
    if "-codex" in model:
        return (*_USUAL, *most)
    least: Effort = "none" if version >= _FIRST_SILENT else "minimal"
    return (least, *_USUAL, *most)


def nearest(wanted: Effort, taken: tuple[Effort, ...]) -> Effort:
    """Return the effort to ask for: the most of those taken that is no more than is wanted.

    What thinks at all is not silenced, and what cannot be silenced thinks as little as it can.
    """
    if wanted in taken:
        return wanted
    thinking = [effort for effort in taken if effort != "none"]
    rank = _WORDS.index(wanted)
    below = [effort for effort in thinking if _WORDS.index(effort) <= rank]
    return below[-1] if below else thinking[0]
