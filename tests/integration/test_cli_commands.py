"""Commands in this process: what they print, their exit codes, what they change."""

import json
import os
from pathlib import Path

import pytest
import typer.main

from aigne_hub.bootstrap import apply_declarations, open_hub
from aigne_hub.cli import main
from aigne_hub.cli.app import COMMANDS
from aigne_hub.settings import load_settings
from aigne_hub.storage import engine, grants

EMAIL = "ada@example.com"
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "cli.md"


def test_users_are_created_found_by_any_name_changed_and_disabled(run, user):
    assert user.keys() == {"id", "did", "email", "role", "disabled"}
    assert (user["email"], user["role"], user["disabled"]) == (EMAIL, "member", False)
    for name in (user["email"], user["did"], user["id"]):
        code, changed, _ = run("users", "set-role", "--user", name, "admin")
        assert (code, changed) == (0, {**user, "role": "admin"})
    code, disabled, _ = run("users", "disable", "--user", EMAIL)
    assert (code, disabled["disabled"]) == (0, True)
    _, listed, _ = run("users", "list")
    assert [one["email"] for one in listed] == ["owner@localhost", EMAIL]
    assert listed[1] == disabled


def test_a_new_user_is_given_what_the_configuration_promises(run, monkeypatch, data_dir):
    monkeypatch.setenv("AIGNE_HUB_BILLING_NEW_USER_CREDITS", "2.5")
    hub = open_hub(load_settings(os.environ, data_dir=data_dir), os.environ)
    apply_declarations(hub)  # as a server does when it starts
    hub.engine.dispose()
    monkeypatch.delenv("AIGNE_HUB_BILLING_NEW_USER_CREDITS")
    run("users", "create", "--email", EMAIL)
    _, balance, _ = run("credits", "balance", "--user", EMAIL)
    assert balance["granted"] == "2.5"
    _, history, _ = run("credits", "history", "--user", EMAIL)
    assert [entry["debit"] for entry in history] == ["promotional"]


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (["users", "create", "--email", "owner@localhost"], 3, "conflict"),
        (["users", "create", "--email", "nobody"], 2, "invalid_request"),
        (["users", "create", "--email", "b@c.de", "--did", "did:abt:zz"], 2, "invalid_request"),
        (["users", "create"], 2, "invalid_request"),
        (["users", "set-role", "--user", "owner@localhost", "guest"], 3, "conflict"),
        (["users", "set-role", "--user", "owner@localhost", "king"], 2, "invalid_request"),
        (["users", "disable", "--user", "ghost@example.com"], 4, "not_found"),
        (["keys", "create", "--user", "ghost@example.com"], 4, "not_found"),
        (["keys", "create", "--user", EMAIL, "--expires-in", "0d"], 2, "invalid_request"),
        (["keys", "create", "--user", EMAIL, "--expires-in", "30"], 2, "invalid_request"),
        (["keys", "create", "--user", EMAIL, "--scope", "everything"], 2, "invalid_request"),
        (["keys", "create", "--user", EMAIL, "--credit-limit", "1"], 2, "invalid_request"),
        (["keys", "create", "--user", EMAIL, "--rpm", "0"], 2, "invalid_request"),
        (["keys", "revoke", "nothing"], 4, "not_found"),
        (["credits", "grant", "--user", EMAIL, "--amount", "1e3"], 2, "invalid_request"),
        (["credits", "grant", "--user", EMAIL, "--amount", "-1"], 2, "invalid_request"),
        (["credits", "grant", "--user", EMAIL, "--amount", "0"], 2, "invalid_request"),
        (["credits", "grant", "--user", EMAIL, "--amount", "1", "--priority", "101"], 2,
         "invalid_request"),
        (["credits", "grant", "--user", EMAIL, "--amount", "1", "--expires-at",
          "2020-01-01T00:00:00Z"], 2, "invalid_request"),
        (["credits", "grant", "--user", EMAIL, "--amount", "1", "--expires-at",
          "2120-01-01T00:00:00"], 2, "invalid_request"),
        (["credits", "balance", "--user", "ghost@example.com"], 4, "not_found"),
        (["credits", "history", "--user", EMAIL, "--limit", "0"], 2, "invalid_request"),
        (["calls", "list", "--limit", "1000001"], 2, "invalid_request"),
        (["calls", "list", "--status", "odd"], 2, "invalid_request"),
        (["calls", "show", "nothing"], 4, "not_found"),
        (["providers", "test", "nothing"], 4, "not_found"),
        (["snippet", "nobody"], 2, "invalid_request"),
        (["keys"], 2, "invalid_request"),
        (["nothing"], 2, "invalid_request"),
        (["users", "list", "--database-url", "mysql://host/db"], 2, "invalid_configuration"),
    ],
)  # fmt: skip
def test_a_refusal_has_its_exit_code_one_document_a_cause_and_a_remedy(
    run, user, arguments, code, kind
):
    refused, printed, errors = run(*arguments)
    assert refused == code
    assert printed["ok"] is False
    assert printed["error"]["code"] == kind
    assert errors.startswith("error: ")
    assert "\nfix: " in errors
    assert "Traceback" not in errors


