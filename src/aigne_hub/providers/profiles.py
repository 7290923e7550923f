"""Vendors as data: where they are, how they are addressed, what they speak.

Each profile was checked against the page named, on the date named.
"""

from dataclasses import dataclass
from typing import Final

OPENAI_LANGUAGE: Final = "openai"
ANTHROPIC_LANGUAGE: Final = "anthropic"
GEMINI_LANGUAGE: Final = "gemini"


@dataclass(frozen=True, slots=True)
class Profile:
    """How to call one vendor.

    `auth` is the header that carries the key, with `{key}` in its value; a key may be
    absent. `limit_field` is the member that bounds the output of a chat. `languages` are the
    wire formats that are spoken at its address, which ends with `version_path` whether or not
    an operator wrote that; `versions` are what it never ends with, because calls name them.
    `default_headers` are sent where a call has none of its own by that
    name; `models_path` lists what a key may use.
    """

    kind: str
    base_url: str | None
    auth: tuple[str, str]
    limit_field: str
    source: str
    checked: str
    languages: frozenset[str] = frozenset({OPENAI_LANGUAGE})
    version_path: str = ""
    versions: tuple[str, ...] = ()
    default_headers: tuple[tuple[str, str], ...] = ()
    models_path: str = "/models"

    def address(self, base_url: str | None) -> str:
        """Return the base URL of a provider of this kind, where one is declared or its own."""
        url = base_url or self.base_url
        assert url is not None
        url = url.rstrip("/")
        for version in self.versions:
            url = url.removesuffix(version)
        return url if url.endswith(self.version_path) else url + self.version_path

    def authorisation(self, secret: str) -> list[tuple[str, str]]:
        """Return the headers that a request with this key has: none for a provider without one."""
        name, value = self.auth
        return [(name, value.format(key=secret))] if secret else []


OPENAI = Profile(
    kind="openai",
    base_url="https://api.openai.com/v1",
    auth=("authorization", "Bearer {key}"),
    limit_field="max_completion_tokens",
    source="https://platform.openai.com/docs/api-reference/chat/create",
    checked="2026-08",
)

# vLLM, llama.cpp, LM Studio, SGLang and every vendor with an OpenAI-compatible address.
COMPATIBLE = Profile(
    kind="openai-compatible",
    base_url=None,
    auth=("authorization", "Bearer {key}"),
    limit_field="max_tokens",
    source="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    checked="2026-08",
)

# Its clients name the address without the /v1 that all of its paths begin with, and others'
# addresses that speak its format (DeepSeek's, OpenRouter's) are written down the same way.
ANTHROPIC = Profile(
    kind="anthropic",
    base_url="https://api.anthropic.com/v1",
    auth=("x-api-key", "{key}"),
    limit_field="max_tokens",
    source="https://platform.claude.com/docs/en/api/overview",
    checked="2026-11",
    languages=frozenset({ANTHROPIC_LANGUAGE}),
    version_path="/v1",
    # Without a version of its own a request gets the oldest, which all that speak this wire
    # have: the hub never moves a caller to a newer one, which refuses what the older takes.
    # https://platform.claude.com/docs/en/api/versioning, November 2026.
    default_headers=(("anthropic-version", "2023-06-01"),),
    models_path="/models?limit=1000",
)

# Its clients name the address without a version: each call says which it means. Checked against
# the vendor's SDK and stored copies of the page, not the live one.
GOOGLE = Profile(
    kind="google",
    base_url="https://generativelanguage.googleapis.com",
    auth=("x-goog-api-key", "{key}"),
    limit_field="generationConfig.maxOutputTokens",
    source="https://ai.google.dev/api",
    checked="2026-11",
    languages=frozenset({GEMINI_LANGUAGE}),
    versions=("/v1beta", "/v1"),
    models_path="/v1beta/models?pageSize=1000",
)

_BY_KIND = {profile.kind: profile for profile in (OPENAI, COMPATIBLE, ANTHROPIC, GOOGLE)}
_LANGUAGES = {profile.kind: profile.languages for profile in _BY_KIND.values()}


def languages_of(kind: str) -> frozenset[str]:
    """Return the wire formats that providers of a kind speak; the built-in one speaks OpenAI's."""
    return _LANGUAGES.get(kind, COMPATIBLE.languages)


def profile_for(kind: str) -> Profile:
    """Return the profile of a provider kind; kinds without one of their own are compatible."""
    return _BY_KIND.get(kind, COMPATIBLE)


def profile_of(kind: str, base_url: str | None) -> Profile:
    """Return the profile of a provider kind.

    A kind without a profile of its own is OpenAI-compatible when it has an address; without
    one it cannot be reached: ValueError.
    """
    profile = profile_for(kind)
    if base_url is None and profile.base_url is None:
        raise ValueError(f"the provider kind {kind!r} needs a base_url")
    return profile
