"""The documents agree with the code and with each other."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.architecture.source_tree import ROOT

from aigne_hub.domain import errors
from aigne_hub.domain.calls import Outcome
from aigne_hub.hub_file import check_hub_file

DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "bench").glob("peers/*.md")])
HEADINGS = ["Context", "Decision", "Consequences", "Alternatives"]
README_LINES_MAX = 150  # exclusive
DECISION_LINES_MAX = 80  # a page

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_TARGET = re.compile(r"^([a-z-]+):.*## ", re.MULTILINE)


def prose(text: str) -> str:
    return _FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page as code hosts make them from its headings."""
    titles = (re.sub(r"[`*]", "", title).lower() for title in _HEADING.findall(prose(text)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def broken(page: Path, text: str) -> Iterator[str]:
    for link in _LINK.findall(prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not (target.exists() and target.is_relative_to(ROOT)) or (
            anchor and anchor not in anchors(target.read_text(encoding="utf-8"))
        ):
            yield link


def decisions() -> list[Path]:
    return sorted(DECISIONS.glob("*.md"))


def codes() -> set[str]:
    return {
        error.code
        for _, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.HubError)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path):
    assert list(broken(page, page.read_text(encoding="utf-8"))) == []


def test_every_page_is_in_the_index():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in _LINK.findall(prose(index))}
    pages = set(DOCS.rglob("*.md")) - {DOCS / "README.md"}
    assert {page.name for page in pages - linked} == set()


def test_decisions_are_numbered_without_a_gap():
    numbers = [int(page.name.partition("-")[0]) for page in decisions()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 11


@pytest.mark.parametrize("page", decisions(), ids=lambda page: page.stem)
def test_a_decision_has_its_four_parts(page: Path):
    text = page.read_text(encoding="utf-8")
    title, *parts = _HEADING.findall(prose(text))
    assert title.startswith(f"{page.name.partition('-')[0]} ")
    assert parts == HEADINGS
    assert len(text.splitlines()) <= DECISION_LINES_MAX


def test_every_make_target_is_explained():
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    assert {"run", "test", "lint"} <= targets
    pages = "".join((ROOT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md"))
    assert {
        target for target in targets if not re.search(rf"\bmake {target}(?![\w-])", pages)
    } == set()


def test_every_error_code_is_documented():
    page = (DOCS / "http.md").read_text(encoding="utf-8")
    assert len(codes()) > 10
    assert {code for code in codes() if f"`{code}`" not in page} == set()


def test_every_outcome_is_in_the_charging_table():
    page = (DOCS / "charging.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)`", page, re.MULTILINE)
    assert set(rows) >= set(Outcome)


def test_the_changelog_has_a_place_for_what_is_new():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]\n+### Added$", text, re.MULTILINE)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < README_LINES_MAX


def test_the_readmes_examples_are_valid(tmp_path: Path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (configuration,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (program,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    file = tmp_path / "hub.yaml"
    file.write_text(f"{configuration}billing: {{enabled: true}}\n", encoding="utf-8")
    assert check_hub_file(file, {"OPENAI_API_KEY": "sk-example"}) == []
    compile(program, "README.md", "exec")


@pytest.mark.parametrize(
    "planted", ["[a](gone.md)", "[a](README.md#no-such-part)", "[a](#nowhere)", "[a](../../x)"]
)
def test_a_broken_link_is_seen(planted: str):
    assert list(broken(ROOT / "README.md", f"# Title\n{planted}\n"))


def test_a_good_link_is_not_broken():
    text = "# A `title`: of two\n[a](#a-title-of-two) [b](docs/http.md#errors) [c](https://x.org)\n"
    page = ROOT / "README.md"
    assert [link for link in broken(page, text) if not link.startswith("#")] == []
    assert "a-title-of-two" in anchors(text)
