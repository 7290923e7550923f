"""What calls a provider in a language, and what keeps a provider from being called.

The code of a kind or a language is loaded by the first of its providers: `prepare` sees to it
before there is a call.
"""

from collections.abc import Callable, Iterable, Mapping

from aigne_hub.at_first_use import at_first_use
from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.ports import Clock
from aigne_hub.providers.languages.registry import translated_to, translator_of
from aigne_hub.providers.openai import OpenAIUpstream, ResponsesUpstream
from aigne_hub.providers.profile import (
    ANTHROPIC_LANGUAGE,
    CONVERSE_LANGUAGE,
    GEMINI_LANGUAGE,
    RESPONSES_LANGUAGE,
)
from aigne_hub.providers.profiles import languages_of, profile_of
from aigne_hub.providers.upstream import Upstream
from aigne_hub.transport import Client, Origin

Make = Callable[[Client, Provider, Credential, Clock], Upstream]


def connected(
    client: Client, provider: Provider, credential: Credential, language: str, clock: Clock
) -> Upstream:
    """Return what calls a provider in one of the languages of its kind.

    Raises ValueError for an address or a credential that is none.
    """
    return _adapter(provider, language)(client, provider, credential, clock)


def prepare(provider: Provider, model: str, model_type: str) -> None:
    """Load what calls a model, and what translates its answers for callers of other formats."""
    spoken = languages_of(provider.kind, model)
    for language in spoken:
        _adapter(provider, language)
    if translated_to(model_type, spoken) is not None:
        translator_of(model_type, spoken)


def _adapter(provider: Provider, language: str) -> Make:
    clouds = _CLOUDS.get(provider.kind)
    timed = None if clouds is None else clouds().get(language)
    if timed is not None:
        return timed
    if provider.kind == "ideogram":
        return _ideogram()
    # An address with a query names a version of Azure's interface, as the older paths need it.
    if provider.kind == "azure" and "?" in (provider.base_url or ""):
        return _azure()
    return _LANGUAGES.get(language, _openai)()


def _lasting(of: Callable[[Client, Provider, Credential], Upstream]) -> Make:
    return lambda client, provider, credential, _clock: of(client, provider, credential)


def _timed(of: Callable[[Client, Provider, str, Clock], Upstream]) -> Make:
    """Return what connects to a cloud: what it is called with ends, and is renewed or made anew."""
    return lambda client, provider, credential, clock: of(
        client, provider, credential.secret, clock
    )


@at_first_use
def _openai() -> Make:
    return _lasting(OpenAIUpstream)


@at_first_use
def _responses() -> Make:
    return _lasting(ResponsesUpstream)


@at_first_use
def _anthropic() -> Make:
    from aigne_hub.providers.anthropic import AnthropicUpstream

    return _lasting(AnthropicUpstream)


@at_first_use
def _google() -> Make:
    from aigne_hub.providers.google import GoogleUpstream

    return _lasting(GoogleUpstream)


@at_first_use
def _azure() -> Make:
    from aigne_hub.providers.azure import AzureUpstream

    return _lasting(AzureUpstream)


@at_first_use
def _ideogram() -> Make:
    from aigne_hub.providers.ideogram import IdeogramUpstream

    return _lasting(IdeogramUpstream)


@at_first_use
def _vertex() -> Mapping[str, Make]:
    from aigne_hub.providers.vertex import VertexAnthropic, VertexGemini

    return {
        GEMINI_LANGUAGE: _timed(VertexGemini.of),
        ANTHROPIC_LANGUAGE: _timed(VertexAnthropic.of),
    }


@at_first_use
def _bedrock() -> Mapping[str, Make]:
    from aigne_hub.providers.bedrock import BedrockAnthropic, BedrockConverse

    return {
        ANTHROPIC_LANGUAGE: _timed(BedrockAnthropic.of),
        CONVERSE_LANGUAGE: _timed(BedrockConverse.of),
    }


@at_first_use
def _check_account() -> Callable[[str], None]:
    from aigne_hub.providers.service_account import ServiceAccount
    from aigne_hub.providers.vertex import is_account

    def check(secret: str) -> None:
        if is_account(secret):
            ServiceAccount.parse(secret).request(0)

    return check


@at_first_use
def _check_pair() -> Callable[[str, str], None]:
    from aigne_hub.providers.bedrock_runtime import AccessKey, is_pair

    def check(secret: str, host: str) -> None:
        if is_pair(secret):
            AccessKey.parse(secret, host)

    return check


_LANGUAGES: Mapping[str, Callable[[], Make]] = {
    ANTHROPIC_LANGUAGE: _anthropic,
    GEMINI_LANGUAGE: _google,
    RESPONSES_LANGUAGE: _responses,
}
_CLOUDS: Mapping[str, Callable[[], Mapping[str, Make]]] = {"vertex": _vertex, "bedrock": _bedrock}


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
            if kind == "vertex":
                _check_account()(secret)
            if kind == "bedrock":
                _check_pair()(secret, origin.host)
        except ValueError as error:
            return f"credentials[{number}].api_key", str(error)
    return None
