"""OpenAI's wire and those of its many compatibles.

One table serves chat, completions, responses, embeddings, images, transcription, speech and
realtime, of whatever vendor: a field means the same wherever it is found, but for the few
vendors that have a wire of their own below.
"""

from dataclasses import replace

from aigne_hub.domain.usage import STANDARD
from aigne_hub.providers.usage.figures import Role
from aigne_hub.providers.usage.wire import Place, Wire, figures

_FIGURES: dict[Role, tuple[str, ...]] = {
    Role.PROMPT: ("prompt_tokens input_tokens",),
    Role.INPUT_MORE: (
        "tool_usage.image_gen.input_tokens",
        "svg_usage.input_tokens",
        "citation_tokens",  # Perplexity: what its deep research read
        "connector_tokens",  # Mistral: what its tools added
    ),
    Role.CACHE_READ: (
        (
            "prompt_tokens_details.cached_tokens input_tokens_details.cached_tokens"
            " input_token_details.cached_tokens"
            # DeepSeek; Moonshot and Together; proxies for Anthropic; Perplexity.
            " prompt_cache_hit_tokens cached_tokens cache_read_input_tokens"
            " input_tokens_details.cache_read_input_tokens cached_prompt_text_tokens"
        ),
        "tool_usage.image_gen.cached_tokens",
    ),
    Role.CACHE_WRITE: (
        (
            "prompt_tokens_details.cache_write_tokens input_tokens_details.cache_write_tokens"
            # Qwen and proxies for Anthropic; Perplexity.
            " prompt_tokens_details.cache_creation_input_tokens cache_creation_input_tokens"
            " input_tokens_details.cache_creation_input_tokens"
            " prompt_tokens_details.cache_creation_tokens"
        ),
    ),
    Role.CACHE_WRITE_SHORT: (
        (
            "prompt_tokens_details.cache_write_tokens_details.ttl_30m_tokens"
            " input_tokens_details.cache_write_tokens_details.ttl_30m_tokens"
            " cache_creation.ephemeral_5m_input_tokens"
            " prompt_tokens_details.cache_creation.ephemeral_5m_input_tokens"
        ),
    ),
    Role.CACHE_WRITE_1H: (
        (
            "prompt_tokens_details.cache_write_tokens_details.ttl_12h_tokens"
            " input_tokens_details.cache_write_tokens_details.ttl_12h_tokens"
            " cache_creation.ephemeral_1h_input_tokens"
            " prompt_tokens_details.cache_creation.ephemeral_1h_input_tokens"
        ),
    ),
    Role.AUDIO_INPUT: (
        (
            "prompt_tokens_details.audio_tokens input_tokens_details.audio_tokens"
            " input_token_details.audio_tokens"
        ),
    ),
    Role.IMAGE_INPUT: (
        (
            "prompt_tokens_details.image_tokens input_tokens_details.image_tokens"
            " input_token_details.image_tokens prompt_image_tokens"
        ),
        "prompt_tokens_details.video_tokens input_tokens_details.video_tokens",
        "prompt_tokens_details.file_tokens input_tokens_details.file_tokens",
        "tool_usage.image_gen.input_tokens_details.image_tokens",
    ),
    Role.CACHED_AUDIO: (
        (
            "input_token_details.cached_tokens_details.audio_tokens"
            " prompt_tokens_details.cached_tokens_details.audio_tokens"
        ),
    ),
    Role.CACHED_IMAGE: (
        (
            "input_token_details.cached_tokens_details.image_tokens"
            " input_tokens_details.cached_tokens_details.image_tokens"
            " prompt_tokens_details.cached_tokens_details.image_tokens"
        ),
        "tool_usage.image_gen.cached_tokens_details.cached_image_tokens",
    ),
    Role.OUTPUT: ("completion_tokens output_tokens",),
    Role.OUTPUT_MORE: ("tool_usage.image_gen.output_tokens", "svg_usage.output_tokens"),
    Role.REASONING: (
        (
            "completion_tokens_details.reasoning_tokens output_tokens_details.reasoning_tokens"
            " output_token_details.reasoning_tokens reasoning_tokens"
        ),
        "svg_usage.reasoning_tokens",
    ),
    Role.AUDIO_OUTPUT: (
        (
            "completion_tokens_details.audio_tokens output_tokens_details.audio_tokens"
            " output_token_details.audio_tokens"
        ),
    ),
    Role.IMAGE_OUTPUT: (
        (
            "completion_tokens_details.image_tokens output_tokens_details.image_tokens"
            " output_token_details.image_tokens"
        ),
        (
            "tool_usage.image_gen.output_tokens_details.image_tokens"
            " tool_usage.image_gen.output_tokens"
        ),
    ),
    Role.IMAGES: ("generated_images",),  # Volcengine Ark
    Role.SECONDS: ("seconds", "prompt_audio_seconds", "billable_audio_seconds"),
    Role.SEARCHES: (
        # OpenRouter has both of the first two, with the same figure.
        (
            "server_tool_use.web_search_requests server_tool_use_details.web_search_requests"
            " num_search_queries tool_usage.web_search.num_requests tool_usage.web_search"
        ),
        # xAI bills each call of a tool of its own.
        "server_side_tool_usage_details.web_search_calls",
        "server_side_tool_usage_details.x_search_calls",
        "server_side_tool_usage_details.code_interpreter_calls",
        "server_side_tool_usage_details.file_search_calls",
        "server_side_tool_usage_details.document_search_calls",
        "connectors.web_search",
        "connectors.web_search_premium",
        "tool_calls_details.search_web.invocation",
    ),
    Role.TOTAL: ("total_tokens",),
}

