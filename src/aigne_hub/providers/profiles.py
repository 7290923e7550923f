"""Vendors as data: where they are, how they are addressed, what they speak.

Each profile was checked against the page named, on the date named.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """How to call one vendor.

    `auth` is the header that carries the key, with `{key}` in its value; a key may be
    absent. `limit_field` is the member that bounds the output of a chat.
    """

    kind: str
    base_url: str | None
    auth: tuple[str, str]
    limit_field: str
    source: str
    checked: str


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

_BY_KIND = {profile.kind: profile for profile in (OPENAI, COMPATIBLE)}


def profile_of(kind: str, base_url: str | None) -> Profile:
    """Return the profile of a provider kind.

    A kind without a profile of its own is OpenAI-compatible when it has an address; without
    one it cannot be reached: ValueError.
    """
    profile = _BY_KIND.get(kind)
    if profile is None:
        profile = COMPATIBLE
    if base_url is None and profile.base_url is None:
        raise ValueError(f"the provider kind {kind!r} needs a base_url")
    return profile