def test_a_key_is_shown_once_with_its_limits_and_revoked(run, user, data_dir):
    code, made, errors = run(
        "keys", "create", "--user", EMAIL, "--name", "notebook", "--scope", "inference",
        "--model", "openai/*", "--model", "demo/echo", "--expires-in", "30d",
        "--credit-limit", "10", "--limit-window", "day", "--rpm", "60", "--tpm", "1000",
    )  # fmt: skip
    assert (code, errors) == (0, "")
    assert made.keys() == {"id", "key", "prefix", "user", "name", "expires_at"}
    assert made["user"] == {"did": user["did"], "email": EMAIL}
    assert made["key"].startswith("blocklet-")
    assert made["key"].startswith(made["prefix"])
    _, (listed,), _ = run("keys", "list", "--user", EMAIL)
    assert "key" not in listed
    assert listed["scopes"] == ["inference"]
    assert listed["models"] == ["openai/*", "demo/echo"]
    assert (listed["credit_limit"], listed["limit_window"]) == ("10", "day")
    assert (listed["rpm"], listed["tpm"], listed["revoked_at"]) == (60, 1000, None)
    code, revoked, _ = run("keys", "revoke", made["id"])
    assert code == 0
    assert revoked["revoked_at"] is not None
    assert made["key"].encode() not in b"".join(file.read_bytes() for file in data_dir.glob("*"))


def test_credit_is_granted_shown_and_explained(run, user):
    code, made, _ = run(
        "credits", "grant", "--user", user["did"], "--amount", "12.500000001",
        "--category", "promotional", "--priority", "10", "--expires-at", "2120-01-01T00:00:00Z",
    )  # fmt: skip
    assert code == 0
    assert made.keys() == {"grant_id", "amount", "remaining", "balance"}
    assert {made["amount"], made["remaining"], made["balance"]} == {"12.500000001"}
    _, balance, _ = run("credits", "balance", "--user", EMAIL)
    assert balance == {
        "balance": "12.500000001",
        "held": "0",
        "available": "12.500000001",
        "granted": "12.500000001",
        "spent": "0",
    }
    run("credits", "grant", "--user", EMAIL, "--amount", "1")
    _, history, _ = run("credits", "history", "--user", EMAIL)
    assert [entry["amount"] for entry in history] == ["1", "12.500000001"]
    _, history, _ = run("credits", "history", "--user", EMAIL, "--limit", "1")
    assert [entry["grant_id"] for entry in history] != [made["grant_id"]]


def test_a_change_is_audited_under_the_name_of_who_ran_the_command(run, user, data_dir):
    run("credits", "grant", "--user", EMAIL, "--amount", "1")
    opened = engine.create_engine(f"sqlite:///{data_dir / 'hub.db'}")
    with engine.reading(opened) as connection:
        actors = connection.exec_driver_sql(
            "SELECT DISTINCT actor FROM audit_log WHERE action IN ('user.create', 'credits.grant')"
            " AND object = ?",
            (user["id"],),
        ).scalars()
        assert all(actor.startswith("cli:") for actor in actors.all())
    opened.dispose()


def test_the_ledger_is_verified_and_a_false_balance_found(run, user, data_dir):
    run("credits", "grant", "--user", EMAIL, "--amount", "1")
    code, found, _ = run("ledger", "verify")
    assert (code, found["ok"], found["transfers"]) == (0, True, 1)
    assert all(check.keys() == {"name", "ok", "detail"} for check in found["checks"])
    opened = engine.create_engine(f"sqlite:///{data_dir / 'hub.db'}")
    with engine.writing(opened) as connection:
        connection.exec_driver_sql("UPDATE account SET balance = balance + 1 WHERE balance > 0")
    opened.dispose()
    code, found, _ = run("ledger", "verify")
    assert (code, found["ok"]) == (1, False)
    assert any(user["id"] in check["detail"] for check in found["checks"])


