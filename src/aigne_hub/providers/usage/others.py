"""Wires of vendors that are like no other: Cohere, Ollama, and those that count pictures."""

from aigne_hub.providers.usage.figures import Role
from aigne_hub.providers.usage.wire import Place, Wire, figures

COHERE = Wire(
    name="cohere",
    source="https://docs.cohere.com/v2/reference/chat",
    checked="2026-11",
    figures=figures(
        {
            # An answer about pictures may bill their tokens alone.
            Role.INPUT: ("billed_units.input_tokens billed_units.image_tokens",),
            Role.IMAGE_INPUT: ("billed_units.image_tokens",),
            Role.OUTPUT: ("billed_units.output_tokens",),
            Role.SEARCHES: ("billed_units.search_units",),
            Role.IMAGES: ("billed_units.images",),
        }
    ),
    places=(Place("usage"), Place("delta.usage"), Place("meta"), Place("response.meta")),
    free={
        "tokens.": "what the model saw; billed_units is what is billed of it",
        "cached_tokens": "what the model saw; billed_units is what is billed of it",
        "billed_units.text_tokens": "the rest of its figure, at that figure's price",
        "api_version.": "says which version answered",
        "warnings[]": "words",
    },
)

# What Cohere, Jina, Voyage, Together and vLLM answer to a rerank, which all take the same request.
RERANK = Wire(
    name="rerank",
    source="https://docs.cohere.com/v2/reference/rerank",
    checked="2026-11",
    figures=figures(
        {
            # Jina and Voyage tell a total alone: a rerank writes nothing.
            Role.INPUT: (
                "prompt_tokens total_tokens billed_units.input_tokens billed_units.image_tokens",
            ),
            Role.IMAGE_INPUT: ("billed_units.image_tokens",),
            Role.OUTPUT: ("completion_tokens billed_units.output_tokens",),
            Role.SEARCHES: ("billed_units.search_units",),
        }
    ),
    places=(Place("usage"), Place("meta")),
    free={
        **COHERE.free,
        "billed_units.classifications": "a rerank classifies nothing",
        "credits": "what a hub in between charged",
    },
)

OLLAMA = Wire(
    name="ollama",
    source="https://docs.ollama.com/api/usage",
    checked="2026-11",
    figures=figures({Role.INPUT: ("prompt_eval_count",), Role.OUTPUT: ("eval_count",)}),
    places=(
        Place("prompt_eval_count", "prompt_eval_count"),
        Place("eval_count", "eval_count"),
    ),
    free={},
)

# No usage at all: pictures are counted.
IDEOGRAM = Wire(
    name="ideogram",
    source="https://developer.ideogram.ai/api-reference/api-reference/generate-v3",
    checked="2026-11",
    figures=figures({Role.IMAGES: ("#data",)}),
    places=(),
    free={},
    lengths=("data",),
)
