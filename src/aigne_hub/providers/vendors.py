"""The vendors. Each was checked against the page named, in the month named.

docs/providers.md is made from this list.
"""

import re

from aigne_hub.providers.profile import (
    ANTHROPIC_LANGUAGE,
    CONVERSE_LANGUAGE,
    GEMINI_LANGUAGE,
    OPENAI_LANGUAGE,
    RESPONSES_LANGUAGE,
    Profile,
    Spoken,
)

# Without a version of its own a request gets the oldest, which all that speak this wire
# have: the hub never moves a caller to a newer one, which refuses what the older takes.
# https://platform.claude.com/docs/en/api/versioning, November 2026.
_ANTHROPIC_VERSION = (("anthropic-version", "2023-06-01"),)
_X_API_KEY = ("x-api-key", "{key}")
_PLAIN = Spoken()
_OPENAIS_LIMIT = Spoken(limit_field="max_completion_tokens")
_RESPONSES = Spoken(limit_field="max_output_tokens")

OPENAI = Profile(
    kind="openai",
    base_url="https://api.openai.com/v1",
    languages={OPENAI_LANGUAGE: _OPENAIS_LIMIT, RESPONSES_LANGUAGE: _RESPONSES},
    source="https://platform.openai.com/docs/api-reference/chat/create",
    checked="2026-08",
    stored=False,
)

# vLLM, llama.cpp, LM Studio, SGLang and every vendor with an OpenAI-compatible address.
COMPATIBLE = Profile(
    kind="openai-compatible",
    base_url=None,
    languages={OPENAI_LANGUAGE: _PLAIN},
    source="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    checked="2026-08",
    stored=False,
    like="http://127.0.0.1:8000/v1",
    is_keyless=True,
    quirks=("Needs no credential: a local server is called without a key.",),
)

# Its clients name the address without the /v1 that all of its paths begin with, and others'
# addresses that speak its format are written down the same way.
ANTHROPIC = Profile(
    kind="anthropic",
    base_url="https://api.anthropic.com/v1",
    languages={
        ANTHROPIC_LANGUAGE: Spoken(path="/v1", auth=_X_API_KEY, default_headers=_ANTHROPIC_VERSION)
    },
    source="https://platform.claude.com/docs/en/api/overview",
    checked="2026-11",
    stored=False,
    models_path="/models?limit=1000",
    quirks=("A call without a version of its own is sent `anthropic-version: 2023-06-01`.",),
)

# Its clients name the address without a version: each call says which it means. Checked
# against the vendor's SDK too.
GOOGLE = Profile(
    kind="google",
    base_url="https://generativelanguage.googleapis.com",
    languages={
        GEMINI_LANGUAGE: Spoken(
            drops=("/v1beta", "/v1"),
            auth=("x-goog-api-key", "{key}"),
            limit_field="generationConfig.maxOutputTokens",
        )
    },
    source="https://ai.google.dev/api",
    checked="2026-11",
    models_path="/v1beta/models?pageSize=1000",
    quirks=("The version in the address is dropped: the call names it.",),
)

# Which wire a model speaks is its publisher's, and so its name tells.
_CLAUDE = re.compile("^claude")
VERTEX = Profile(
    kind="vertex",
    base_url=None,
    languages={
        GEMINI_LANGUAGE: Spoken(
            limit_field="generationConfig.maxOutputTokens", models=re.compile("^(?!claude)")
        ),
        ANTHROPIC_LANGUAGE: Spoken(models=_CLAUDE),
    },
    source="https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
    checked="2026-11",
    like="https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION",
    form=re.compile(r"/v1(beta1)?/projects/[^/]+/locations/[^/]+$"),
    models_path=None,
    quirks=(
        "A key is an access token, or a service account's JSON.",
        "Tokens of a service account are renewed before they end.",
        "Models named `claude…` are reached in Anthropic's format, as raw predictions.",
        "All others are reached in Gemini's.",
        "The version of the address holds, whichever the call names.",
    ),
)

# The profile of an application tells nothing of its model: Converse serves it, whatever it is.
BEDROCK = Profile(
    kind="bedrock",
    base_url=None,
    languages={
        ANTHROPIC_LANGUAGE: Spoken(models=re.compile("anthropic")),
        CONVERSE_LANGUAGE: Spoken(
            limit_field="inferenceConfig.maxTokens", models=re.compile("^(?!.*anthropic)")
        ),
    },
    source="https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html",
    checked="2026-11",
    like="https://bedrock-runtime.REGION.amazonaws.com",
    models_path=None,
    quirks=(
        'A key is one of Bedrock\'s own, or `{"access_key_id": …, "secret_access_key": …}`.',
        "With the latter calls are signed (SigV4); `session_token` and `region` may be in it.",
        "Models with `anthropic` in their name are called by InvokeModel, in Anthropic's format.",
        "Their streams are binary there, and Anthropic's events here; betas go into the body.",
        "All others, and profiles of applications by their ARN, are called by Converse.",
    ),
)

