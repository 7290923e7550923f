"""What generations of Claude accept, by the name of a model.

https://platform.claude.com/docs/en/build-with-claude/thinking, the pages on effort and on the
models' migrations beside it, in stored copies of November 2026. A name that is none of
Claude's tells nothing: its provider is asked for what all generations had.
"""

import re
from typing import NamedTuple

from aigne_hub.domain.inference import Effort

_NAME = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2})(?!\d))?")
_FIRST_THINKING = (3, 7)
_FIRST_STRICT = (4, 5)
_FIRST_ADAPTIVE = (4, 6)
# These refuse a budget of tokens, and to be told how to sample.
_FIRST_SELF_WILLED = (4, 7)
_FIRST_EITHER = (4, 1)
_EFFORTS: dict[Effort, str] = {"minimal": "low", "xhigh": "high"}


class Generation(NamedTuple):
    """`version` is None for models that are not Claude's."""

    version: tuple[int, int] | None

    @property
    def thinks(self) -> bool:
        return self.version is None or self.version >= _FIRST_THINKING

    @property
    def is_adaptive(self) -> bool:
        """Tell whether it takes an effort, and decides by itself how long it thinks."""
        return self.version is not None and self.version >= _FIRST_ADAPTIVE

    @property
    def is_sampled(self) -> bool:
        """Tell whether it takes temperature, top_p and top_k."""
        return self.version is None or self.version < _FIRST_SELF_WILLED

    @property
    def takes_either(self) -> bool:
        """Tell whether it takes temperature or top_p, and not both."""
        return self.version is not None and self.version >= _FIRST_EITHER

    @property
    def is_strict(self) -> bool:
        """Tell whether it can be held to the schema of a tool."""
        return self.version is not None and self.version >= _FIRST_STRICT

    def effort(self, wanted: Effort) -> str:
        """Return the word for an effort that this generation knows."""
        if wanted == "xhigh" and not self.is_sampled:
            return wanted
        return _EFFORTS.get(wanted, wanted)


def generation_of(model: str) -> Generation:
    found = _NAME.search(model)
    if found is None:
        return Generation(None)
    return Generation((int(found[1]), int(found[2] or 0)))
