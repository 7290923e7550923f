"""docs/agents.md and the agents that are installed and run are the same."""

import json
import re

import pytest
from tests.agents.table import AGENTS, Agent
from tests.agents.test_agents import RUNS, VENDORS
from tests.architecture.source_tree import ROOT

from aigne_hub.cli.snippet import SNIPPETS

PAGE = (ROOT / "docs/agents.md").read_text(encoding="utf-8")
MODELS = {
    "chat": "OpenAI-compatible",
    "responses": "OpenAI",
    "anthropic": "Anthropic",
    "gemini": "Gemini",
}


def versions() -> dict[str, str]:
    """Return what is installed, by package."""
    locked = json.loads((ROOT / "tests/agents/package-lock.json").read_text(encoding="utf-8"))
    asked = json.loads((ROOT / "tests/agents/package.json").read_text(encoding="utf-8"))
    node = {
        name: locked["packages"][f"node_modules/{name}"]["version"]
        for name in asked["dependencies"]
    }
    assert node == asked["dependencies"]
    aider = (ROOT / "requirements/aider.in").read_text(encoding="utf-8").split()
    return node | dict(line.split("==") for line in aider)


def row_of(agent: Agent) -> list[str]:
    (row,) = re.findall(rf"^\|.*`aigne-hub snippet {agent.name}`.*\|$", PAGE, re.MULTILINE)
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_each_agent_has_its_version_its_set_up_and_its_runs_on_the_page(agent: Agent):
    _, version, setup, _, models = row_of(agent)
    assert version == versions()[agent.package]
    assert (agent.file or "in the shell") in setup
    run = {MODELS[wire] for other, wire in RUNS if other.name == agent.name}
    assert set(models.split(", ")) == run
    assert agent.name in SNIPPETS


def test_every_installed_agent_runs_at_two_formats_at_least():
    assert {agent.package for agent in AGENTS} == set(versions())
    for agent in AGENTS:
        assert len({wire for other, wire in RUNS if other is agent}) >= 2
    assert {wire for _, wire in RUNS} == set(VENDORS)


@pytest.mark.parametrize(
    ("client", "model"),
    [("claude-code", "openai/gpt-5"), ("codex", "anthropic/claude-sonnet-4-5")],
)
def test_the_set_ups_on_the_page_are_what_the_command_prints(client: str, model: str):
    text = SNIPPETS[client].replace("@URL@", "http://127.0.0.1:8090")
    assert text.replace("@KEY@", "YOUR-KEY").replace("@MODEL@", model) in PAGE
