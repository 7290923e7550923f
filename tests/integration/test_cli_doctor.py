"""Backups, and what `doctor` and `providers test` say about a hub in trouble."""

import json
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aigne_hub.cli import main
from aigne_hub.cli.base_url import mistake
from aigne_hub.cli.checks import clock
from aigne_hub.settings import load_settings
from aigne_hub.storage.engine import sqlite_module

KEY = "sk-not-to-be-printed"
sqlite3 = sqlite_module()  # two SQLite libraries in one process would not see each other's locks


@pytest.fixture(scope="module")
def initialised(tmp_path_factory):
    """A data directory that `init` made, to be copied."""
    folder = tmp_path_factory.mktemp("template") / "data"
    assert main(["init", "--json", "--data-dir", str(folder)]) == 0
    return folder


@pytest.fixture
def data_dir(initialised, tmp_path, monkeypatch):
    folder = shutil.copytree(initialised, tmp_path / "data")
    monkeypatch.setenv("AIGNE_HUB_DATA_DIR", str(folder))
    monkeypatch.setenv("AIGNE_HUB_PORT", "0")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def run(data_dir, capsys):
    capsys.readouterr()

    def run(*arguments):
        code = main([*arguments, "--json"])
        printed = capsys.readouterr()
        assert KEY not in printed.out + printed.err
        return code, json.loads(printed.out)

    return run


@pytest.fixture
def failed(run):
    """Run doctor; return its failed checks by name."""

    def failed():
        code, found = run("doctor")
        wrong = {check["name"]: check for check in found["checks"] if not check["ok"]}
        assert (code, found["ok"]) == ((1, False) if wrong else (0, True))
        assert all(check["fix"] for check in wrong.values())
        return wrong

    return failed


class Vendor(BaseHTTPRequestHandler):
    """Answers GET below a path that names the status, such as /401/v1/models."""

    def do_GET(self):
        status = int(self.path.split("/")[1])
        path = self.path.partition("?")[0]
        listed = {"data": [{"id": "gpt-4o-mini"}]} if path.endswith("/v1/models") else {}
        wrong = 401
        if path.endswith("/v1beta/models"):
            key, wrong = self.headers["x-goog-api-key"], 400
            listed = {"models": [{"name": "models/gemini-flash"}]}
        elif "anthropic-version" in self.headers:
            key = self.headers["x-api-key"]
        else:
            key = (self.headers["authorization"] or "").removeprefix("Bearer ")
        if status == 200 and key != KEY:
            status = wrong
            listed = {"error": {"code": wrong, "details": [{"reason": "API_KEY_INVALID"}]}}
        body = json.dumps(listed).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture
def vendor():
    with ThreadingHTTPServer(("127.0.0.1", 0), Vendor) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def declare(data_dir):
    def declare(base_url, key=KEY, kind="openai-compatible"):
        (data_dir / "hub.yaml").write_text(
            "version: 1\nproviders:\n"
            f"  - {{name: acme, kind: {kind}, base_url: '{base_url}',\n"
            f"     credentials: [{{name: main, api_key: '{key}'}}]}}\n"
        )

    return declare


def test_a_working_key_is_reported_with_how_long_it_took(run, vendor, declare):
    declare(f"{vendor}/200/v1")
    code, found = run("providers", "test", "acme", "--credential", "main")
    (result,) = found["results"]
    assert (code, found["ok"], result["ok"], result["status"]) == (0, True, True, 200)
    assert result["latency_ms"] > 0
    assert run("providers", "test", "acme", "--model", "acme/gpt-4o-mini")[0] == 0
    code, found = run("providers", "test", "acme", "--model", "gpt-9")
    assert code == 1
    assert "gpt-9" in found["results"][0]["detail"]
    assert run("providers", "test", "acme", "--credential", "spare")[0] == 4


