"""The code as syntax trees, for tests that judge how it is written."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "aigne_hub"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the package. `name` is its path below the package, such as `domain/money.py`."""

    name: str
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, name: str, text: str) -> "Module":
        return cls(name, text, ast.parse(text))

    def functions(self) -> Iterator[Function]:
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node


def modules(*paths: str) -> list[Module]:
    """Return the modules at these paths below the package, folders with all they hold.

    Raises FileNotFoundError for a path that does not exist, so that no rule goes blind.
    """
    found = []
    for path in paths or (".",):
        place = PACKAGE / path
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        found += [
            Module.of(file.relative_to(PACKAGE).as_posix(), file.read_text(encoding="utf-8"))
            for file in files
        ]
    return found