def test_calls_are_an_empty_list_before_the_first(run):
    assert run("calls", "list", "--status", "success", "--user", "owner@localhost")[:2] == (0, [])


def test_rates_are_decimal_strings(run):
    code, rates, _ = run("rates", "list")
    assert code == 0
    assert rates[0].keys() == {"model", "version", "amounts", "cost", "source", "effective_at"}
    assert [rate["model"] for rate in rates] == ["demo/echo", "demo/embed", "demo/image"]
    assert all(rate["amounts"] == {"request": "0"} for rate in rates)


def test_the_built_in_provider_always_works(run):
    assert [provider["name"] for provider in run("providers", "list")[1]] == ["demo"]
    code, tested, _ = run("providers", "test", "demo")
    assert (code, tested["ok"]) == (0, True)


def test_the_share_of_each_key_is_listed(run, data_dir, capsys):
    (data_dir / "hub.yaml").write_text(
        "version: 1\nproviders:\n- name: openai\n  credentials:\n"
        "  - {name: main, api_key: sk-one}\n"
        "  - {name: spare, api_key: sk-two, weight: 7, priority: 2}\n"
    )
    openai = run("providers", "list")[1][-1]
    assert openai["credentials"] == ["main", "spare"]
    assert openai["shares"] == [
        {"credential": "main", "priority": 0, "weight": 100},
        {"credential": "spare", "priority": 2, "weight": 7},
    ]
    assert main(["providers", "list"]) == 0
    shares = "main (priority 0, weight 100), spare (priority 2, weight 7)"
    assert shares in capsys.readouterr().out


def test_a_good_file_passes_and_a_bad_one_is_reported_line_by_line(run, tmp_path, capsys):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("version: 1\n")
    assert run("config", "check", str(good))[:2] == (0, {"ok": True, "errors": []})
    bad.write_text(
        "version: 1\nproviders:\n  - name: openai\n    credentials:\n"
        '      - {name: main, api_key: "${NOT_SET_ANYWHERE}"}\nbiling: {}\n'
    )
    code, found, _ = run("config", "check", str(bad))
    assert (code, found["ok"]) == (2, False)
    assert [(error["line"], error["path"]) for error in found["errors"]] == [
        (5, "providers[0].credentials[0].api_key"),
        (6, "biling"),
    ]
    assert main(["config", "check", str(bad)]) == 2
    assert f"{bad}:5: providers[0].credentials[0].api_key: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("provider", "place", "said"),
    [
        ({"name": "anthorpic"}, "base_url", "'anthorpic' needs a base_url; kinds with"),
        ({"name": "azure"}, "base_url", "like https://RESOURCE.openai.azure.com"),
        ({"name": "x", "base_url": "https://h/v1?api-version=1"}, "base_url", "without ?"),
        ({"name": "vertex", "base_url": "https://h/v1"}, "base_url", "must be like https://REGION"),
        (
            {
                "name": "bedrock",
                "base_url": "https://bedrock-runtime.us-east-1.amazonaws.com",
                "credentials": [{"name": "main", "api_key": '{"access_key_id": "AKIDEXAMPLE"}'}],
            },
            "credentials[0].api_key",
            "without access_key_id and secret_access_key",
        ),
    ],
)
def test_a_provider_that_cannot_be_called_is_reported(run, tmp_path, provider, place, said):
    file = tmp_path / "hub.yaml"
    file.write_text(json.dumps({"version": 1, "providers": [provider]}))
    code, found, _ = run("config", "check", str(file))
    assert code == 2
    (error,) = found["errors"]
    assert error["path"] == f"providers[0].{place}"
    assert said in error["message"]
    assert "AKIDEXAMPLE" not in str(found)


def test_the_schema_names_the_kinds_there_are(run):
    schema = run("config", "schema")[1]
    kind = schema["$defs"]["DeclaredProvider"]["properties"]["kind"]
    named = set(kind["anyOf"][0]["examples"])
    assert {"azure", "bedrock", "demo", "ollama", "openai-compatible", "vertex"} <= named


