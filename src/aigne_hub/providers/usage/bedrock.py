"""AWS Bedrock: Converse and ConverseStream, and what InvokeModel adds to a model's own answer."""

from collections.abc import Mapping

from aigne_hub.domain.usage import STANDARD
from aigne_hub.providers.usage.figures import Role
from aigne_hub.providers.usage.wire import Place, Wire, figures

# A longer value of a header is no amount.
DIGITS_MAX = 20
_HEADER = "x-amzn-bedrock-"

CONVERSE = Wire(
    name="bedrock-converse",
    source="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html",
    checked="2026-11",
    figures=figures(
        {
            Role.INPUT: ("inputTokens",),
            Role.OUTPUT: ("outputTokens",),
            Role.CACHE_READ: ("cacheReadInputTokens cacheReadInputTokenCount",),
            Role.CACHE_WRITE: ("cacheWriteInputTokens cacheWriteInputTokenCount",),
            Role.CACHE_WRITE_SHORT: ("cacheDetails[5m].inputTokens",),
            Role.CACHE_WRITE_1H: ("cacheDetails[1h].inputTokens",),
            Role.TOTAL: ("totalTokens",),
        }
    ),
    places=(
        Place("usage"),
        Place("metadata.usage"),
        *(
            Place(f"{parent}{name}", name)
            for name in ("serviceTier", "performanceConfig")
            for parent in ("", "metadata.")
        ),
    ),
    labels={
        "serviceTier.type": {
            "default": STANDARD,
            "priority": "priority",
            "flex": "flex",
            "reserved": "reserved",
        },
        "performanceConfig.latency": {"standard": STANDARD, "optimized": "optimized"},
    },
    free={},
    selectors={"cacheDetails": "ttl"},
)

# Headers of a whole answer; of a stream the metrics in its last event; of the models that
# report nothing else the members of their bodies.
INVOKE = Wire(
    name="bedrock-invoke",
    source="https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html",
    checked="2026-11",
    figures=figures(
        {
            Role.INPUT: (
                "inputTokenCount input-token-count inputTextTokenCount prompt_token_count",
            ),
            Role.OUTPUT: ("outputTokenCount output-token-count generation_token_count",),
            Role.CACHE_READ: ("cacheReadInputTokenCount cache-read-input-token-count",),
            Role.CACHE_WRITE: ("cacheWriteInputTokenCount cache-write-input-token-count",),
        }
    ),
    places=(
        Place("amazon-bedrock-invocationMetrics"),
        Place("headers"),
        Place("inputTextTokenCount", "inputTextTokenCount"),
        Place("prompt_token_count", "prompt_token_count"),
        Place("generation_token_count", "generation_token_count"),
    ),
    free={
        "invocationLatency": "how fast it was",
        "firstByteLatency": "how fast it was",
        "invocation-latency": "how fast it was",
    },
    is_cumulative=True,
)


def header_counts(headers: Mapping[str, str]) -> dict[str, object]:
    """Return what INVOKE reads of an answer's headers, whose names are lower case."""
    return {
        "headers": {
            name.removeprefix(_HEADER): int(value) if value.isdecimal() else value
            for name, value in headers.items()
            if name.startswith(_HEADER) and len(value) <= DIGITS_MAX
        }
    }
