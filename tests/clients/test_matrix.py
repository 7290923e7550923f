"""Each client as its users install it, against every provider's wire through one hub.

`matrix/` has what each does. Nothing here knows a client's package: a client has an environment of
its own (`tests/environments.py`), runs there as a process without a way out of the machine, and
tells what it got. What it got, what the providers were asked and what was charged must agree.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.clients.matrix.table import CLIENTS, Client, locked_version
from tests.environments import modules_of, node, python_of
from tests.hub import HubProcess
from tests.patience import until
from tests.upstream.client import FakeUpstream

SCRIPTS = Path(__file__).parent / "matrix"
RUN_S = 180.0
RATES = {"input": "1000", "output": "2000"}
MODELS = {
    "openai": "openai/gpt-4o-mini",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "google": "google/gemini-flash",
}
REFUSING = {
    "openai": "openai/gpt-400",
    "anthropic": "anthropic/claude-400",
    "google": "google/gemini-400",
}
NOBODY = "openai/gpt-unheard-of"
WEATHER = "rain"
SAID = "say hello to all of the matrix"
SCHEMA = {
    "title": "Trip",
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
VALUE = {"city": "text", "days": 0}
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5E"
    "rkJggg=="
)
# Makes a command of a snippet, and of the folder it runs in.
Command = Callable[[str, Path], list[str]]
# How many calls of the hub a feature makes: a tool is called, and then its result is told.
CALLS = {"tools": 2, "status and credit": 0}
IMAGES = {"image", "structured image"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that a client must raise: its status, and what it must say."""

    status: int
    words: str


REFUSALS = {
    "refused": Refusal(400, "not valid"),
    "unknown": Refusal(404, NOBODY),
    "wrong key": Refusal(401, "key"),
    "no credit": Refusal(402, "credit"),
    "no credit, stream": Refusal(402, "credit"),
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    def provider(name: str, base_url: str) -> dict[str, Any]:
        credential = {"name": "main", "api_key": f"sk-{name}"}
        return {"name": name, "base_url": base_url, "credentials": [credential]}

    config = {
        "providers": [
            provider("openai", upstream.base_url),
            provider("anthropic", upstream.origin),
            provider("google", upstream.origin),
        ],
        "models": [
            {"model": model, "type": "chat", "rates": RATES, "max_output_tokens": 900}
            for model in [*MODELS.values(), *REFUSING.values()]
        ],
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("matrix"), config) as running:
        running.grant("1000000")
        yield running


@pytest.fixture(scope="module")
def poor_key(hub: HubProcess) -> str:
    poor = hub.cli("users", "create", "--email", "poor@example.com")
    return str(hub.cli("keys", "create", "--user", poor["id"])["key"])


def played(client: Client, hub: HubProcess, poor_key: str, home: Path) -> dict[str, Any]:
    """Run a client's script in its environment, and return what it told."""
    given = {
        "url": hub.address,
        "key": hub.key,
        "poor_key": poor_key,
        "models": MODELS,
        "refusing": REFUSING,
        "nobody": NOBODY,
        "text": SAID,
        "schema": SCHEMA,
        "png": PNG,
    }
    script = script_of(client)
    if client.runtime == "python":
        command = [str(python_of(client.name)), str(script)]
    else:
        (home / "matrix.mjs").write_bytes((SCRIPTS / "matrix.mjs").read_bytes())
        command = node_with(client.name, home, script.read_text())
    said_by(command, home, {"MATRIX": json.dumps(given)})
    answers: dict[str, Any] = json.loads((home / "told.json").read_text())
    return answers


def node_with(client: str, home: Path, script: str) -> list[str]:
    """Return the command that runs a script where Node finds a client's packages: beside it."""
    (home / "node_modules").symlink_to(modules_of(client))
    (home / "script.mjs").write_text(script)
    return [str(node()), "script.mjs"]


def said_by(command: list[str], home: Path, environ: Mapping[str, str]) -> str:
    """Run a command that must succeed, and return what it prints."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        cwd=home,
        env={**environment(home), **environ},
    )
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def script_of(client: Client) -> Path:
    suffix = "py" if client.runtime == "python" else "mjs"
    return SCRIPTS / f"use_{client.name.replace('-', '_')}.{suffix}"


def environment(home: Path) -> dict[str, str]:
    """Return an environment whose only way out is loopback."""
    nowhere = "http://127.0.0.1:9"
    return {
        "PATH": os.defpath,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
        "NO_PROXY": "127.0.0.1",
        "NODE_USE_ENV_PROXY": "1",
    }


def wrong(client: Client, told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a client did not do, or was told wrongly."""
    played = {
        wire: by[provider].keys() for wire, by in told["wires"].items() for provider in MODELS
    }
    wanted = {wire: features | {"refused"} for wire, features in client.wires.items()}
    if played != wanted:
        yield f"played {played}"
    for wire, by_provider in told["wires"].items():
        for provider, outcomes in by_provider.items():
            for name, outcome in outcomes.items():
                refusal = REFUSALS.get(name)
                if refusal is not None:
                    well = refused(outcome, refusal, tells_status=client.tells_status)
                else:
                    well = "ok" in outcome and right(name, outcome["ok"])
                if not well:
                    yield f"{wire}, {provider}, {name}: {json.dumps(outcome, indent=1)}"


def refused(outcome: Mapping[str, Any], refusal: Refusal, *, tells_status: bool) -> bool:
    if "ok" in outcome or refusal.words not in outcome["message"]:
        return False
    return not tells_status or outcome["status"] == refusal.status


def right(feature: str, value: Any) -> bool:
    match feature:
        case "text" | "image":
            return bool(value["text"] == SAID)
        case "stream":
            return "".join(value["pieces"]) == SAID and len(value["pieces"]) > 1
        case "tools":
            # A provider's echo is of what was said last, on some wires by the tool.
            calls = [["get_weather", {"city": "text"}]]
            return value["calls"] == calls and value["text"] in {SAID, WEATHER}
        case "status and credit":
            return bool(value == {"available": True, "credit": True})
        case _:
            return bool(value == VALUE)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "client",
    [
        pytest.param(client, id=client.name, marks=[] if client.quick else pytest.mark.full)
        for client in CLIENTS
    ],
)
def test_a_client_does_on_every_wire_what_it_does_with_its_vendor(
    client: Client, hub: HubProcess, poor_key: str, upstream: FakeUpstream, tmp_path: Path
):
    upstream.reset()
    before = len(hub.calls())
    told = played(client, hub, poor_key, tmp_path)
    assert told["version"] == locked_version(client)
    faults = list(wrong(client, told))
    assert not faults, "\n".join(faults)
    until(lambda: all(call["status"] != "processing" for call in hub.calls()))
    calls = hub.calls()
    assert_charged(client, told, calls[: len(calls) - before])
    assert_asked(client, upstream.log())
    hub.verified()


