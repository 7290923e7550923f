"""What a vendor is, as data: where it is, how it is addressed, what it speaks and how well."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

OPENAI_LANGUAGE: Final = "openai"
RESPONSES_LANGUAGE: Final = "openai-responses"
ANTHROPIC_LANGUAGE: Final = "anthropic"
GEMINI_LANGUAGE: Final = "gemini"
# Spoken by Bedrock alone, and by none of the hub's callers: every call in it is translated.
CONVERSE_LANGUAGE: Final = "bedrock-converse"
# Spoken by AIGNE's clients alone: no provider has it, so every call in it is translated.
AIGNE_LANGUAGE: Final = "aigne"

BEARER: Final = ("authorization", "Bearer {key}")


@dataclass(frozen=True, slots=True)
class Spoken:
    """Where and how a vendor speaks one wire format.

    The address ends with `path` whether or not an operator wrote that; `drops` are endings of
    a declared address, taken off in this order, that belong to another format, to an old
    configuration, or to calls that name them. `auth` is the header that carries the key, with
    `{key}` in its value. `limit_field` is the member that bounds the output of a chat.
    `default_headers` are sent where a call has none of its own by that name. `models` matches
    the names of the models that are reached in this format, None for all. `elsewhere` has the
    path, from the address without `path`, of operations that are not below it. A body must not
    have the members that `refuses` names; `renames` are members by the vendor's own name.
    Where `call_id_length` is set, ids of calls must be so many letters and digits.
    """

    path: str = ""
    drops: tuple[str, ...] = ()
    auth: tuple[str, str] = BEARER
    limit_field: str = "max_tokens"
    default_headers: tuple[tuple[str, str], ...] = ()
    models: re.Pattern[str] | None = None
    elsewhere: Mapping[str, str] | None = None
    refuses: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    call_id_length: int | None = None

    def address(self, url: str) -> str:
        """Return where this format is spoken by the vendor at a declared or known URL."""
        url = url.rstrip("/")
        for ending in self.drops:
            url = url.removesuffix(ending)
        return url if url.endswith(self.path) else url + self.path

    def authorisation(self, secret: str) -> list[tuple[str, str]]:
        """Return the headers that a request with this key has: none for a provider without one."""
        name, value = self.auth
        return [(name, value.format(key=secret))] if secret else []

    def reaches(self, model: str) -> bool:
        return self.models is None or self.models.search(model) is not None


@dataclass(frozen=True, slots=True)
class Profile:
    """How to call one vendor.

    `languages` are the wire formats it speaks, best first: what it does not speak is
    translated to the first. `base_url` is None where every account has its own, and `like`
    then shows what one looks like. `is_keyless` says that it may be called without a
    credential. `models_path` lists what a key may use, below the first language's address;
    None where nothing does. `takes_query` is what a declared address may end with behind
    a question mark, and `form` what it must be like. `quirks` are sentences for
    docs/providers.md. `source` is the page that it was checked against and `checked` when;
    `stored` says that it was a stored copy of the page, not the live one.
    """

    kind: str
    base_url: str | None
    languages: Mapping[str, Spoken]
    source: str
    checked: str
    stored: bool = True
    like: str = ""
    is_keyless: bool = False
    models_path: str | None = "/models"
    takes_query: re.Pattern[str] | None = None
    form: re.Pattern[str] | None = None
    quirks: tuple[str, ...] = ()

    @property
    def language(self) -> str:
        """Return the wire format this vendor speaks best."""
        return next(iter(self.languages))

    def spoken(self, language: str | None = None) -> Spoken:
        """Return how a language is spoken, without one the first."""
        return self.languages[language or self.language]

    def address(self, base_url: str | None, language: str | None = None) -> str:
        """Return where a language is spoken by a provider of this kind, without one the first."""
        url = base_url or self.base_url
        assert url is not None
        return self.spoken(language).address(url.partition("?")[0])
