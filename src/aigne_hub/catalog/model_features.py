"""What models read, write and can do, as their vendors say, by the beginnings of their names.

Only what is known of a whole family stands here: for any other model nothing is claimed beyond
its type. https://platform.openai.com/docs/models, https://platform.claude.com/docs/en/models/overview,
https://ai.google.dev/gemini-api/docs/models: from stored copies of 2026, not the live pages.
"""

import re
from typing import Final, NamedTuple

TEXT, IMAGE, AUDIO, VIDEO, FILE = "text", "image", "audio", "video", "file"
TOOLS, REASONING, STRUCTURED = "tools", "reasoning", "structured_output"


class Features(NamedTuple):
    """Kinds of media in and out, and what a caller may ask for."""

    input: tuple[str, ...]
    output: tuple[str, ...]
    features: tuple[str, ...] = ()


_BY_TYPE: Final = {
    "chat": Features((TEXT,), (TEXT,)),
    "embedding": Features((TEXT,), ("embedding",)),
    "image": Features((TEXT,), (IMAGE,)),
    "video": Features((TEXT,), (VIDEO,)),
    "speech": Features((TEXT,), (AUDIO,)),
    "transcription": Features((AUDIO,), (TEXT,)),
    "rerank": Features((TEXT,), ("score",)),
    "moderation": Features((TEXT,), ("score",)),
}
_SEES: Final = (TEXT, IMAGE)
_READS: Final = (TEXT, IMAGE, FILE)
_FULL: Final = (TOOLS, STRUCTURED, REASONING)
_ALL: Final = (TEXT, IMAGE, AUDIO, VIDEO, FILE)
# The first that fits. A name may stand behind a vendor's or in a region's.
_FAMILIES: Final = tuple(
    (re.compile(rf"(?:^|[/.]){pattern}"), features)
    for pattern, features in (
        (r"gpt-image-", Features(_SEES, (IMAGE,))),
        (r"gpt-4o.*-audio|gpt-audio", Features((TEXT, AUDIO), (TEXT, AUDIO), (TOOLS,))),
        (
            r"gpt-(?:5|[6-9])|o[34](?:-|$)|o1(?:$|-20)",
            Features(_READS, (TEXT,), _FULL),
        ),
        (r"gpt-4(?:o|\.1)", Features(_READS, (TEXT,), (TOOLS, STRUCTURED))),
        (r"gpt-4-turbo", Features(_SEES, (TEXT,), (TOOLS,))),
        (r"gpt-(?:4|3\.5-turbo)", Features((TEXT,), (TEXT,), (TOOLS,))),
        (r"gpt-oss", Features((TEXT,), (TEXT,), _FULL)),
        (r"claude-3-(?:5-haiku|haiku|opus|sonnet|5-sonnet)", Features(_READS, (TEXT,), (TOOLS,))),
        (r"claude-", Features(_READS, (TEXT,), _FULL)),
        (r"gemini-.*-image", Features(_SEES, (TEXT, IMAGE))),
        (r"gemini-embedding", Features((TEXT,), ("embedding",))),
        (r"gemini-(?:1|2\.0)", Features(_ALL, (TEXT,), (TOOLS, STRUCTURED))),
        (r"gemini-", Features(_ALL, (TEXT,), _FULL)),
        (r"deepseek-(?:reasoner|r\d)", Features((TEXT,), (TEXT,), (TOOLS, REASONING))),
        (r"deepseek-", Features((TEXT,), (TEXT,), (TOOLS, STRUCTURED))),
        (r"grok-", Features(_SEES, (TEXT,), _FULL)),
    )
)


def features_of(name: str, kind: str) -> Features:
    """Return what is known of a model by its name and type."""
    family = _family_of(name) if kind in {"chat", "image"} else None
    return family or _BY_TYPE.get(kind, Features((), ()))


def known_input(name: str) -> tuple[str, ...] | None:
    """Return the media a model reads, None when nothing is known of its family."""
    family = _family_of(name)
    return None if family is None else family.input


def _family_of(name: str) -> Features | None:
    return next((features for family, features in _FAMILIES if family.search(name)), None)
