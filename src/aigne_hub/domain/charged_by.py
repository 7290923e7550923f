"""Which prices each type of model can have."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from aigne_hub.domain.pricing import NESTED, TOKEN_UNITS, Amounts


class Units(NamedTuple):
    """Any unit of `enough` makes a price; those of `extra` only add to one."""

    enough: tuple[str, ...]
    extra: tuple[str, ...]


# Prices of tokens that refine `input` and `output`.
REFINED: Final = tuple(unit for unit in TOKEN_UNITS if unit not in {"input", "output"})

CHARGED_BY: Final[Mapping[str, Units]] = {
    "chat": Units(("input", "output", "request"), (*REFINED, "image", "search", "second")),
    "embedding": Units(
        ("input", "characters", "request"), ("audio_input", "image_input", "image", "second")
    ),
    "image": Units(
        ("image", "images", "input", "output", "second", "request"), (*REFINED, "search")
    ),
    "video": Units(("second", "input", "output", "request"), (*REFINED, "image", "images")),
    "speech": Units(("characters", "input", "output", "second", "request"), REFINED),
    "transcription": Units(("second", "input", "output", "request"), REFINED),
    "rerank": Units(("request", "input", "output", "search"), ()),
    "moderation": Units(("input", "output", "request"), ("image_input", "image")),
}
MODEL_TYPES: Final = tuple(CHARGED_BY)


def misfit(kind: str, amounts: Amounts) -> str | None:
    """Return why a model of a type cannot have these prices; None when it can.

    Nested prices count too: a tier has no unit that its card could not have.
    """
    units = CHARGED_BY[kind]
    if foreign := ", ".join(sorted(_named(amounts) - {*units.enough, *units.extra})):
        return f"{foreign}: no {kind} rate; use {', '.join((*units.enough, *units.extra))}"
    if not amounts.keys() & set(units.enough):
        return f"has no rate for the type {kind}: give {' or '.join(units.enough)}"
    return None


def _named(amounts: Amounts) -> set[str]:
    """Return every unit that has a price anywhere in a card."""
    found = {unit for unit in amounts if unit not in NESTED}
    if "images" in amounts:
        found.add("images")
    for tier in amounts.get("long_context") or ():
        found |= _named({unit: price for unit, price in tier.items() if unit != "above"})
    for tier in (amounts.get("service_tiers") or {}).values():
        found |= _named(tier)
    return found
