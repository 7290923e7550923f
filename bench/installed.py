"""What a gateway puts on the disk: packages and their size, without interpreter and database."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What makes an environment rather than what is installed into it.
TOOLS = {"pip", "setuptools", "wheel"}
MIB = 1024 * 1024


@dataclass(frozen=True)
class Installed:
    """Packages of the ecosystem's own kind; `mib` of what their records list."""

    packages: int
    mib: float


def of_distribution(name: str) -> Installed:
    """Count a distribution of this interpreter and all that it requires, extras left out."""
    found: dict[str, Distribution] = {}
    by_name = {canonicalize_name(each.metadata["Name"]): each for each in distributions()}
    waiting = [(canonicalize_name(name), "")]
    seen = set(waiting)
    while waiting:
        wanted, extra = waiting.pop()
        found[wanted] = by_name[wanted]
        for line in by_name[wanted].requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                required = canonicalize_name(requirement.name)
                new = {(required, each) for each in ("", *requirement.extras)} - seen
                seen |= new
                waiting += new
    size = sum(map(_size, found.values()))
    # An editable installation lists no sources.
    sources = Path(__file__).parents[1] / "src" / name.replace("-", "_")
    if sources.exists():
        size += _tree(sources)
    return Installed(len(found), size / MIB)


def of_environment(python: Path) -> Installed:
    """Count what a virtual environment holds."""
    (packages,) = (python.parents[1] / "lib").glob("python*/site-packages")
    found = {
        canonicalize_name(each.metadata["Name"]): each
        for each in distributions(path=[str(packages)])
    }
    counted = [each for name, each in found.items() if name not in TOOLS]
    return Installed(len(counted), sum(map(_size, counted)) / MIB)


def of_node_modules(folder: Path) -> Installed:
    """Count what npm has put there."""
    listed = json.loads((folder / ".package-lock.json").read_text())["packages"]
    return Installed(len(listed), _tree(folder) / MIB)


def of_program(program: str) -> Installed:
    """Count one executable file, which is all that is used of its package."""
    path = shutil.which(program) or program
    return Installed(1, Path(path).stat().st_size / MIB)


def _size(distribution: Distribution) -> int:
    files = (Path(str(distribution.locate_file(file))) for file in distribution.files or ())
    return sum(file.stat().st_size for file in files if file.is_file())


def _tree(folder: Path) -> int:
    return sum(
        Path(place, name).lstat().st_size
        for place, _, names in os.walk(folder)
        if Path(place).name != "__pycache__"
        for name in names
    )


if __name__ == "__main__":
    print(of_distribution(sys.argv[1]))