@pytest.mark.parametrize("path", ["/200", "/200/v1", "/200/v1/"])
def test_a_provider_of_anthropics_kind_is_asked_as_its_api_wants(run, vendor, declare, path):
    declare(f"{vendor}{path}", kind="anthropic")
    code, found = run("providers", "test", "acme", "--model", "gpt-4o-mini")
    assert (code, found["ok"]) == (0, True)
    declare(f"{vendor}{path}", key="wrong", kind="anthropic")
    assert run("providers", "test", "acme")[0] == 1


@pytest.mark.parametrize("path", ["/200", "/200/v1beta", "/200/v1/"])
def test_a_provider_of_googles_kind_is_asked_as_its_api_wants(run, vendor, declare, path):
    declare(f"{vendor}{path}", kind="google")
    code, found = run("providers", "test", "acme", "--model", "gemini-flash")
    assert (code, found["ok"]) == (0, True)
    declare(f"{vendor}{path}", key="wrong", kind="google")
    code, found = run("providers", "test", "acme")
    assert code == 1
    assert "refused the key" in found["results"][0]["detail"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/401/v1", "refused the key"),
        ("/402/v1", "no credit left"),
        ("/403/v1", "forbids"),
        ("/404/v1", "no model list"),
        ("/429/v1", "limits the rate"),
        ("/302/v1", "redirects"),
        ("/503/v1", "failed (503)"),
        ("/200/else", "no list of models"),
    ],
)
def test_what_is_wrong_with_a_provider_is_named(run, vendor, declare, path, said):
    declare(vendor + path)
    code, found = run("providers", "test", "acme")
    (result,) = found["results"]
    assert (code, result["ok"]) == (1, False)
    assert said in result["detail"]
    assert result["fix"]


def test_a_provider_that_does_not_listen_is_no_answer(run, declare):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    declare(f"http://127.0.0.1:{port}/v1")
    code, found = run("providers", "test", "acme")
    assert code == 1
    assert "no answer" in found["results"][0]["detail"]


def test_doctor_is_content_with_a_new_hub_and_with_none_at_all(failed, monkeypatch, tmp_path):
    assert failed() == {}
    monkeypatch.setenv("AIGNE_HUB_DATA_DIR", str(tmp_path / "nothing" / "yet"))
    assert failed() == {}
    assert not (tmp_path / "nothing").exists()


def test_doctor_tries_every_key(failed, vendor, declare):
    declare(f"{vendor}/200/v1")
    assert failed() == {}
    declare(f"{vendor}/200/v1", key="dead")
    assert failed().keys() == {"provider acme, key main"}
    declare(f"{vendor}/200/v1/chat/completions")
    assert failed().keys() == {"base_url of acme", "provider acme, key main"}


@pytest.fixture
def paid_by_stripe(data_dir):
    def write(api_base, secret="whsec_test", billing="true"):
        (data_dir / "hub.yaml").write_text(
            f"version: 1\nbilling:\n  enabled: {billing}\n  payments:\n    stripe:\n"
            f"      secret_key: {KEY}\n      api_base: '{api_base}'\n"
            f"      webhook_secret: '{secret}'\n"
        )

    return write


def test_doctor_asks_payment_providers(run, failed, vendor, paid_by_stripe):
    paid_by_stripe(f"{vendor}/200")
    assert failed() == {}
    _, found = run("doctor")
    told = {check["name"]: check["detail"] for check in found["checks"]}
    assert told["payments by stripe"].startswith("answers")
    assert told["payments by manual"] == "an admin confirms each payment"
    paid_by_stripe(f"{vendor}/401")
    wrong = failed()
    assert wrong.keys() == {"payments by stripe"}
    assert "billing.payments.stripe" in wrong["payments by stripe"]["fix"]
    paid_by_stripe(f"{vendor}/401", billing="false")
    assert failed() == {}


def test_doctor_finds_a_webhook_secret_that_cannot_be_one(failed, vendor, paid_by_stripe):
    paid_by_stripe(f"{vendor}/200", secret="we_1abc")
    assert failed()["webhook secret of stripe"]["detail"].startswith("does not begin with whsec_")
    paid_by_stripe(f"{vendor}/200", secret="")
    assert "has no webhook_secret" in failed()["payments by stripe"]["detail"]


