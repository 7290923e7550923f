"""What a hub has loaded when it serves, and after a call of one format: counted in modules."""

import json
import signal
import sys

import pytest
from tests.api import Api
from tests.hub import HubProcess

# The shipped command, which tells at its end what it has loaded.
CODE = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules))))
from aigne_hub.cli import main
sys.exit(main())
"""
# Megabytes that a hub which is not asked for them does not carry.
FOREIGN = (
    *("alembic", "fastapi", "genai_prices", "jinja2", "mako", "prometheus_client", "psycopg"),
    *("pygments", "rich", "sqlalchemy.dialects.postgresql", "sqlalchemy.orm", "stripe"),
)
OURS = (
    *("payments", "payment_bootstrap", "server.backend", "server.order_watch", "storage.migrate"),
    *("web.app", "web.metrics", "cli.terminal", "gateway.models", "gateway.aigne_paths"),
    *("gateway.response_calls", "gateway.video_calls", "gateway.video_standing"),
)
# Chats in OpenAI's format are loaded at the start; a format or a provider that is new here is
# loaded by who asks for it, or stands here with a reason.
AT_START = {
    "gateway.dialects": {"gemini", "members", "openai", "reading", "splice"},
    "gateway.dialects.gemini": {"called"},
    "gateway.dialects.openai": {"chat", "errors", "neutral", "stream", "usage", "writer"},
    "providers": {
        # What goes wrong is read when it does, by every format.
        "complaints",
        *("call_ids", "connecting", "demo", "fitting", "frames", "languages", "openai"),
        *("payment_kit", "profile", "profiles", "upstream", "usage", "vendors"),
    },
    "providers.languages": {"efforts", "openai", "openai_embeddings", "registry"},
}
CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 9}
CLAUDE = {
    "providers": [
        {"name": "claude", "kind": "anthropic", "credentials": [{"name": "a", "api_key": "none"}]}
    ],
    "models": [{"model": "claude/claude-sonnet-4-5", "type": "chat"}],
}


def below(loaded, package):
    """Return the names right below one of the hub's packages that are loaded."""
    prefix = f"aigne_hub.{package}."
    return {name.removeprefix(prefix).split(".")[0] for name in loaded if name.startswith(prefix)}


@pytest.fixture
def serve(tmp_path):
    """Serve once, ask, and return what the process had loaded when it ended."""

    def loaded(*asked, config=None, anew=False):
        hub = HubProcess(tmp_path, config or {}, start=False)
        for file in tmp_path.glob("hub.db*") if anew else ():
            file.unlink()
        command = [sys.executable, "-c", CODE, *hub.command()[3:]]
        process = hub.spawn(command)
        try:
            ready = process.stdout.readline().decode()
            assert ready.startswith("ready http://"), hub.log()
            hub.port = int(ready.rpartition(":")[2])
            for method, path, body in asked:
                answer = Api(hub, hub.key).send(method, path, body=body)
                assert answer.status == 200, answer.text
        finally:
            process.send_signal(signal.SIGTERM)
            said = process.communicate()[0]
            assert process.returncode == 0, hub.log()
        return set(json.loads(said.splitlines()[-1]))

    return loaded


def rare_in(loaded):
    rare = (*FOREIGN, *(f"aigne_hub.{name}" for name in OURS))
    return {name for name in rare if name in loaded}


def test_a_hub_that_serves_chats_has_loaded_nothing_else(serve):
    asked = ("POST", "/v1/chat/completions", {"model": "demo/echo", **CHAT})
    loaded = serve(asked, ("GET", "/health/ready", None))
    assert rare_in(loaded) == set()
    for package, names in AT_START.items():
        assert below(loaded, package) == names, package


def test_what_is_asked_for_is_loaded_and_nothing_beside_it(serve):
    asked = ("POST", "/v1/messages", {"model": "demo/echo", **CHAT})
    loaded = serve(asked, asked, ("GET", "/metrics", None))
    assert rare_in(loaded) == {"prometheus_client", "aigne_hub.web.metrics"}
    assert below(loaded, "gateway.dialects") - AT_START["gateway.dialects"] == {"anthropic"}
    assert below(loaded, "providers") == AT_START["providers"]


def test_what_calls_a_declared_provider_is_loaded_before_it_is_called(serve):
    """On a new database as well: what migrates one is not what makes one."""
    loaded = serve(config=CLAUDE, anew=True)
    assert rare_in(loaded) == set()
    assert below(loaded, "providers") - AT_START["providers"] == {"anthropic"}
    languages = below(loaded, "providers.languages") - AT_START["providers.languages"]
    assert languages == {"anthropic", "anthropic_content", "anthropic_reader", "claude"}
    assert "anthropic" not in below(loaded, "gateway.dialects")
