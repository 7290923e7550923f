"""An upstream's words without keys: it may repeat the hub's, or one of its caller's."""

import re
from typing import Final

import orjson

# A shorter credential is the dummy of a local server, not worth mangling words for.
SECRET_LENGTH_MIN: Final = 8
# What vendors' keys look like, for messages that repeat another or a masked one.
_KEYS: Final = re.compile(
    r"\b(?:(?:sk|pk|rk|key|gsk|xai|pplx|nvapi|hf|fw)[-_]|AIza|ya29\.|AKIA|ASIA)"
    r"[-_A-Za-z0-9*]{12,}"
)
# The parts of a credential that is JSON, an account's or a pair's, which may be said alone.
_PARTS: Final = ("private_key", "private_key_id", "secret_access_key", "session_token")


def without_keys(text: str, secret: str) -> str:
    """Return a text without this credential, or anything that looks like one."""
    for part in _parts(secret):
        text = _without_tail(text.replace(part, "[key]"), part)
    return _KEYS.sub("[key]", text)


def _without_tail(text: str, part: str) -> str:
    """Return a text without the beginning of a secret at its end, where it may have been cut."""
    for length in range(min(len(part) - 1, len(text)), SECRET_LENGTH_MIN - 1, -1):
        if text.endswith(part[:length]):
            return f"{text[:-length]}[key]"
    return text


def _parts(secret: str) -> list[str]:
    parts = [secret]
    if secret.startswith("{"):
        try:
            value = orjson.loads(secret)
        except orjson.JSONDecodeError:
            value = {}
        parts += [part for name in _PARTS if isinstance(part := value.get(name), str)]
    return [part for part in parts if len(part) >= SECRET_LENGTH_MIN]
