"""Which wire formats the hub speaks to providers for callers of another."""

from collections.abc import Mapping
from typing import NamedTuple

from aigne_hub.providers.languages import Language, anthropic, gemini, openai
from aigne_hub.providers.profiles import ANTHROPIC_LANGUAGE, GEMINI_LANGUAGE, OPENAI_LANGUAGE

# Best first: where a provider speaks several, the one that carries most.
_CHAT: Mapping[str, Language] = {
    OPENAI_LANGUAGE: openai,
    ANTHROPIC_LANGUAGE: anthropic,
    GEMINI_LANGUAGE: gemini,
}


class Spoken(NamedTuple):
    name: str
    language: Language


def chat_language_of(spoken: frozenset[str]) -> Spoken | None:
    """Return what the hub speaks with a provider of these formats, None when it cannot."""
    return next((Spoken(*one) for one in _CHAT.items() if one[0] in spoken), None)