def test_a_broken_configuration_stops_a_command_with_every_problem(run, data_dir):
    (data_dir / "hub.yaml").write_text("version: 1\nlimits: {calls_in_flight: 0}\nodd: 1\n")
    code, printed, errors = run("users", "list")
    assert (code, printed["error"]["code"]) == (2, "invalid_configuration")
    assert f"{data_dir / 'hub.yaml'}:2: limits.calls_in_flight: " in errors
    assert f"{data_dir / 'hub.yaml'}:3: odd: " in errors


def test_schemas_and_set_ups_are_printed_whole(run, monkeypatch):
    assert run("config", "schema")[1]["$schema"].endswith("2020-12/schema")
    monkeypatch.setenv("AIGNE_HUB_PUBLIC_URL", "https://hub.example.com")
    document = run("openapi")[1]
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": "https://hub.example.com"}]
    code, snippet, _ = run("snippet", "openai", "--model", "fast")
    assert code == 0
    assert 'base_url="https://hub.example.com/v1"' in snippet["text"]
    assert 'model="fast"' in snippet["text"]
    for asked, told in (
        ((), "claude-sonnet-4-5"),
        (("--model", "own/claude-opus-4-6"), "claude-opus-4-6"),
        (("--model", "openai/gpt-5"), "openai/gpt-5"),
        (("--model", "openrouter/anthropic/claude-x"), "openrouter/anthropic/claude-x"),
    ):
        code, claude, _ = run("snippet", "claude-code", *asked)
        assert (code, f"\nexport ANTHROPIC_MODEL={told}\n" in claude["text"]) == (0, True)
    code, connect, errors = run("snippet", "aigne-cli")
    assert (code, "Put a key" in errors) == (0, False)
    assert "aigne hub connect https://hub.example.com\n" in connect["text"]


def test_an_unexpected_fault_is_one_line_and_hides_what_it_carried(run, monkeypatch):
    def broken(*_):
        raise RuntimeError("sk-secret")

    monkeypatch.setattr(grants, "history", broken)
    code, printed, errors = run("credits", "history", "--user", "owner@localhost")
    assert (code, printed["error"]["code"]) == (1, "internal_error")
    assert "sk-secret" not in errors
    assert "AIGNE_HUB_LOG_LEVEL=debug" in errors