# In the older form, with a query, the path names the deployment (providers/azure.py).
AZURE = Profile(
    kind="azure",
    base_url=None,
    languages={
        OPENAI_LANGUAGE: Spoken(
            path="/openai/v1",
            drops=("/openai/v1", "/openai"),
            auth=("api-key", "{key}"),
            limit_field="max_completion_tokens",
        ),
        RESPONSES_LANGUAGE: Spoken(
            path="/openai/v1",
            drops=("/openai/v1", "/openai"),
            auth=("api-key", "{key}"),
            limit_field="max_output_tokens",
        ),
    },
    source="https://learn.microsoft.com/en-us/azure/foundry/openai/api-version-lifecycle",
    checked="2026-11",
    like="https://RESOURCE.openai.azure.com",
    takes_query=re.compile(r"api-version=[0-9A-Za-z.-]{1,40}"),
    quirks=(
        "A model's name is that of its deployment, whatever model was deployed.",
        "With `?api-version=…` the older paths, `/openai/deployments/NAME/…`, are called.",
        "A first event without choices, which carries a filter's results, passes.",
    ),
)

# Its /v1 is OpenAI's format as well: an address is kept as it was written.
DEEPSEEK = Profile(
    kind="deepseek",
    base_url="https://api.deepseek.com",
    languages={
        OPENAI_LANGUAGE: Spoken(drops=("/anthropic/v1", "/anthropic")),
        ANTHROPIC_LANGUAGE: Spoken(
            path="/anthropic/v1",
            drops=("/v1", "/anthropic"),
            auth=_X_API_KEY,
            default_headers=_ANTHROPIC_VERSION,
        ),
    },
    source="https://api-docs.deepseek.com/guides/anthropic_api",
    checked="2026-11",
    quirks=(
        "Comments and empty lines that keep a waiting connection alive pass, and count as nothing.",
        "402, for the hub's own balance, is never the caller's.",
    ),
)

# Its Messages path is deprecated, and so not used.
XAI = Profile(
    kind="xai",
    base_url="https://api.x.ai/v1",
    languages={OPENAI_LANGUAGE: _OPENAIS_LIMIT, RESPONSES_LANGUAGE: _RESPONSES},
    source="https://docs.x.ai/developers/model-capabilities/text/comparison",
    checked="2026-11",
    quirks=("Its Anthropic-shaped path is deprecated by the vendor and not used.",),
)

OPENROUTER = Profile(
    kind="openrouter",
    base_url="https://openrouter.ai/api/v1",
    languages={
        OPENAI_LANGUAGE: _PLAIN,
        RESPONSES_LANGUAGE: _RESPONSES,
        ANTHROPIC_LANGUAGE: Spoken(path="/v1", default_headers=_ANTHROPIC_VERSION),
    },
    source="https://openrouter.ai/docs/api/reference/streaming",
    checked="2026-11",
    quirks=(
        "Comments (`: OPENROUTER PROCESSING`) pass, and count as nothing.",
        "An error inside a stream, or `finish_reason: error`, ends the call as failed.",
        "The optional `HTTP-Referer` and `X-Title` are not sent.",
    ),
)

OLLAMA = Profile(
    kind="ollama",
    base_url="http://localhost:11434/v1",
    languages={
        OPENAI_LANGUAGE: Spoken(path="/v1", drops=("/api",)),
        RESPONSES_LANGUAGE: Spoken(path="/v1", drops=("/api",), limit_field="max_output_tokens"),
        ANTHROPIC_LANGUAGE: Spoken(path="/v1", drops=("/api",), default_headers=_ANTHROPIC_VERSION),
    },
    source="https://docs.ollama.com/api/openai-compatibility",
    checked="2026-11",
    is_keyless=True,
    quirks=(
        "Needs no credential; one is sent where it is declared, as its cloud wants it.",
        "`/api` at the end of an address, of older configurations, becomes `/v1`.",
    ),
)

DOUBAO = Profile(
    kind="doubao",
    base_url="https://ark.cn-beijing.volces.com/api/v3",
    languages={OPENAI_LANGUAGE: _PLAIN, RESPONSES_LANGUAGE: _RESPONSES},
    source="https://www.volcengine.com/docs/82379/1494384",
    checked="2026-11",
    quirks=("A model is called by its name or by an endpoint's id, `ep-…`.",),
)

