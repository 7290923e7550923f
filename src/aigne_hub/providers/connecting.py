"""Which class calls a provider in a language, and what keeps a provider from being called."""

from collections.abc import Callable, Iterable

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.ports import Clock
from aigne_hub.providers.anthropic import AnthropicUpstream
from aigne_hub.providers.azure import AzureUpstream, is_older_form
from aigne_hub.providers.bedrock import BedrockAnthropic, BedrockConverse
from aigne_hub.providers.bedrock_runtime import AccessKey, is_pair
from aigne_hub.providers.google import GoogleUpstream
from aigne_hub.providers.ideogram import IdeogramUpstream
from aigne_hub.providers.openai import OpenAIUpstream, ResponsesUpstream
from aigne_hub.providers.profile import (
    ANTHROPIC_LANGUAGE,
    CONVERSE_LANGUAGE,
    GEMINI_LANGUAGE,
    RESPONSES_LANGUAGE,
)
from aigne_hub.providers.profiles import profile_of
from aigne_hub.providers.service_account import ServiceAccount
from aigne_hub.providers.upstream import Upstream
from aigne_hub.providers.vertex import VertexAnthropic, VertexGemini, is_account
from aigne_hub.transport import Client, Origin

_CLASSES: dict[str, Callable[[Client, Provider, Credential], Upstream]] = {
    ANTHROPIC_LANGUAGE: AnthropicUpstream,
    GEMINI_LANGUAGE: GoogleUpstream,
    RESPONSES_LANGUAGE: ResponsesUpstream,
}
# Clouds: what they are called with ends, and is renewed or made anew for each call.
_TIMED: dict[tuple[str, str], Callable[[Client, Provider, str, Clock], Upstream]] = {
    ("vertex", GEMINI_LANGUAGE): VertexGemini.of,
    ("vertex", ANTHROPIC_LANGUAGE): VertexAnthropic.of,
    ("bedrock", ANTHROPIC_LANGUAGE): BedrockAnthropic.of,
    ("bedrock", CONVERSE_LANGUAGE): BedrockConverse.of,
}


def connected(
    client: Client, provider: Provider, credential: Credential, language: str, clock: Clock
) -> Upstream:
    """Return what calls a provider in one of the languages of its kind.

    Raises ValueError for an address or a credential that is none.
    """
    timed = _TIMED.get((provider.kind, language))
    if timed is not None:
        return timed(client, provider, credential.secret, clock)
    if provider.kind == "ideogram":
        return IdeogramUpstream(client, provider, credential)
    if provider.kind == "azure" and is_older_form(provider.base_url):
        return AzureUpstream(client, provider, credential)
    return _CLASSES.get(language, OpenAIUpstream)(client, provider, credential)


def misfit(kind: str, base_url: str | None, secrets: Iterable[str]) -> tuple[str, str] | None:
    """Return what of a declared provider cannot be called and why, None when all can be.

    The place is below the provider: `base_url` or `credentials[N].api_key`. No secret is shown.
    """
    try:
        origin = Origin.parse(profile_of(kind, base_url).address(base_url))
    except ValueError as error:
        return "base_url", str(error)
    for number, secret in enumerate(secrets):
        try:
            if kind == "vertex" and is_account(secret):
                ServiceAccount.parse(secret).request(0)
            if kind == "bedrock" and is_pair(secret):
                AccessKey.parse(secret, origin.host)
        except ValueError as error:
            return f"credentials[{number}].api_key", str(error)
    return None
