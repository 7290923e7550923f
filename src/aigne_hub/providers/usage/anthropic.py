"""Anthropic's wire, at its own address, on Vertex AI and in Bedrock's InvokeModel."""

from aigne_hub.domain.usage import STANDARD
from aigne_hub.providers.usage.figures import Role
from aigne_hub.providers.usage.wire import Place, Wire, figures

# Iterations whose tokens the figures at the top do not have in them. An advisor is another,
# dearer model: its tokens are charged at the rates of the model that was called.
_BESIDE = ("compaction", "advisor_message")


def _each(path: str) -> tuple[str, ...]:
    return (path, *(f"iterations[{kind}].{path}" for kind in _BESIDE))


ANTHROPIC = Wire(
    name="anthropic",
    source="https://platform.claude.com/docs/en/api/messages",
    checked="2026-11",
    figures=figures(
        {
            Role.INPUT: ("input_tokens",),
            Role.INPUT_MORE: _each("input_tokens")[1:],
            Role.OUTPUT: ("output_tokens",),
            Role.OUTPUT_MORE: _each("output_tokens")[1:],
            Role.CACHE_READ: _each("cache_read_input_tokens"),
            Role.CACHE_WRITE: _each("cache_creation_input_tokens"),
            Role.CACHE_WRITE_SHORT: _each("cache_creation.ephemeral_5m_input_tokens"),
            Role.CACHE_WRITE_1H: _each("cache_creation.ephemeral_1h_input_tokens"),
            Role.REASONING: ("output_tokens_details.thinking_tokens",),
            Role.SEARCHES: ("server_tool_use.web_search_requests",),
        }
    ),
    places=(Place("usage"), Place("message.usage")),
    labels={
        "service_tier": {"standard": STANDARD, "priority": "priority", "batch": "batch"},
        "speed": {"standard": STANDARD, "fast": "fast"},
        "inference_geo": {"global": STANDARD, "not_available": STANDARD, "us": "us"},
    },
    free={
        "server_tool_use.web_fetch_requests": "costs the tokens that it adds to the prompt",
        "iterations[message].": "inside the figures at the top",
        "iterations[fallback_message].": "inside the figures at the top",
        "iterations[advisor_message].model": "says which model advised",
        "fallback_credit.": "a rebate of the provider's to its customer",
    },
    selectors={"iterations": "type"},
    is_cumulative=True,
)
