"""Values that hub.yaml and the environment share: how each is written, and what it becomes.

Messages say what a value must be and never show it, because any of them may be a secret.
"""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
)

from aigne_hub.domain.money import AMOUNT_MAX, DECIMALS_MAX, NANO_PER_CREDIT, parse_credits

URL_LENGTH_MAX = 2_048
THRESHOLDS_MAX = 8
SECRET_LENGTH_MAX = 1_024

CREDITS_PATTERN: Final = rf"[0-9]{{1,10}}(\.[0-9]{{1,{DECIMALS_MAX}}})?"


def _credits(value: object) -> int:
    if isinstance(value, float):
        raise ValueError('is a bare decimal number, which is inexact; quote it, like "0.15"')  # noqa: TRY004 - pydantic collects ValueError only
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError('must be a quoted decimal number, like "0.15"')  # noqa: TRY004 - as above
    text = str(value)
    if text.startswith("-"):
        raise ValueError("must not be negative")
    if not re.fullmatch(CREDITS_PATTERN, text):
        raise ValueError(f"must be a decimal number with at most {DECIMALS_MAX} places")
    try:
        return parse_credits(text)
    except ValueError:
        limit = AMOUNT_MAX // NANO_PER_CREDIT
        raise ValueError(f"must not be more than {limit} credits") from None


def listed(value: object) -> object:
    """Return what a variable holds, separated by commas, as the list that the file has."""
    return value.split(",") if isinstance(value, str) else value


def _web_url(url: str) -> str:
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("must not contain spaces or control characters")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("must be a URL like https://host or http://host:port/path")
    if "@" in urlsplit(url).netloc:
        raise ValueError("must not contain a user name or password")
    return url


def _base_url(url: str) -> str:
    if "?" in url or "#" in url:
        raise ValueError("must end with its path, without ? and #")
    return _web_url(url).rstrip("/")


def _provider_url(url: str) -> str:
    path, mark, query = url.partition("?")
    if mark and not re.fullmatch(r"api-version=[0-9A-Za-z.-]{1,40}", query):
        raise ValueError("must end with its path, without ? and #; Azure's may have ?api-version=")
    return _base_url(path) + mark + query


def _database_url(url: str) -> str:
    if url.startswith("sqlite:///"):
        file = url.removeprefix("sqlite:///")
        if file in {"", ":memory:"} or "?" in file:
            raise ValueError("must name a file after sqlite:///, without ? and parameters")
        return url
    try:
        usable = url.startswith("postgresql://") and urlsplit(url).port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            "must be sqlite:///relative/path, sqlite:////absolute/path"
            " or postgresql://user:password@host:port/database"
        )
    return url


def matching(pattern: str, message: str) -> AfterValidator:
    """Return a check that the whole text matches; `message` says what it must be."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(message)
        return text

    return AfterValidator(check)


_DECIMAL_SCHEMA: Final = {"type": "string", "pattern": f"^{CREDITS_PATTERN}$"}
CREDITS_SCHEMA: Final = {"anyOf": [_DECIMAL_SCHEMA, {"type": "integer", "minimum": 0}]}
_URL_SCHEMA: Final = {"type": "string", "pattern": "^https?://", "maxLength": URL_LENGTH_MAX}
_UrlText = Annotated[str, Field(max_length=URL_LENGTH_MAX)]

# A non-negative amount: a decimal string or an integer of credits, kept as nano-credits.
Credits = Annotated[int, BeforeValidator(_credits), WithJsonSchema(CREDITS_SCHEMA)]
# A list of such amounts; in a variable, separated by commas.
Thresholds = Annotated[
    tuple[Credits, ...], BeforeValidator(listed), Field(max_length=THRESHOLDS_MAX)
]
# http or https without user, query and fragment; kept without a slash at its end.
BaseUrl = Annotated[_UrlText, AfterValidator(_base_url), WithJsonSchema(_URL_SCHEMA)]
# The same, or with the version of Azure's interface: the profile of the kind says who may.
ProviderUrl = Annotated[_UrlText, AfterValidator(_provider_url), WithJsonSchema(_URL_SCHEMA)]
WebUrl = Annotated[_UrlText, AfterValidator(_web_url), WithJsonSchema(_URL_SCHEMA)]
DatabaseUrl = Annotated[_UrlText, AfterValidator(_database_url)]
ProxyUrl = Annotated[_UrlText, matching(r"http://\S+", "must be http://[user:password@]host:port")]
RedisUrl = Annotated[
    _UrlText, matching(r"(rediss?|unix)://\S+", "must be redis://…, rediss://… or unix://…")
]


def _secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if text != text.strip() or not (text.isascii() and text.isprintable()):
        raise ValueError("must be printable ASCII: no line breaks, no spaces at its ends")
    return secret


# A key or a signing secret; an empty one is kept, and means that there is none.
Secret = Annotated[SecretStr, Field(max_length=SECRET_LENGTH_MAX), AfterValidator(_secret)]


class Frozen(BaseModel):
    """A value that knows all its keys and never changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
