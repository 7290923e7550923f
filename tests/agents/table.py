"""The agents: how each is run without anybody there, and the tools by which it reads and writes.

The set-up of each is what `aigne-hub snippet` prints; where it goes is what the agent's own
documentation says.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tests.agents.wire import Call

ANSWER = "answer.txt"
FILES = ("north.txt", "south.txt")
PROMPT = f"Read {' and '.join(FILES)}, and write the word of each into {ANSWER}."


@dataclass(frozen=True, slots=True)
class Tools:
    """How its tools are called; paths are absolute."""

    read: Callable[[str], Call]
    write: Callable[[str, str], Call]
    # What is called first to be offered more, and one of the tools that are offered then.
    search: Call | None = None
    found: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """`name` is its snippet's, `package` what is installed.

    `file` is where its set-up goes, in the home directory; without one the set-up is lines for
    a shell, and `command` is added to the last. Without `tools` it edits by what the model says.
    `keeps` names the wires whose signatures it brings back, `seeks` the hosts that it tries to
    reach whatever it is told. `alias` is a model's name that it behaves by, whatever that
    stands for.
    """

    name: str
    package: str
    command: tuple[str, ...]
    tools: Tools | None = None
    file: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    keeps: frozenset[str] = frozenset()
    seeks: frozenset[str] = frozenset()
    alias: str = ""


def _run(command: str) -> str:
    """Return a program of Codex's that runs a command and tells what that wrote."""
    return f"text(await tools.exec_command({{cmd: {json.dumps(command)}}}));"


CLAUDE_CODE = Agent(
    name="claude-code",
    package="@anthropic-ai/claude-code",
    command=("-p", PROMPT, "--dangerously-skip-permissions"),
    tools=Tools(
        read=lambda path: Call("Read", {"file_path": path}),
        write=lambda path, text: Call("Write", {"file_path": path, "content": text}),
    ),
    # The first lets a root user skip permissions.
    environ={"IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
    keeps=frozenset({"anthropic", "gemini"}),
)
# By the name of a Claude it has fewer tools at first, and a search for the others.
CLAUDE_CODE_SEARCHING = replace(
    CLAUDE_CODE,
    alias="claude-opus-4-6",
    tools=replace(
        CLAUDE_CODE.tools,
        search=Call("ToolSearch", {"query": "select:WebFetch", "max_results": 5}),
        found="WebFetch",
    ),
)
CODEX = Agent(
    name="codex",
    package="@openai/codex",
    command=(
        *("codex", "exec", "--skip-git-repo-check"),
        *("--dangerously-bypass-approvals-and-sandbox", PROMPT),
    ),
    tools=Tools(
        read=lambda path: Call("exec_command", {"cmd": f"cat {path}"}),
        write=lambda path, text: Call("exec_command", {"cmd": f"printf '{text}' > {path}"}),
    ),
    file=".codex/config.toml",
    keeps=frozenset({"responses", "anthropic", "gemini"}),
    seeks=frozenset({"github.com", "api.github.com", "chatgpt.com", "ab.chatgpt.com"}),
)
# By names that it knows it has other tools: one that takes text, and a search for more of them.
CODEX_PATCHING = replace(
    CODEX,
    alias="gpt-5.5",
    tools=Tools(
        read=lambda path: Call("exec_command", {"cmd": f"cat {path}"}),
        write=lambda path, text: Call(
            "apply_patch", f"*** Begin Patch\n*** Add File: {path}\n+{text}\n*** End Patch\n"
        ),
        search=Call("tool_search", {"query": "spawn a sub-agent"}),
        found="multi_agent_v1__spawn_agent",
    ),
)
# And here, in the input, one tool that runs programs.
CODEX_PROGRAMMING = replace(
    CODEX,
    alias="gpt-6.1-sol",
    tools=Tools(
        read=lambda path: Call("functions__exec", _run(f"cat {path}")),
        write=lambda path, text: Call("functions__exec", _run(f"printf '{text}' > {path}")),
    ),
)
OPENCODE = Agent(
    name="opencode",
    package="opencode-ai",
    command=("opencode", "run", PROMPT),
    tools=Tools(
        read=lambda path: Call("read", {"filePath": path}),
        write=lambda path, text: Call("write", {"filePath": path, "content": text}),
    ),
    file=".config/opencode/opencode.json",
    environ={
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        # It installs a package at every start: from nowhere.
        "npm_config_registry": "http://127.0.0.1:9",
        "npm_config_fetch_retries": "0",
    },
)
CONTINUE = Agent(
    name="continue",
    package="@continuedev/cli",
    command=("cn", "--auto", "-p", PROMPT),
    tools=Tools(
        read=lambda path: Call("Read", {"filepath": path}),
        write=lambda path, text: Call("Write", {"filepath": path, "content": text}),
    ),
    file=".continue/config.yaml",
    environ={"CONTINUE_TELEMETRY_ENABLED": "0"},
    keeps=frozenset({"gemini"}),
)
# It has no tools: it applies what the model writes, runs the test, and tells how that went.
AIDER = Agent(
    name="aider",
    package="aider-chat",
    command=(
        *("--yes-always", "--no-git", "--no-check-update", "--analytics-disable"),
        *("--no-show-model-warnings", "--no-detect-urls", "--auto-test"),
        *("--test-cmd", f"echo written: $(cat {ANSWER}) && grep -q ' ' {ANSWER}"),
        *("--message", PROMPT, ANSWER),
        *(part for name in FILES for part in ("--read", name)),
    ),
    seeks=frozenset({"raw.githubusercontent.com"}),
)
AGENTS = (CLAUDE_CODE, CODEX, OPENCODE, CONTINUE, AIDER)
