"""docs/usage.md says of every field what the tables do with it."""

from collections.abc import Iterator

import pytest
from tests.architecture.source_tree import ROOT

from aigne_hub.providers.usage import OPENAI, WIRES, Wire
from aigne_hub.providers.usage.figures import Role

PAGE = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
SECTIONS = {
    section.partition("`\n")[0]: section for section in PAGE.split("\n### `") if "`\n" in section
}
VARIANTS = {wire.name for wire in WIRES.values() if wire.free is OPENAI.free and wire is not OPENAI}


def named(paths: Iterator[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{path}`" for path in paths)


def rows(wire: Wire) -> Iterator[str]:
    """Yield the rows that a wire's section must have; of a variant those that differ."""
    known = OPENAI.figures if wire.name in VARIANTS else ()
    for figure in wire.figures:
        if figure not in known:
            yield f"| {named(figure.paths)} | {figure.role.value} |"
    if wire.name in VARIANTS:
        return
    for path, words in wire.labels.items():
        tiers = sorted({tier for tier in words.values() if tier != "standard"})
        yield f"| `{path}` | a tier of prices: {named(tuple(tiers))} |"
    for reason in dict.fromkeys(wire.free.values()):
        paths = (path for path, why in wire.free.items() if why == reason)
        yield f"| {named(paths)} | free: {reason} |"


@pytest.mark.parametrize("name", WIRES)
def test_every_field_of_a_wire_is_described(name: str):
    wire = WIRES[name]
    section = SECTIONS[name]
    assert wire.source in section
    for row in rows(wire):
        assert row in section


@pytest.mark.parametrize("role", Role)
def test_every_role_is_described(role: Role):
    assert f"\n| {role.value} | " in PAGE
