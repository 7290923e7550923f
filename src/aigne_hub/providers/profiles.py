"""Looking vendors up by the kind that a provider is declared with."""

from aigne_hub.providers.profile import (
    AIGNE_LANGUAGE,
    ANTHROPIC_LANGUAGE,
    CONVERSE_LANGUAGE,
    GEMINI_LANGUAGE,
    OPENAI_LANGUAGE,
    RESPONSES_LANGUAGE,
    Profile,
    Spoken,
)
from aigne_hub.providers.vendors import ANTHROPIC, COMPATIBLE, GOOGLE, OPENAI, VENDORS

__all__ = [
    "AIGNE_LANGUAGE",
    "ANTHROPIC",
    "ANTHROPIC_LANGUAGE",
    "COMPATIBLE",
    "CONVERSE_LANGUAGE",
    "GEMINI_LANGUAGE",
    "GOOGLE",
    "OPENAI",
    "OPENAI_LANGUAGE",
    "RESPONSES_LANGUAGE",
    "Profile",
    "Spoken",
    "is_keyless",
    "languages_of",
    "profile_for",
    "profile_of",
]

_BY_KIND = {profile.kind: profile for profile in VENDORS}
_COMPATIBLE_LANGUAGES = frozenset(COMPATIBLE.languages)
# None for kinds whose models are not all reached in the same formats.
_LANGUAGES = {
    profile.kind: None
    if any(each.models for each in profile.languages.values())
    else frozenset(profile.languages)
    for profile in VENDORS
}


def languages_of(kind: str, model: str | None = None) -> frozenset[str]:
    """Return the wire formats that providers of a kind speak, for one model or in all.

    The built-in provider speaks OpenAI's.
    """
    found = _LANGUAGES.get(kind, _COMPATIBLE_LANGUAGES)
    if found is not None:
        return found
    spoken = _BY_KIND[kind].languages
    return frozenset(
        language for language in spoken if model is None or spoken[language].reaches(model)
    )


def is_keyless(kind: str) -> bool:
    """Tell whether providers of a kind are called without a credential when they have none."""
    return profile_for(kind).is_keyless


def profile_for(kind: str) -> Profile:
    """Return the profile of a provider kind; kinds without one of their own are compatible."""
    return _BY_KIND.get(kind, COMPATIBLE)


def profile_of(kind: str, base_url: str | None) -> Profile:
    """Return the profile of a provider kind.

    A kind without a profile of its own is OpenAI-compatible when it has an address; without
    one it cannot be reached: ValueError, as for an address with a query it cannot have.
    """
    profile = _BY_KIND.get(kind)
    if base_url is None and (profile is None or profile.base_url is None):
        if profile is None:
            known = ", ".join(sorted(_BY_KIND))
            raise ValueError(
                f"the provider kind {kind!r} needs a base_url; kinds with an address of their own"
                f" or a form of it: {known}"
            )
        raise ValueError(f"the provider kind {kind!r} needs a base_url, like {profile.like}")
    profile = profile or COMPATIBLE
    query = (base_url or "").partition("?")[2]
    if query and not (profile.takes_query and profile.takes_query.fullmatch(query)):
        raise ValueError(f"the base_url of the kind {kind!r} must end with its path, without ?")
    if profile.form is not None and not profile.form.search((base_url or "").rstrip("/")):
        raise ValueError(f"the base_url of the kind {kind!r} must be like {profile.like}")
    return profile
