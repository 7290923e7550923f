"""The real command in its own process: what scripts and people see."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest

COMMAND = (sys.executable, "-m", "aigne_hub")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
CALL_FIELDS = {
    "id", "status", "outcome", "type", "model", "provider", "credential", "user_did", "app_did",
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "units", "credits",
    "cost", "held", "usage_source", "started_at", "duration_ms", "ttfb_ms", "attempts", "error",
}  # fmt: skip


@pytest.fixture
def environ(tmp_path):
    """An environment in which only the data directory is the hub's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIGNE_HUB")}
    return {**kept, "AIGNE_HUB_DATA_DIR": str(tmp_path / "data")}


@pytest.fixture
def run(environ, tmp_path):
    def run(*arguments):
        return subprocess.run(
            [*COMMAND, *arguments],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@contextmanager
def serving(environ, folder):
    log = folder / "serve.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0"],
            env=environ,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        ready = process.stdout.readline()
        assert ready.startswith("ready http://127.0.0.1:"), log.read_text()
        yield ready.split()[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        process.stdout.close()


def test_a_hub_is_made_serves_a_call_and_its_database_is_replaced_only_when_it_stopped(
    run, environ, tmp_path
):
    first = run("init", "--owner-email", "ada@example.com", "--json")
    assert (first.returncode, first.stderr) == (0, "")
    made = json.loads(first.stdout)
    assert made.keys() == {"owner", "api_key", "database_url"}
    assert made["owner"].keys() == {"id", "did", "email", "role"}
    assert made["owner"]["email"] == "ada@example.com"
    assert made["owner"]["role"] == "owner"

    second = run("init", "--json")
    assert second.returncode == 3
    assert json.loads(second.stdout)["error"]["code"] == "conflict"
    assert second.stderr.startswith("error: ")
    assert "\nfix: " in second.stderr

    backup = tmp_path / "backup.db"
    assert run("db", "backup", str(backup)).returncode == 0

    with serving(environ, tmp_path) as address:
        ask(address, made["api_key"])
        listed = json.loads(run("calls", "list", "--json").stdout)
        assert [call["model"] for call in listed] == ["demo/echo"]
        assert listed[0].keys() == CALL_FIELDS
        assert INSTANT.fullmatch(listed[0]["started_at"])
        refused = run("db", "restore", str(backup))
        assert refused.returncode == 3
        assert "is running" in refused.stderr

    restored = run("db", "restore", str(backup), "--json")
    assert restored.returncode == 0
    assert json.loads(run("calls", "list", "--json").stdout) == []
    assert json.loads(restored.stdout)["replaced"].endswith("hub.db.before-restore-1")


def ask(address, key):
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": "hi"}]}
    request = urllib.request.Request(
        f"{address}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.load(answer)["choices"][0]["message"]["content"] == "echo: hi"


def test_piped_output_is_plain_even_where_a_terminal_would_have_colours(run, environ):
    environ |= {"TERM": "xterm-256color", "COLUMNS": "20"}
    listed = run("users", "create", "--email", "a-rather-long-address@example.com")
    assert listed.returncode == 0
    assert "\x1b" not in listed.stdout + listed.stderr
    assert "email\ta-rather-long-address@example.com\n" in listed.stdout


def test_help_does_not_load_what_only_commands_need():
    code = """if True:
        import sys
        from aigne_hub.cli import main
        assert main(["--help"]) == 0
        heavy = {"sqlalchemy", "pydantic", "alembic", "cryptography", "fastapi"} & set(sys.modules)
        assert not heavy, heavy
    """
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "credits" in shown.stdout


def test_a_reader_that_leaves_early_is_no_fault(environ, tmp_path):
    with subprocess.Popen(
        [*COMMAND, "config", "schema"],
        env=environ,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
