"""Deciding what an upstream's error is about: one way for answers, streams and events."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from aigne_hub.providers.complaints.causes import Cause
from aigne_hub.providers.complaints.names import (
    DECISIVE,
    IN_BAND,
    IN_FLIGHT,
    OVERLOADS,
    OWN_KEY,
    OWN_QUOTA,
    REMOTE_TOOL,
)
from aigne_hub.providers.complaints.phrases import HEARD, NOWHERE, OPENINGS
from aigne_hub.providers.complaints.words import HEARD_MAX, Complaint

# Anthropic's for more requests than it can serve, which is nobody's rate limit.
OVERLOADED: Final = 529
_NO_PARAM: Final = frozenset({None, "", "model"})
_BY_STATUS: Final = {
    401: Cause.CREDENTIAL,
    402: Cause.CREDIT,
    403: Cause.CREDENTIAL,
    408: Cause.TIMED_OUT,
    409: Cause.CONFLICT,
    410: Cause.MODEL,
    413: Cause.CALLER,
    422: Cause.CALLER,
    429: Cause.THROTTLED,
    451: Cause.REGION,
    498: Cause.OVERLOADED,  # Groq's flex tier
    503: Cause.OVERLOADED,
    504: Cause.TIMED_OUT,
    524: Cause.TIMED_OUT,  # Cloudflare's
    OVERLOADED: Cause.OVERLOADED,
}
# Where the status leaves it open: what the names say, and what it is without them.
_Tables = tuple[Mapping[Cause, AbstractSet[str]], Cause]
_TABLES: Final[Mapping[int, _Tables]] = {
    0: (IN_BAND, Cause.BROKEN),
    400: ({Cause.CREDENTIAL: OWN_KEY, Cause.THROTTLED: OWN_QUOTA}, Cause.CALLER),
}
_FAILED: Final[_Tables] = ({Cause.OVERLOADED: OVERLOADS}, Cause.BROKEN)


def cause_of(status: int, said: Complaint) -> Cause:
    """Return what an answer of this HTTP status is about, 0 for an error without one."""
    if said.names & IN_FLIGHT:
        return Cause.THROTTLED
    for cause, names in DECISIVE.items():
        if said.names & names and (cause is not Cause.MODEL or said.param in _NO_PARAM):
            return cause
    return _heard(status, said) or _by_status(status, said)


def _heard(status: int, said: Complaint) -> Cause | None:
    text = said.message[:HEARD_MAX].lower()
    anywhere = HEARD.get(status)
    if anywhere is not None:
        return next((cause for cause, words in anywhere if words.search(text)), None)
    if status in _BY_STATUS and status not in {410, 413, 422}:
        return None
    return next((cause for cause, words in OPENINGS if words.match(text)), None)


def _by_status(status: int, said: Complaint) -> Cause:
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if status == 404:
        text = said.message[:HEARD_MAX].strip().lower()
        return Cause.MODEL if not text or NOWHERE.fullmatch(text) else Cause.CALLER
    if status == 424 and (said.names & REMOTE_TOOL or "mcp" in said.message.lower()):
        return Cause.CALLER
    tables, otherwise = _TABLES.get(status, _FAILED)
    return next((cause for cause, names in tables.items() if said.names & names), otherwise)
