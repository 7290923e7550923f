"""Which wire formats the hub speaks to providers for callers of another."""

from collections.abc import Mapping
from typing import NamedTuple

from aigne_hub.providers.languages import (
    EmbeddingLanguage,
    Language,
    anthropic,
    converse,
    gemini,
    gemini_embeddings,
    openai,
    openai_embeddings,
)
from aigne_hub.providers.profiles import (
    ANTHROPIC_LANGUAGE,
    CONVERSE_LANGUAGE,
    GEMINI_LANGUAGE,
    OPENAI_LANGUAGE,
)

# Best first: where a provider speaks several, the one that carries most.
_CHAT: Mapping[str, Language] = {
    OPENAI_LANGUAGE: openai,
    ANTHROPIC_LANGUAGE: anthropic,
    GEMINI_LANGUAGE: gemini,
    CONVERSE_LANGUAGE: converse,
}
_EMBEDDING: Mapping[str, EmbeddingLanguage] = {
    OPENAI_LANGUAGE: openai_embeddings,
    GEMINI_LANGUAGE: gemini_embeddings,
}
_EMBEDDING_TYPE = "embedding"


class Spoken(NamedTuple):
    name: str
    language: Language


def chat_language_of(spoken: frozenset[str]) -> Spoken | None:
    """Return what the hub speaks with a provider of these formats, None when it cannot."""
    return next((Spoken(*one) for one in _CHAT.items() if one[0] in spoken), None)


def embedding_language_of(spoken: frozenset[str]) -> EmbeddingLanguage | None:
    """Return what the hub asks a provider of these formats for vectors in, None for none."""
    return next((_EMBEDDING[name] for name in _EMBEDDING if name in spoken), None)


def translated_to(kind: str, spoken: frozenset[str]) -> str | None:
    """Return which of a provider's formats models of a type are translated to, None for none."""
    known = _EMBEDDING if kind == _EMBEDDING_TYPE else _CHAT
    return next((name for name in known if name in spoken), None)
