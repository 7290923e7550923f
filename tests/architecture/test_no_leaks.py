"""The tree says nothing of the machine it was written on, and installs only what is locked."""

import os
import re
import site
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.architecture.source_tree import ROOT

BYTES_MAX = 1_000_000
_TEXT = """
    .cfg .cjs .conf .css .html .in .ini .js .json .md .mjs .py .sh .sql .svg .toml .txt .yaml .yml
"""
TEXT = frozenset(_TEXT.split())
NAMED = frozenset({"Makefile", "Dockerfile", "run", ".gitignore", "LICENSE"})
# Made by tools, never committed.
_SKIPPED = """
    .git .venv .data .agents .clients .hypothesis .import_linter_cache .mypy_cache .pytest_cache
    .ruff_cache __pycache__ build dist node_modules site-packages
"""
SKIPPED = frozenset(_SKIPPED.split())
# Written so that no pattern matches its own text: this file is judged as well.
LEAKS = {
    "a home directory": re.compile(r"(?<![\w.~/-])/(?:root|home/\w|Users/\w)"),
    "a machine's own path": re.compile(r"(?<![\w.}~-])/(?:work|workspace|opt/py[p]i)/\w"),
    "a package index": re.compile(
        r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|proxy\.golang\.org|/simple[/]"
    ),
    "an index option": re.compile(r"--(?:extra-)?index-[u]rl|--find-[l]inks|--trusted-[h]ost"),
}
# Files that start code in every interpreter: the editable install's, and two known packages'.
PTH_ALLOWED = frozenset(
    {"_editable_impl_aigne_hub.pth", "a1_coverage.pth", "distutils-precedence.pth"}
)
LOCKS = ROOT / "requirements"
LOCKED = sorted(file.relative_to(LOCKS).as_posix() for file in LOCKS.rglob("*.txt"))
PIN = re.compile(
    r"[A-Za-z0-9._-]+(?:\[[\w,-]+\])?==[^\s;]+(?: ?;[^\\]+?)?(?: --hash=sha256:[0-9a-f]{64})+"
)


def leaks(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        for what, pattern in LEAKS.items():
            if pattern.search(line):
                yield f"line {number}: {what}"


def texts() -> Iterator[tuple[str, str]]:
    """Yield every text file of the tree, by its path."""
    for folder, inner, files in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in SKIPPED]
        for name in files:
            path = Path(folder, name)
            wanted = path.suffix in TEXT or name in NAMED
            if wanted and path.stat().st_size <= BYTES_MAX:
                yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def requirements(text: str) -> list[str]:
    """Return the logical lines of a requirements file, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [line.strip() for line in joined.splitlines() if line.strip()]


def test_no_file_names_a_machine_or_an_index():
    found = {name: list(leaks(text)) for name, text in texts()}
    assert len(found) > 100
    assert {name: what for name, what in found.items() if what} == {}


def test_nothing_else_starts_with_the_interpreter():
    if sys.prefix == sys.base_prefix:
        pytest.skip("not in an environment of its own")
    found = {file.name for folder in site.getsitepackages() for file in Path(folder).glob("*.pth")}
    assert found - PTH_ALLOWED == set()


@pytest.mark.parametrize("name", LOCKED)
def test_every_requirement_is_pinned_and_hashed(name: str):
    lines = requirements((LOCKS / name).read_text(encoding="utf-8"))
    assert lines
    assert [line for line in lines if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize(
    "planted",
    [
        "see {}root/notes.txt",
        "open('{}home/ada/x')",
        'DATA = "{}work/shared/data"',
        "pip install --index{}url=https://mirror.example demo",
        "https://files.python{}hosted.org/packages/x.whl",
    ],
)
def test_a_leak_is_seen(planted: str):
    cuts = {"index": "-", "python": ""}
    assert list(leaks(planted.format(next((cuts[c] for c in cuts if c in planted), "/"))))


@pytest.mark.parametrize(
    "harmless",
    [
        "GET /v1/models/openai/x",
        "/workers --workers",
        "https://example.com/works/",
        "127.0.0.1:8090",
    ],
)
def test_an_ordinary_path_is_no_leak(harmless: str):
    assert not list(leaks(harmless))


@pytest.mark.parametrize(
    "planted",
    [
        "demo==1.0",
        f"demo>=1.0 --hash=sha256:{'0' * 64}",
        f"--no-deps demo==1.0 --hash=sha256:{'0' * 64}",
        f"demo @ https://example.com/demo.whl --hash=sha256:{'0' * 64}",
        "demo==1.0 --hash=md5:0",
    ],
)
def test_an_unlocked_requirement_is_seen(planted: str):
    assert not PIN.fullmatch(planted)