def test_doctor_finds_webhooks_whose_secret_does_not_open(run, failed, data_dir):
    _, made = run("webhooks", "create", "--url", "https://example.com/hook")
    _, found = run("doctor")
    assert "1 open with the secret key" in {check["detail"] for check in found["checks"]}
    connection = sqlite3.connect(data_dir / "hub.db")
    connection.execute("UPDATE webhook_endpoint SET sealed_secret = x'00'")
    connection.commit()
    connection.close()
    assert made["id"] in failed()["webhook secrets"]["detail"]


def test_doctor_names_the_variable_that_is_not_set(failed, declare):
    declare("http://127.0.0.1:9/v1", key="${NOT_SET_ANYWHERE}")
    assert "NOT_SET_ANYWHERE" in failed()["hub.yaml"]["detail"]


def test_doctor_names_a_setting_that_cannot_be(failed, monkeypatch):
    monkeypatch.setenv("AIGNE_HUB_PORT", "many")
    assert "AIGNE_HUB_PORT" in failed()["settings"]["detail"]


def test_doctor_finds_a_secret_key_that_others_may_read(failed, data_dir):
    (data_dir / "secret.key").chmod(0o644)
    assert "0644" in failed()["secret key"]["detail"]


def test_doctor_finds_a_secret_key_that_is_missing_or_another(failed, data_dir):
    key = data_dir / "secret.key"
    key.unlink()
    assert failed().keys() == {"secret key"}
    assert not key.exists()
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    assert "another secret key" in failed()["database"]["detail"]


def test_doctor_finds_a_damaged_database(failed, data_dir):
    (data_dir / "hub.db").write_bytes(b"no database" * 1_000)
    assert failed().keys() == {"database"}


def test_doctor_finds_a_schema_of_another_version(failed, data_dir):
    with sqlite3.connect(data_dir / "hub.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "9999" in failed()["database"]["detail"]


def test_doctor_finds_the_port_taken_by_something_else(failed, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr("aigne_hub.cli.checks.HEALTH_S", 0.1)
        monkeypatch.setenv("AIGNE_HUB_PORT", str(taken.getsockname()[1]))
        assert failed().keys() == {"port"}


def test_doctor_finds_a_clock_that_is_wrong(data_dir):
    settings = load_settings({}, data_dir=data_dir)
    hour_us = 3_600_000_000
    true_us = int((data_dir / "hub.db").stat().st_mtime * 1_000_000)
    assert clock(settings, true_us, [true_us + 1_000_000]).ok
    wrong = clock(settings, true_us, [true_us + hour_us])
    assert not wrong.ok
    assert "-3600 s" in wrong.detail


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://api.openai.com/v1/chat/completions", "write https://api.openai.com/v1"),
        ("https://api.openai.com", "write https://api.openai.com/v1"),
        ("https://api.openai.com/v1/v1", "write https://api.openai.com/v1"),
        ("https://localhost:11434/v1", "write http://localhost:11434/v1"),
        ("https://127.0.0.1:8000/v1", "write http://127.0.0.1:8000/v1"),
        ("http://api.openai.com/v1", "write https://api.openai.com/v1"),
    ],
)
def test_a_mistaken_address_is_recognised(url, said):
    detail, fix = mistake(url)
    assert detail
    assert said in fix


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://openrouter.ai/api/v1",
        "https://api.deepseek.com",
        "http://localhost:11434/v1",
        "http://10.0.0.7:8000/v1",
        "http://vllm:8000/v1",
        "http://models.internal/v1",
    ],
)
def test_a_right_address_is_left_alone(url):
    assert mistake(url) is None