POE = Profile(
    kind="poe",
    base_url="https://api.poe.com/v1",
    languages={
        OPENAI_LANGUAGE: _PLAIN,
        RESPONSES_LANGUAGE: _RESPONSES,
        ANTHROPIC_LANGUAGE: Spoken(
            path="/v1",
            auth=_X_API_KEY,
            default_headers=_ANTHROPIC_VERSION,
            models=re.compile("claude", re.IGNORECASE),
        ),
    },
    source="https://creator.poe.com/docs/external-applications/anthropic-compatible-api",
    checked="2026-11",
    quirks=("Only models named after Claude are reached in Anthropic's format.",),
)

# It answers 422 to members that it does not know, and sends usage in any case; of calls it takes
# no ids but its own kind. Reports: https://github.com/dnakov/anon-kode/issues/53,
# https://github.com/editor-code-assistant/eca/issues/231 and
# https://github.com/langchain-ai/langchain/pull/24668, read in November 2026.
MISTRAL = Profile(
    kind="mistral",
    base_url="https://api.mistral.ai/v1",
    languages={
        OPENAI_LANGUAGE: Spoken(
            refuses=("stream_options",),
            renames=(("max_completion_tokens", "max_tokens"),),
            call_id_length=9,
        )
    },
    source="https://docs.mistral.ai/api/endpoint/chat",
    checked="2026-11",
    quirks=(
        "`stream_options`, which it refuses, is left out: usage comes anyway.",
        "`max_completion_tokens`, which it refuses, is sent as `max_tokens`.",
        "Ids of calls that are not nine letters and digits, as another model's are, become so.",
    ),
)

GROQ = Profile(
    kind="groq",
    base_url="https://api.groq.com/openai/v1",
    languages={OPENAI_LANGUAGE: _OPENAIS_LIMIT, RESPONSES_LANGUAGE: _RESPONSES},
    source="https://console.groq.com/docs/openai",
    checked="2026-11",
    quirks=("Usage is read from `x_groq` too.",),
)

COHERE = Profile(
    kind="cohere",
    base_url="https://api.cohere.com",
    languages={
        OPENAI_LANGUAGE: Spoken(
            path="/compatibility/v1",
            drops=("/compatibility/v1", "/v2", "/v1"),
            elsewhere={"rerank": "/v2"},
        )
    },
    source="https://docs.cohere.com/docs/compatibility-api",
    checked="2026-11",
    quirks=("Reranking is at `/v2/rerank`, everything else at `/compatibility/v1`.",),
)

# Its wire is its own (providers/ideogram.py): OpenAI's pictures are what callers ask for.
IDEOGRAM = Profile(
    kind="ideogram",
    base_url="https://api.ideogram.ai",
    languages={
        OPENAI_LANGUAGE: Spoken(
            path="/v1/ideogram-v3", drops=("/generate", "/v1"), auth=("api-key", "{key}")
        )
    },
    source="https://developer.ideogram.ai/api-reference/api-reference/generate-v3",
    checked="2026-11",
    models_path=None,
    quirks=(
        "Pictures only, with version 3: `size` is its resolution, `quality` its rendering speed.",
        "Its own members (`style_type`, `seed`, `negative_prompt` and others) are sent along.",
        "Pictures come as addresses that end after a while; for `b64_json` the hub fetches them.",
    ),
)

PERPLEXITY = Profile(
    kind="perplexity",
    base_url="https://api.perplexity.ai",
    languages={OPENAI_LANGUAGE: _PLAIN},
    source="https://docs.perplexity.ai/docs/grounded-llm/openai-compatibility",
    checked="2026-11",
    models_path=None,
    quirks=("Reasoning is billed beside the output, and counted so.",),
)

TOGETHER = Profile(
    kind="together",
    base_url="https://api.together.xyz/v1",
    languages={OPENAI_LANGUAGE: _PLAIN},
    source="https://docs.together.ai/docs/openai-api-compatibility",
    checked="2026-11",
    quirks=("Lists its models as a bare array.",),
)

FIREWORKS = Profile(
    kind="fireworks",
    base_url="https://api.fireworks.ai/inference/v1",
    languages={OPENAI_LANGUAGE: _PLAIN},
    source="https://docs.fireworks.ai/tools-sdks/openai-compatibility",
    checked="2026-11",
)

VENDORS = (
    OPENAI,
    ANTHROPIC,
    GOOGLE,
    VERTEX,
    BEDROCK,
    AZURE,
    DEEPSEEK,
    XAI,
    OPENROUTER,
    OLLAMA,
    DOUBAO,
    POE,
    MISTRAL,
    GROQ,
    COHERE,
    IDEOGRAM,
    PERPLEXITY,
    TOGETHER,
    FIREWORKS,
    COMPATIBLE,
)
