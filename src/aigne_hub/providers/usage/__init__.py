"""What providers report of a call, as the hub's own buckets: one table a wire.

`Wire.read` takes a decoded answer or event and never raises. docs/usage.md lists the tables.
"""

from aigne_hub.providers.usage.anthropic import ANTHROPIC
from aigne_hub.providers.usage.bedrock import CONVERSE, INVOKE
from aigne_hub.providers.usage.gemini import GEMINI
from aigne_hub.providers.usage.openai import (
    GOOGLE_COMPATIBLE,
    OPENAI,
    OPENAI_IMAGES,
    OPENAI_SPEECH,
    PERPLEXITY,
)
from aigne_hub.providers.usage.others import COHERE, IDEOGRAM, OLLAMA, RERANK
from aigne_hub.providers.usage.wire import Wire

__all__ = [
    "ANTHROPIC",
    "COHERE",
    "CONVERSE",
    "GEMINI",
    "GOOGLE_COMPATIBLE",
    "IDEOGRAM",
    "INVOKE",
    "OLLAMA",
    "OPENAI",
    "OPENAI_IMAGES",
    "OPENAI_SPEECH",
    "PERPLEXITY",
    "RERANK",
    "WIRES",
    "Wire",
    "compatible_wire",
]

WIRES = {
    wire.name: wire
    for wire in (
        OPENAI,
        OPENAI_IMAGES,
        OPENAI_SPEECH,
        PERPLEXITY,
        GOOGLE_COMPATIBLE,
        ANTHROPIC,
        GEMINI,
        CONVERSE,
        INVOKE,
        COHERE,
        RERANK,
        OLLAMA,
        IDEOGRAM,
    )
}

# Kinds of providers whose OpenAI-compatible answers differ from OpenAI's in what they count.
_COMPATIBLE = {"perplexity": PERPLEXITY, "gemini": GOOGLE_COMPATIBLE}


def compatible_wire(kind: str) -> Wire:
    """Return how a provider of a kind reports usage on OpenAI's wire."""
    return _COMPATIBLE.get(kind, OPENAI)
