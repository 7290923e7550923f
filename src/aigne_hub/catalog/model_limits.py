"""How much models read and write, as their vendors say: where nobody declares it, this holds.

What a call is held for is bounded by its context, so where a beta makes that larger, the larger
stands here.
"""

from typing import Final, NamedTuple


class ModelLimits(NamedTuple):
    """Tokens: of prompt and answer together, and of the largest answer."""

    context_tokens: int
    max_output_tokens: int


# Bounds of a model that nobody states.
UNKNOWN: Final = ModelLimits(131_072, 16_384)

# By how a name begins, the longest first. https://platform.claude.com/docs/en/models/overview
# and the pages of the models there, looked up in November 2026; those of the third generation
# in the archive of the same.
_CLAUDE: Final = {
    "claude-3-7": ModelLimits(200_000, 128_000),
    "claude-3-5": ModelLimits(200_000, 8_192),
    "claude-3-": ModelLimits(200_000, 4_096),
    "claude-haiku-4-5": ModelLimits(200_000, 64_000),
    "claude-opus-4-5": ModelLimits(200_000, 64_000),
    "claude-opus-4-1": ModelLimits(200_000, 32_000),
    "claude-opus-4-0": ModelLimits(200_000, 32_000),
    "claude-opus-4-2025": ModelLimits(200_000, 32_000),
    "claude-sonnet-4-5": ModelLimits(1_000_000, 64_000),
    "claude-sonnet-4-0": ModelLimits(1_000_000, 64_000),
    "claude-sonnet-4-2025": ModelLimits(1_000_000, 64_000),
    # All that came since, and what is still to come.
    "claude-": ModelLimits(1_000_000, 128_000),
}
# https://ai.google.dev/gemini-api/docs/models, from stored copies, not the live page: prompt and
# answer are bounded apart. What else is offered reads less than the last.
_GEMINI: Final = {
    "gemini-1.5-pro": ModelLimits(2_097_152, 8_192),
    "gemini-1.5-": ModelLimits(1_048_576, 8_192),
    "gemini-2.0-": ModelLimits(1_048_576, 8_192),
    "gemini-": ModelLimits(1_048_576, 65_536),
}


def limits_of(name: str) -> ModelLimits:
    """Return the limits of a model by its name at whichever vendor offers it."""
    begun = name.find("claude-")
    if begun >= 0:
        own = name[begun:].replace(".", "-")
        return next(limits for prefix, limits in _CLAUDE.items() if own.startswith(prefix))
    begun = name.find("gemini-")
    if begun >= 0:
        own = name[begun:]
        return next(limits for prefix, limits in _GEMINI.items() if own.startswith(prefix))
    return UNKNOWN