_REST = "the rest of its figure, at that figure's price"
_INSIDE = "inside a figure that is read, at its price"
_COST = "what the provider takes for it, in its money: a price, no amount"
_SPEED = "how fast it was"
_WORDS = "says what kind of object it is"
_TOTAL = "a sum of figures that are read"

_FREE: dict[str, str] = {
    "prompt_tokens_details.text_tokens": _REST,
    "prompt_tokens_details.cached_tokens_details.text_tokens": _REST,
    "input_tokens_details.text_tokens": _REST,
    "input_tokens_details.cached_tokens_details.text_tokens": _REST,
    "input_token_details.text_tokens": _REST,
    "input_token_details.cached_tokens_details.text_tokens": _REST,
    "completion_tokens_details.text_tokens": _REST,
    "output_tokens_details.text_tokens": _REST,
    "output_token_details.text_tokens": _REST,
    "prompt_cache_miss_tokens": _REST,
    "prompt_text_tokens": _REST,
    "tool_usage.image_gen.input_tokens_details.text_tokens": _REST,
    "tool_usage.image_gen.output_tokens_details.text_tokens": _REST,
    "tool_usage.image_gen.cached_tokens_details.cached_text_tokens": _REST,
    "completion_tokens_details.accepted_prediction_tokens": _INSIDE,
    "completion_tokens_details.rejected_prediction_tokens": _INSIDE,
    "prompt_tokens_details.provisioned_tokens": _INSIDE,
    "completion_tokens_details.provisioned_tokens": _INSIDE,
    "iterations[message].": _INSIDE,
    "dram_cached_tokens": _INSIDE,
    "sram_cached_tokens": _INSIDE,
    "tool_usage.image_gen.total_tokens": _TOTAL,
    "svg_usage.total_tokens": _TOTAL,
    "num_server_side_tools_used": _TOTAL,
    "cost": _COST,
    "cost.": _COST,
    "cost_details.": _COST,
    "cost_in_usd_ticks": _COST,
    "estimated_cost": _COST,
    "is_byok": _COST,
    "credits": "what a hub in between charged",
    "server_tool_use.web_fetch_requests": "costs the tokens that it adds to the prompt",
    "server_side_tool_usage_details.mcp_calls": "costs the tokens that it adds to the prompt",
    "server_tool_use.tool_calls_executed": "counts searches among others; those are read",
    "server_tool_use.tool_calls_requested": "counts searches among others; those are read",
    "server_tool_use_details.tool_calls_executed": "counts searches among others; those are read",
    "server_tool_use_details.tool_calls_requested": "counts searches among others; those are read",
    "num_sources_used": "searches are billed, not what they found",
    "type": _WORDS,
    "svg_usage.model": _WORDS,
    "prompt_tokens_details.cache_type": _WORDS,
    "usage_semantic": _WORDS,
    "usage_source": _WORDS,
    "latency_checkpoint.": _SPEED,
    "prompt_time": _SPEED,
    "completion_time": _SPEED,
    "queue_time": _SPEED,
    "total_time": _SPEED,
    "start_time": _SPEED,
    "end_time": _SPEED,
    "total_latency": _SPEED,
    "time_to_first_token": _SPEED,
    "acceptance_rate": _SPEED,
    "is_last_response": _SPEED,
    "total_tokens_per_sec": _SPEED,
    "completion_tokens_per_sec": _SPEED,
    "completion_tokens_after_first_per_sec": _SPEED,
    "completion_tokens_after_first_per_sec_first_ten": _SPEED,
}

