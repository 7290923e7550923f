"""Coding agents do a task through a hub, with models of providers of every format.

Each run has a home directory of its own and a proxy that lets nobody through; `make test-agents`
gives them all a network of its own besides.
"""

import os
import re
import secrets
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.agents.model import Model
from tests.agents.play import DONE, with_edits, with_tools
from tests.agents.table import (
    AGENTS,
    ANSWER,
    CLAUDE_CODE_SEARCHING,
    CODEX,
    CODEX_PATCHING,
    CODEX_PROGRAMMING,
    FILES,
    Agent,
)
from tests.agents.trap import ProxyTrap
from tests.agents.wire import CACHED, Tokens
from tests.architecture.source_tree import ROOT
from tests.hub import HubProcess
from tests.patience import until

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]

INSTALLED = ROOT / ".agents"
RUN_S = 180
RATES = {"input": "1000", "cache_read": "100", "output": "2000"}
# What a call of another model stands under at Google, where its signature was lost.
UNSIGNED = "skip_thought_signature_validator"


@dataclass(frozen=True, slots=True)
class Vendor:
    """A provider that speaks one format, and a model of it."""

    kind: str
    model: str
    path: str = ""


VENDORS = {
    "chat": Vendor("openai-compatible", "llama-4-maverick", "/v1"),
    "responses": Vendor("openai", "gpt-5.1-codex", "/v1"),
    "anthropic": Vendor("anthropic", "claude-sonnet-4-6"),
    "gemini": Vendor("google", "gemini-3-pro"),
}
RUNS = [(agent, wire) for agent in AGENTS for wire in ("chat", "anthropic", "gemini")]
RUNS += [(agent, wire) for agent in (CODEX_PATCHING, CODEX_PROGRAMMING) for wire in VENDORS]
RUNS += [(CLAUDE_CODE_SEARCHING, wire) for wire in ("chat", "anthropic", "gemini")]
RUNS.append((CODEX, "responses"))
FOREIGN = [(agent, "chat" if agent.name == "claude-code" else "anthropic") for agent in AGENTS]


def config_for(vendor: Vendor, origin: str, alias: str) -> dict[str, Any]:
    provider = {
        "name": "vendor",
        "kind": vendor.kind,
        "base_url": origin + vendor.path,
        "credentials": [{"name": "main", "api_key": "sk-good"}],
    }
    model = {"model": f"vendor/{vendor.model}", "type": "chat", "rates": RATES}
    limits = {"max_output_tokens": 32_000, "context_tokens": 200_000}
    return {
        "providers": [provider],
        "models": [{**model, **limits}],
        "aliases": {alias: {"model": model["model"]}} if alias else {},
        "billing": {"enabled": True},
    }


def price(number: int) -> Decimal:
    tokens = Tokens(number)
    return (tokens.fresh + Decimal(CACHED) / 10 + 2 * tokens.output) / 1000


def set_up(agent: Agent, hub: HubProcess, model: str, home: Path) -> tuple[list[str], Any]:
    """Do what the snippet says; return the command and the environment it exports."""
    text = hub.cli("snippet", agent.name, "--model", model)["text"]
    text = text.replace("http://127.0.0.1:8090", hub.address).replace("YOUR-KEY", hub.key)
    exported = dict(re.findall(r"^(?:# )?export (\w+)=(\S+)$", text, re.MULTILINE))
    if not agent.file:
        return [*shlex.split(text.splitlines()[-1]), *agent.command], exported
    file = home / agent.file
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return list(agent.command), exported


def path() -> str:
    node = shutil.which("node")
    assert node is not None
    assert INSTALLED.exists(), "the agents are not installed: make test-agents"
    folders = [INSTALLED / "node_modules/.bin", INSTALLED / "aider/bin", Path(node).parent]
    return os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"])


def name_of(part: Agent | str) -> str:
    return part if isinstance(part, str) else f"{part.name} {part.alias}".strip()