def calls_of(client: Client) -> int:
    """Return how many calls of one model a client's features make."""
    return sum(CALLS.get(name, 1) for wire in client.wires.values() for name in wire)


def assert_charged(client: Client, told: Mapping[str, Any], calls: list[dict[str, Any]]) -> None:
    """Every answer is charged once, by what its provider reported, and no refusal is."""
    completed = [call for call in calls if call["outcome"] == "completed"]
    assert Counter(call["model"] for call in completed) == dict.fromkeys(
        MODELS.values(), calls_of(client)
    )
    spent = {
        (call["model"], call["input_tokens"], call["output_tokens"]): call for call in completed
    }
    for (_, asked, answered), call in spent.items():
        assert call["usage_source"] == "provider"
        assert min(asked, answered) > 0
        assert Decimal(call["credits"]) == (asked + 2 * answered) / Decimal(1000)
    assert {call["credits"] for call in calls if call["outcome"] != "completed"} <= {"0"}
    for outcomes in told["wires"].values():
        for provider, model in MODELS.items():
            shown = [outcome.get("ok") for outcome in outcomes[provider].values()]
            usages = [one["usage"] for one in shown if isinstance(one, dict) and "usage" in one]
            assert all((model, *usage) in spent for usage in usages), usages


def assert_asked(client: Client, log: list[dict[str, Any]]) -> None:
    """Each provider was asked as often as the client asked, and saw pictures and tools' results."""
    asked = Counter(record["model"] for record in log)
    bodies: dict[str, list[str]] = {model: [] for model in asked}
    for record in log:
        bodies[record["model"]].append(json.dumps(record["body"]))
    wires = client.wires.values()
    expected = {model_at_provider(model): calls_of(client) for model in MODELS.values()}
    expected |= {model_at_provider(model): len(wires) for model in REFUSING.values()}
    assert asked == expected
    for model in map(model_at_provider, MODELS.values()):
        images = sum(name in IMAGES for wire in wires for name in wire)
        assert sum(PNG in body for body in bodies[model]) == images
        tools = sum("tools" in wire for wire in wires)
        assert sum(WEATHER in body for body in bodies[model]) == tools


def model_at_provider(model: str) -> str:
    return model.partition("/")[2]


def of_python(text: str, _: Path) -> list[str]:
    return [sys.executable, "-c", text]


def of_langchain(text: str, _: Path) -> list[str]:
    return [str(python_of("langchain-openai")), "-c", text]


def of_llm(text: str, home: Path) -> list[str]:
    llm = str(python_of("llm").with_name("llm"))
    key = text.partition("(and paste ")[2].partition(")")[0]
    folder = Path(said_by([llm, "logs", "path"], home, {})).parent
    folder.mkdir(parents=True, exist_ok=True)
    said_by([llm, "keys", "set", "aigne-hub", "--value", key], home, {})
    (folder / "extra-openai-models.yaml").write_text(text)
    return [llm, "-m", "hub", "Hello"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("snippet", "command", "provider"),
    [
        ("curl", lambda text, _: ["bash", "-c", text], "google"),
        ("openai", of_python, "anthropic"),
        ("anthropic", of_python, "openai"),
        ("google-genai", of_python, "anthropic"),
        ("langchain", of_langchain, "google"),
        ("openai-node", lambda text, home: node_with("openai-node", home, text), "anthropic"),
        pytest.param("llm", of_llm, "anthropic", marks=pytest.mark.full),
        pytest.param(
            "aigne",
            lambda text, home: node_with("aigne-hub", home, text),
            "google",
            marks=pytest.mark.full,
        ),
    ],
)
def test_what_the_command_prints_for_a_client_runs_as_it_is(
    snippet: str, command: Command, provider: str, hub: HubProcess, tmp_path: Path
):
    text = hub.cli("snippet", snippet, "--model", MODELS[provider])["text"]
    assert "YOUR-KEY" in text
    text = text.replace("YOUR-KEY", hub.key).replace("http://127.0.0.1:8090", hub.address)
    said = said_by(command(text, tmp_path), tmp_path, {})
    assert "Hello" in said
    assert snippet == "curl" or said.strip() == "Hello"