# `fast` is another name of `priority`: answers say priority, whichever was asked for.
TIERS = {
    **dict.fromkeys(("", "auto", "default", "standard", "on_demand"), STANDARD),
    **{name: name for name in ("flex", "priority", "batch", "scale", "performance", "ultrafast")},
    "fast": "priority",
}

OPENAI = Wire(
    name="openai",
    source="https://platform.openai.com/docs/api-reference/chat/object",
    checked="2026-11",
    figures=figures(_FIGURES),
    places=(
        Place("usage"),
        Place("x_groq.usage"),
        Place("response.usage"),
        Place("tool_usage", "tool_usage"),
        Place("response.tool_usage", "tool_usage"),
        Place("svg_usage", "svg_usage"),
        Place("service_tier", "service_tier"),
        Place("response.service_tier", "service_tier"),
    ),
    labels={
        "service_tier": TIERS,
        # Perplexity's fee of a request.
        "search_context_size": {
            "low": STANDARD,
            "medium": "search-medium",
            "high": "search-high",
        },
    },
    free=_FREE,
    selectors={"iterations": "type"},
)

# The output of a picture is picture, unless it is told apart; and so it is with speech.
OPENAI_IMAGES = replace(
    OPENAI,
    name="openai-images",
    source="https://platform.openai.com/docs/api-reference/images/object",
    figures=figures(
        {
            **_FIGURES,
            Role.IMAGE_OUTPUT: ("output_tokens_details.image_tokens output_tokens",),
            Role.IMAGES: ("generated_images #data",),
        }
    ),
    lengths=("data",),
)
OPENAI_SPEECH = replace(
    OPENAI,
    name="openai-speech",
    source="https://platform.openai.com/docs/api-reference/audio/speech-audio-done-event",
    figures=figures(
        {**_FIGURES, Role.AUDIO_OUTPUT: ("output_token_details.audio_tokens output_tokens",)}
    ),
)
# Its reasoning_tokens are billed beside completion_tokens, and are not in its total.
PERPLEXITY = replace(
    OPENAI,
    name="perplexity",
    source="https://docs.perplexity.ai/getting-started/pricing",
    figures=figures(
        {
            **_FIGURES,
            Role.REASONING: (
                "completion_tokens_details.reasoning_tokens output_tokens_details.reasoning_tokens",
            ),
            Role.THOUGHTS: ("reasoning_tokens",),
        }
    ),
)
# Its total has thoughts in it that no other figure has.
GOOGLE_COMPATIBLE = replace(
    OPENAI,
    name="google-compatible",
    source="https://ai.google.dev/gemini-api/docs/openai",
    has_hidden_reasoning=True,
)