def test_a_backup_is_one_private_sound_file_and_never_replaces_another(run, tmp_path):
    target = tmp_path / "backup.db"
    code, made = run("db", "backup", str(target))
    assert (code, made["ok"], made["bytes"]) == (0, True, target.stat().st_size)
    assert target.stat().st_mode & 0o777 == 0o600
    before = target.read_bytes()
    assert run("db", "backup", str(target))[0] == 3
    assert target.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if "backup" in file.name] == ["backup.db"]


def test_a_backup_has_what_was_committed_and_is_still_only_in_the_log(run, data_dir, tmp_path):
    writer = sqlite3.connect(data_dir / "hub.db", isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("UPDATE hub_state SET version = 4711")
    assert run("db", "backup", str(tmp_path / "backup.db"))[0] == 0
    writer.close()
    copy = sqlite3.connect(tmp_path / "backup.db")
    assert copy.execute("SELECT version FROM hub_state").fetchone() == (4711,)
    copy.close()


def test_a_restore_brings_the_backup_back_and_keeps_what_it_replaced(run, data_dir, tmp_path):
    target = tmp_path / "backup.db"
    run("db", "backup", str(target))
    run("users", "create", "--email", "late@example.com")
    code, restored = run("db", "restore", str(target))
    assert (code, restored["replaced"]) == (0, str(data_dir / "hub.db.before-restore-1"))
    assert [user["email"] for user in run("users", "list")[1]] == ["owner@localhost"]
    _, again = run("db", "restore", restored["replaced"])
    assert again["replaced"].endswith("before-restore-2")
    assert len(run("users", "list")[1]) == 2


def test_a_restore_replaces_a_database_that_no_longer_opens(run, data_dir, tmp_path):
    run("db", "backup", str(tmp_path / "backup.db"))
    (data_dir / "hub.db").write_bytes(b"no database" * 1_000)
    assert run("db", "restore", str(tmp_path / "backup.db"))[0] == 0
    assert len(run("users", "list")[1]) == 1


def test_a_restore_refuses_what_is_no_hub_and_leaves_the_database_alone(run, data_dir, tmp_path):
    before = (data_dir / "hub.db").read_bytes()
    text, other, newer = (tmp_path / name for name in ("text", "other", "newer"))
    text.write_text("hello " * 1_000)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE recipe (name TEXT)")
    connection.close()
    shutil.copy(data_dir / "hub.db", newer)
    with sqlite3.connect(newer) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert run("db", "restore", str(tmp_path / "missing"))[0] == 4
    for file in (text, other, newer):
        code, refused = run("db", "restore", str(file))
        assert (code, refused["ok"]) == (2, False), file
    assert (data_dir / "hub.db").read_bytes() == before
    assert {file.name for file in data_dir.iterdir()} == {"hub.db", "secret.key"}


def test_a_restore_waits_for_nobody_who_has_the_database_open(run, data_dir, tmp_path):
    run("db", "backup", str(tmp_path / "backup.db"))
    reader = sqlite3.connect(data_dir / "hub.db", isolation_level=None)
    reader.execute("SELECT * FROM hub_state").fetchall()
    assert run("db", "restore", str(tmp_path / "backup.db"))[0] == 3
    reader.close()
    assert run("db", "restore", str(tmp_path / "backup.db"))[0] == 0


def test_postgres_is_backed_up_with_its_own_tools(run, tmp_path):
    url = "postgresql://hub:hub-password@127.0.0.1:9/hub"
    code, refused = run("db", "backup", str(tmp_path / "backup.db"), "--database-url", url)
    assert (code, refused["error"]["code"]) == (2, "invalid_request")


def test_an_upgrade_makes_a_new_database_and_then_has_nothing_to_do(run, tmp_path):
    url = f"sqlite:///{tmp_path / 'new' / 'hub.db'}"
    code, upgraded = run("db", "upgrade", "--database-url", url)
    assert (code, upgraded["ok"]) == (0, True)
    assert upgraded["applied"][-1] == upgraded["revision"]
    assert run("db", "upgrade", "--database-url", url)[1]["applied"] == []
