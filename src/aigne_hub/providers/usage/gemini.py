"""Gemini's wire, at Google's own address and on Vertex AI: usage in every frame of a stream."""

from aigne_hub.domain.usage import STANDARD
from aigne_hub.providers.usage.figures import Role
from aigne_hub.providers.usage.wire import Place, Wire, figures

# Pixels, whatever they are of: vendors price them alike, most as text.
_PIXELS = ("IMAGE", "VIDEO", "DOCUMENT")
_DETAILS = (
    "promptTokensDetails",
    "toolUsePromptTokensDetails",
    "cacheTokensDetails",
    "candidatesTokensDetails",
    "responseTokensDetails",
)
_TEXT = ("TEXT", "MODALITY_UNSPECIFIED", "")


def _count(details: str, *modalities: str) -> tuple[str, ...]:
    return tuple(f"{details}[{modality}].tokenCount" for modality in modalities)


def _answer(modality: str) -> str:
    names = ("candidatesTokensDetails", "responseTokensDetails")
    return " ".join(path for name in names for path in _count(name, modality))


GEMINI = Wire(
    name="gemini",
    source="https://ai.google.dev/api/generate-content#UsageMetadata",
    checked="2026-11",
    figures=figures(
        {
            Role.PROMPT: ("promptTokenCount",),
            Role.INPUT_MORE: ("toolUsePromptTokenCount",),
            Role.CACHE_READ: ("cachedContentTokenCount",),
            Role.AUDIO_INPUT: (
                *_count("promptTokensDetails", "AUDIO"),
                *_count("toolUsePromptTokensDetails", "AUDIO"),
            ),
            Role.IMAGE_INPUT: (
                *_count("promptTokensDetails", *_PIXELS),
                *_count("toolUsePromptTokensDetails", *_PIXELS),
            ),
            Role.CACHED_AUDIO: _count("cacheTokensDetails", "AUDIO"),
            Role.CACHED_IMAGE: _count("cacheTokensDetails", *_PIXELS),
            # The Live API says response where the others say candidates.
            Role.OUTPUT: ("candidatesTokenCount responseTokenCount",),
            Role.THOUGHTS: ("thoughtsTokenCount",),
            Role.AUDIO_OUTPUT: (_answer("AUDIO"),),
            Role.IMAGE_OUTPUT: tuple(_answer(modality) for modality in _PIXELS),
            Role.IMAGES: ("#predictions",),  # Imagen on Vertex AI
            Role.SEARCHES: ("#candidates.*.groundingMetadata.webSearchQueries",),
            Role.TOTAL: ("totalTokenCount",),
        }
    ),
    places=(Place("usageMetadata"), Place("response.usageMetadata")),
    labels={
        "trafficType": {
            "traffic_type_unspecified": STANDARD,
            "on_demand": STANDARD,
            "on_demand_priority": "priority",
            "on_demand_flex": "flex",
            "on_demand_offpeak": "offpeak",
            "provisioned_throughput": "provisioned",
        },
        "serviceTier": {
            "unspecified": STANDARD,
            "standard": STANDARD,
            "priority": "priority",
            "flex": "flex",
        },
    },
    free={
        path: "the rest of its figure, at that figure's price"
        for details in _DETAILS
        for path in _count(details, *_TEXT)
    },
    selectors=dict.fromkeys(_DETAILS, "modality"),
    lengths=("predictions", "candidates.*.groundingMetadata.webSearchQueries"),
)
