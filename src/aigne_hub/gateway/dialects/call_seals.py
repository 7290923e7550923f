"""The seal of a tool's call, in formats that have a place for seals of reasoning only.

It is written as a block of reasoning that is nothing but a seal, just before the call.
"""

from collections.abc import Iterable

from aigne_hub.domain.inference import Part, Reasoning, Seal, ToolCall

_MARK = "call-"


def as_reasoning(seal: Seal) -> Seal:
    """Return how the seal of a call is told from one of reasoning."""
    return Seal(_MARK + seal.origin, seal.value)


def gathered(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Return a message's parts with such blocks put back on the calls they stand before."""
    content: list[Part] = []
    waiting: Seal | None = None
    for part in parts:
        if isinstance(part, Reasoning) and part.seal and part.seal.origin.startswith(_MARK):
            waiting = Seal(part.seal.origin.removeprefix(_MARK), part.seal.value)
            continue
        if isinstance(part, ToolCall) and waiting is not None:
            content.append(
                ToolCall(part.id, part.name, part.arguments, part.is_custom, waiting, part.cache)
            )
            waiting = None
        else:
            content.append(part)
    return tuple(content)