@pytest.fixture
def trap() -> Iterator[ProxyTrap]:
    with ProxyTrap() as listening:
        yield listening


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent works: its home, and the files with the words that it is to find."""

    home: Path
    work: Path
    words: frozenset[str]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = [f"word-{secrets.token_hex(6)}" for _ in FILES]
    there = Place(tmp_path / "home", tmp_path / "work", frozenset(made))
    there.home.mkdir()
    there.work.mkdir()
    for name, word in zip(FILES, made, strict=True):
        (there.work / name).write_text(f"The word is {word}.\n")
    return there


@dataclass(frozen=True, slots=True)
class Ran:
    done: subprocess.CompletedProcess[str]
    model: Model
    calls: list[dict[str, Any]]

    def __str__(self) -> str:
        return f"{self.done.stdout[-3000:]}\n{self.done.stderr[-3000:]}\n{self.calls}"


def run(
    agent: Agent,
    wire: str,
    place: Place,
    trap: ProxyTrap,
    *,
    credit: str = "1000000",
    stumbles_after: int | None = None,
) -> Ran:
    """Have an agent do its task; whatever comes of it, nothing else was reached."""
    vendor = VENDORS[wire]
    script = with_tools(agent.tools, place.work) if agent.tools else with_edits()
    config = place.home.parent / "hub"
    with (
        Model(script, stumbles_after) as model,
        HubProcess(config, config_for(vendor, model.origin, agent.alias)) as hub,
    ):
        hub.grant(credit)
        named = agent.alias or f"vendor/{vendor.model}"
        command, exported = set_up(agent, hub, named, place.home)
        plain = {"PATH": path(), "HOME": str(place.home), "LANG": "C.UTF-8", "TERM": "dumb"}
        done = subprocess.run(
            command,
            env={**plain, **trap.environ(), **agent.environ, **exported},
            cwd=place.work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        until(lambda: all(call["status"] != "processing" for call in hub.calls()))
        hub.verified()
        calls = hub.calls()
    assert {line.split()[1].partition(":")[0] for line in trap.wanted} <= agent.seeks
    return Ran(done, model, calls)


def assert_done(ran: Ran, place: Place) -> None:
    """The task is done, and each answer that came was charged by the provider's report."""
    assert ran.model.trouble == [], ran
    assert ran.done.returncode == 0, ran
    assert set((place.work / ANSWER).read_text().split()) == place.words, ran
    assert DONE in ran.done.stdout, ran
    completed = [call for call in ran.calls if call["outcome"] == "completed"]
    charged = sorted(Decimal(call["credits"]) for call in completed)
    answers = range(1, len(ran.model.turns) + 1)
    assert charged == sorted(price(number) for number in answers), ran


@pytest.mark.parametrize(("agent", "wire"), RUNS, ids=name_of)
def test_an_agent_does_its_task(agent: Agent, wire: str, place: Place, trap: ProxyTrap) -> None:
    ran = run(agent, wire, place, trap)
    assert_done(ran, place)
    assert {call["outcome"] for call in ran.calls} == {"completed"}
    if agent.tools:
        assert_nothing_was_lost(agent, wire, ran.model)
    if wire == "anthropic":
        # The conversation is marked for the cache once it goes on, by the agent or by the hub.
        assert "cache_control" in str(ran.model.asked[-1].body)


@pytest.mark.parametrize(("agent", "wire"), FOREIGN, ids=name_of)
def test_an_agent_goes_on_when_the_provider_was_overloaded(
    agent: Agent, wire: str, place: Place, trap: ProxyTrap
) -> None:
    ran = run(agent, wire, place, trap, stumbles_after=1)
    assert_done(ran, place)
    failed = [call for call in ran.calls if call["outcome"] != "completed"]
    assert [(call["outcome"], call["credits"]) for call in failed] == [("upstream_failed", "0")]


# Aider tries for two minutes before it gives up.
@pytest.mark.parametrize(("agent", "wire"), FOREIGN[:-1], ids=name_of)
def test_an_agent_tells_its_user_that_credit_is_out(
    agent: Agent, wire: str, place: Place, trap: ProxyTrap
) -> None:
    ran = run(agent, wire, place, trap, credit="0.5")
    assert ran.done.returncode != 0, ran
    assert "Not enough credits" in ran.done.stdout + ran.done.stderr, ran
    assert {call["outcome"] for call in ran.calls} == {"rejected"}
    assert ran.model.asked == []


def assert_nothing_was_lost(agent: Agent, wire: str, model: Model) -> None:
    """Every result came to its call, and every signature to the model that gave it."""
    last = model.turns[-1]
    assert agent.tools is not None
    calls = len(FILES) + 1 + bool(agent.tools.search)
    assert len(last.called) == len(set(last.called)) == calls
    assert set(last.results) == set(last.called)
    given = {f"c2VhbGVk{number:04}" for number in range(1, len(model.turns))}
    if wire in agent.keeps:
        assert last.seals == given
    else:
        assert last.seals == ({UNSIGNED} if wire == "gemini" else set())
