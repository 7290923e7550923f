"""docs/clients.md and the clients that are installed and run are the same."""

import re

import pytest
from tests.architecture.source_tree import ROOT
from tests.clients.matrix.table import ALL, CLIENTS, Client, locked_version, version_in
from tests.environments import LOCKS

from aigne_hub.cli.snippet import SNIPPETS

PAGE = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
OWN_TOOLS = {"node", "uv"}
# Not clients: other people's packages that say what is right.
ORACLES = {"arcblock", "openid-node"}


def row_of(package: str, runtime: str) -> list[str]:
    """Return the cells of the row about a client."""
    (row,) = re.findall(rf"^\| `{re.escape(package)}` \| {runtime} \|.*\|$", PAGE, re.MULTILINE)
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_each_client_has_its_version_its_wires_and_its_features_on_the_page(client: Client):
    runtime = {"python": "Python", "node": "Node"}[client.runtime]
    _, _, version, wires, features, quick = row_of(client.package, runtime)
    assert version == locked_version(client)
    assert set(wires.split("; ")) == set(client.wires)
    (played,) = set(client.wires.values())
    said = set(features.split(", "))
    assert ((said - {"all five"}) | (ALL if "all five" in said else set())) == played
    assert quick == ("yes" if client.quick else "")


@pytest.mark.parametrize("package", ["openai", "anthropic", "google-genai"])
def test_the_clients_of_the_suite_itself_have_their_version_on_the_page(package: str):
    lock = (ROOT / "requirements/dev.txt").read_text(encoding="utf-8")
    assert row_of(package, "Python")[2] == version_in(lock, package)


def test_every_lock_is_of_a_client_that_runs():
    locks = {file.stem for file in LOCKS.glob("*.txt")} - OWN_TOOLS
    locks |= {file.parent.name for file in LOCKS.glob("*/package-lock.json")}
    assert locks - ORACLES == {client.name for client in CLIENTS}


def test_every_snippet_that_the_page_says_is_run_is_one():
    said = PAGE.partition("What it prints for")[2].partition("the agents'")[0]
    named = re.findall(r"`([a-z-]+)`", said)
    assert len(named) == 8
    assert set(named) <= set(SNIPPETS)


def test_no_lock_names_a_host():
    locks = [file for file in LOCKS.rglob("*") if file.is_file()]
    assert len(locks) > len(CLIENTS)
    assert [file.name for file in locks if "://" in file.read_text(encoding="utf-8")] == []