def test_text_is_a_header_and_one_line_a_row(run, user, capsys):
    assert main(["users", "list"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split("\t") == ["email", "role", "disabled", "did", "id"]
    assert rows[1].split("\t") == [EMAIL, "member", "no", user["did"], user["id"]]


def test_a_table_on_a_narrow_terminal_keeps_ids_in_one_piece(run, user, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["users", "list"]) == 0
    assert user["id"] in capsys.readouterr().out


def test_orders_and_codes_are_handled_from_the_command_line(run, user):
    def order(*more):
        return run("payments", "link", "--user", EMAIL, "--credits", "10", *more)

    assert order("--provider", "paypal")[0] == 2
    assert run("payments", "link", "--user", EMAIL, "--credits", "10.001")[0] == 2
    code, made, _ = order()
    assert (code, made["state"], made["amount"], made["url"]) == (0, "open", "10.00", made["page"])
    assert run("payments", "refund", made["id"])[0] == 3
    code, paid, _ = run("payments", "confirm", made["reference"])
    assert (code, paid["state"]) == (0, "paid")
    assert run("payments", "reject", made["id"])[0] == 3
    assert run("payments", "refund", made["id"], "--amount", "10.01")[0] == 2
    code, refunded, _ = run("payments", "refund", made["id"], "--amount", "2.50")
    assert (code, refunded["returned"], refunded["credits_taken"]) == (0, "2.50", "2.5")
    shown = run("payments", "show", made["id"])[1]
    assert [one["state"] for one in shown["returns"]] == ["active"]
    assert "/payment/receipts/" in shown["receipt"]
    assert run("payments", "list", "--state", "open", "--user", EMAIL)[1] == []
    assert [one["id"] for one in run("payments", "list")[1]] == [made["id"]]
    assert run("payments", "events", "--refused")[1] == []
    assert len(run("payments", "events")[1]) == 2
    assert run("payments", "providers")[:2] == (
        0,
        [{"provider": "manual", "ok": True, "detail": "an admin confirms each payment"}],
    )
    assert run("payments", "show", "none")[0] == 4
    code, (one,), _ = run("credits", "codes", "create", "--amount", "5")
    assert code == 0
    assert run("credits", "redeem", one["code"], "--user", EMAIL)[1]["balance"] == "12.5"
    assert run("credits", "redeem", one["code"], "--user", EMAIL)[0] == 3
    assert run("credits", "redeem", "wrong", "--user", EMAIL)[0] == 4
    assert run("credits", "codes", "list")[1][0]["redeemed"] == 1
    assert run("credits", "codes", "revoke", one["id"])[1]["revoked_at"] is not None
    assert run("credits", "codes", "revoke", "none")[0] == 4


def test_every_command_and_option_is_documented():
    text = DOCUMENTATION.read_text(encoding="utf-8")
    missing = [
        name
        for path, options in _commands()
        for name in (path, *options)
        if f"`{name}" not in _section(text, path)
    ]
    assert missing == []


def _section(text, path):
    """The part of the page under the heading of the first word of a command."""
    _, found, rest = text.partition(f"\n## {path.split()[0]}\n")
    assert found, f"docs/cli.md has no section for {path}"
    return rest.partition("\n## ")[0]


def _commands():
    shared = {"--data-dir", "--database-url", "--json", "--help"}
    for name in COMMANDS:
        module = __import__(f"aigne_hub.cli.{name}", fromlist=["app"])
        for path, leaf in _leaves(name, typer.main.get_command(module.app)):
            options = {option for parameter in leaf.params for option in parameter.opts}
            own = {option for option in options if option.startswith("--")} - shared
            yield path, sorted(own)


def _leaves(path, command):
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
    for word, each in (below or {}).items():
        yield from _leaves(f"{path} {word}", each)


def test_webhooks_are_made_listed_replayed_and_removed(run, user):
    url = "https://example.com/hooks?for=hub"
    code, made, _ = run("webhooks", "create", "--url", url, "--user", EMAIL)
    assert code == 0
    assert made.keys() >= {"id", "secret", "url", "types", "user_id", "trusted", "created_at"}
    assert made.pop("secret").startswith("whsec_")
    assert (made["url"], made["user_id"], made["trusted"]) == (url, user["id"], False)
    assert run("webhooks", "list")[1] == [made]
    assert run("webhooks", "deliveries", "--endpoint", made["id"])[1] == []
    assert run("webhooks", "replay", "evt_none")[0] == 4
    assert run("webhooks", "remove", made["id"])[:2] == (0, {"ok": True})
    assert run("webhooks", "remove", made["id"])[0] == 4
    assert run("webhooks", "list")[1] == []
    code, made, _ = run(
        "webhooks", "create", "--url", "http://127.0.0.1:9/", "--trusted", "--type", "credits.low"
    )
    assert (code, made["trusted"], made["types"]) == (0, True, ["credits.low"])


def test_a_test_event_that_nobody_sends_is_said_to_wait(run, monkeypatch):
    monkeypatch.setattr("aigne_hub.cli.webhooks.WAIT_S", 0.2)
    _, made, _ = run("webhooks", "create", "--url", "https://example.com/")
    code, shown, _ = run("webhooks", "test", made["id"])
    assert (code, shown["state"], shown["attempts"]) == (1, "pending", 0)
    assert run("webhooks", "deliveries")[1] == [shown]
    code, replayed, _ = run("webhooks", "replay", shown["event"], "--endpoint", made["id"])
    assert (code, [each["event"] for each in replayed]) == (0, [shown["event"]])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--url", "http://example.com/"),
        ("--url", "ftp://example.com/", "--trusted"),
        ("--url", "https://ada:word@example.com/"),
        ("--url", "https://example.com/", "--type", "no.such"),
        (),
    ],
)
def test_a_webhook_that_cannot_be_is_refused(run, arguments):
    code, answer, errors = run("webhooks", "create", *arguments)
    assert (code, answer["ok"]) == (2, False)
    assert "word@" not in errors


def test_alert_thresholds_are_shown_and_set(run, user):
    alerts = ("credits", "alerts", "--user", EMAIL)
    assert run(*alerts)[1] == {"low_balance": [], "default": True}
    shown = {"low_balance": ["20", "0.5"], "default": False}
    assert run(*alerts, "--below", "0.5", "--below", "20")[1] == shown
    assert run(*alerts)[1] == shown
    assert run(*alerts, "--never")[1] == {"low_balance": [], "default": False}
    assert run(*alerts, "--default")[1]["default"] is True
    assert run(*alerts, "--below", "0")[0] == 2
    assert run(*alerts, "--below", "1", "--never")[0] == 2
