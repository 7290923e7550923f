"""Which class calls a provider in a language."""

from collections.abc import Callable

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.providers.anthropic import AnthropicUpstream
from aigne_hub.providers.azure import AzureUpstream, is_older_form
from aigne_hub.providers.google import GoogleUpstream
from aigne_hub.providers.openai import OpenAIUpstream, ResponsesUpstream
from aigne_hub.providers.profile import ANTHROPIC_LANGUAGE, GEMINI_LANGUAGE, RESPONSES_LANGUAGE
from aigne_hub.providers.upstream import Upstream
from aigne_hub.transport import Client

_CLASSES: dict[str, Callable[[Client, Provider, Credential], Upstream]] = {
    ANTHROPIC_LANGUAGE: AnthropicUpstream,
    GEMINI_LANGUAGE: GoogleUpstream,
    RESPONSES_LANGUAGE: ResponsesUpstream,
}


def connected(
    client: Client, provider: Provider, credential: Credential, language: str
) -> Upstream:
    """Return what calls a provider in one of the languages of its kind.

    Raises ValueError for an address that is none.
    """
    if provider.kind == "azure" and is_older_form(provider.base_url):
        return AzureUpstream(client, provider, credential)
    return _CLASSES.get(language, OpenAIUpstream)(client, provider, credential)
