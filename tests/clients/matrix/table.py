"""The clients of the matrix: what each is, and what its script must do on which wire."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.environments import LOCKS

Features = frozenset[str]
ALL: Features = frozenset({"text", "stream", "tools", "structured", "image"})


@dataclass(frozen=True, slots=True)
class Client:
    """A client: `name` is its lock's and its script's, `package` what its users install.

    `wires` has the features that its script must play on each. Without `tells_status` its errors
    have no HTTP status. Only what is `quick` to install and to start runs in `make test`.
    """

    name: str
    package: str
    wires: Mapping[str, Features]
    runtime: str = "python"
    quick: bool = False
    tells_status: bool = True


PYTHON = (
    Client("langchain-openai", "langchain-openai", {"chat": ALL, "responses": ALL}, quick=True),
    Client("langchain-anthropic", "langchain-anthropic", {"messages": ALL}),
    Client(
        "pydantic-ai",
        "pydantic-ai-slim",
        dict.fromkeys(("chat", "responses", "messages", "gemini"), ALL | {"structured by a tool"}),
        quick=True,
    ),
    # It makes values of a type of answers: what else it does is what `openai` does.
    Client(
        "instructor",
        "instructor",
        dict.fromkeys(
            ("chat", "chat with tools"),
            frozenset({"text", "structured", "structured stream", "structured image"}),
        ),
        quick=True,
    ),
    Client("openai-agents", "openai-agents", {"responses": ALL, "chat": ALL}),
    Client("llama-index", "llama-index-llms-openai-like", {"chat": ALL}),
    Client("llm", "llm", {"chat": ALL}),
)
NODE = (
    Client("openai-node", "openai", {"chat": ALL, "responses": ALL}, "node", quick=True),
    Client("anthropic-node", "@anthropic-ai/sdk", {"messages": ALL}, "node", quick=True),
    Client("google-genai-node", "@google/genai", {"gemini": ALL}, "node"),
    Client("ai-sdk", "ai", {"chat": ALL, "responses": ALL, "messages": ALL}, "node"),
    Client("aigne-hub", "@aigne/aigne-hub", {"AIGNE": ALL}, "node", tells_status=False),
    # Every chat of it is a stream, and it knows no structured answers.
    Client(
        "blocklet-aigne-hub",
        "@blocklet/aigne-hub",
        {"AIGNE, flat": ALL - {"structured"} | {"status and credit"}},
        "node",
        tells_status=False,
    ),
)
CLIENTS = (*PYTHON, *NODE)


def locked_version(client: Client) -> str:
    """Return the version of a client's package that its lock has."""
    if client.runtime == "node":
        lock = json.loads((LOCKS / client.name / "package-lock.json").read_text(encoding="utf-8"))
        return str(lock["packages"][f"node_modules/{client.package}"]["version"])
    return version_in((LOCKS / f"{client.name}.txt").read_text(encoding="utf-8"), client.package)


def version_in(lock: str, package: str) -> str:
    """Return a package's version in the text of a Python lock."""
    (version,) = re.findall(rf"^{re.escape(package)}==(\S+)", lock, re.MULTILINE)
    return str(version)
