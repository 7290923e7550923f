"""Which wire formats the hub speaks to providers for callers of another."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from aigne_hub.at_first_use import at_first_use
from aigne_hub.providers.languages import EmbeddingLanguage, Language, openai, openai_embeddings
from aigne_hub.providers.profiles import (
    ANTHROPIC_LANGUAGE,
    CONVERSE_LANGUAGE,
    GEMINI_LANGUAGE,
    OPENAI_LANGUAGE,
)

_EMBEDDING_TYPE = "embedding"


class Spoken(NamedTuple):
    name: str
    language: Language


def chat_language_of(spoken: frozenset[str]) -> Spoken | None:
    """Return what the hub speaks with a provider of these formats, None when it cannot."""
    return next((Spoken(name, _CHAT[name]()) for name in _CHAT if name in spoken), None)


def embedding_language_of(spoken: frozenset[str]) -> EmbeddingLanguage | None:
    """Return what the hub asks a provider of these formats for vectors in, None for none."""
    return next((_EMBEDDING[name]() for name in _EMBEDDING if name in spoken), None)


def translator_of(kind: str, spoken: frozenset[str]) -> Spoken | EmbeddingLanguage | None:
    """Return what models of a type are translated by, loaded; None for what is not."""
    is_embedding = kind == _EMBEDDING_TYPE
    return embedding_language_of(spoken) if is_embedding else chat_language_of(spoken)


def translated_to(kind: str, spoken: frozenset[str]) -> str | None:
    """Return which of a provider's formats models of a type are translated to, None for none."""
    known = _EMBEDDING if kind == _EMBEDDING_TYPE else _CHAT
    return next((name for name in known if name in spoken), None)


@at_first_use
def _anthropic() -> Language:
    from aigne_hub.providers.languages import anthropic

    return anthropic


@at_first_use
def _gemini() -> Language:
    from aigne_hub.providers.languages import gemini

    return gemini


@at_first_use
def _converse() -> Language:
    from aigne_hub.providers.languages import converse

    return converse


@at_first_use
def _gemini_embeddings() -> EmbeddingLanguage:
    from aigne_hub.providers.languages import gemini_embeddings

    return gemini_embeddings


# Best first: where a provider speaks several, the one that carries most.
_CHAT: Mapping[str, Callable[[], Language]] = {
    OPENAI_LANGUAGE: lambda: openai,
    ANTHROPIC_LANGUAGE: _anthropic,
    GEMINI_LANGUAGE: _gemini,
    CONVERSE_LANGUAGE: _converse,
}
_EMBEDDING: Mapping[str, Callable[[], EmbeddingLanguage]] = {
    OPENAI_LANGUAGE: lambda: openai_embeddings,
    GEMINI_LANGUAGE: _gemini_embeddings,
}
