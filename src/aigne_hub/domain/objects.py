"""What a call leaves at its provider: a stored response, the job of a video.

Such an object belongs to one account of the hub and is reached with one credential alone.
"""

import re
from typing import Final, NamedTuple

RESPONSE: Final = "response"
VIDEO: Final = "video"
# How long an object is known. OpenAI keeps responses for 30 days, everybody keeps films for less.
KNOWN_US: Final = 31 * 24 * 3600 * 1_000_000
# The hub asks after a video by itself, first so long after it was begun, then at twice its age
# each time, within a day: one that failed is refunded though nobody asked.
ASK_AFTER_US: Final = 600 * 1_000_000
ASKED_US: Final = 24 * 3600 * 1_000_000
ID_CHARS_MAX: Final = 256
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]*")


class Made(NamedTuple):
    """An object that an answer named, by the id its provider gave it."""

    kind: str
    id: str


class Followed(NamedTuple):
    """An object that a request names, in its member `param`."""

    kind: str
    id: str
    param: str | None = None


class UpstreamObject(NamedTuple):
    """Where an object is: `model` is the reference that made it, in the call `call_id`."""

    id: str
    kind: str
    provider: str
    credential: str
    model: str
    call_id: str
    created_us: int


def made(kind: str, identifier: object) -> Made | None:
    """Return the object that an answer named, None for what cannot be an id."""
    if isinstance(identifier, str) and is_id(identifier):
        return Made(kind, identifier)
    return None


def next_ask_us(created_us: int, now_us: int) -> int | None:
    """Return when to ask again after an object, None when it has been asked after long enough."""
    age_us = max(2 * (now_us - created_us), ASK_AFTER_US)
    return created_us + age_us if age_us <= ASKED_US else None


def is_id(text: str) -> bool:
    """Tell whether a text can be an id, which stands in paths as it is."""
    return len(text) <= ID_CHARS_MAX and _ID.fullmatch(text) is not None
