"""The audit log: who did what from where, and how a log that was tampered with shows it."""

import json
from typing import Any

import pytest
from sqlalchemy import text
from tests.api import admin_of
from tests.hub import HubProcess

from aigne_hub.domain.audit import GENESIS, Chained, Entry, Head, breaks, follow
from aigne_hub.storage import audit
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing


def change(hub: Any, *targets: str, actor: str = "cli:root") -> None:
    with changes(hub.engine, hub.clock, hub.ids, actor=actor, origin="192.0.2.7") as made:
        for target in targets:
            made.audit("thing.touch", target, {"why": "ünd \u2028"})


def broken(hub: Any) -> list[tuple[int, str]]:
    with reading(hub.engine) as connection:
        return [(one.seq, one.reason) for one in audit.verify(connection)]


def tamper(hub: Any, *statements: str) -> None:
    """Do what the triggers of the log forbid, as somebody with the file in hand can."""
    drop = {
        "sqlite": "DROP TRIGGER audit_log_{}",
        "postgresql": "DROP TRIGGER audit_log_{} ON audit_log",
    }[hub.engine.dialect.name]
    with writing(hub.engine) as connection:
        for rule in ("append_only", "no_delete"):
            connection.execute(text(drop.format(rule)))
        for statement in statements:
            connection.execute(text(statement))


def test_what_was_done_is_on_record_with_who_and_where(hub):
    change(hub, "a", "b")
    change(hub, "c", actor="key:k")
    with reading(hub.engine) as connection:
        found = list(audit.entries(connection, audit.Wanted(), limit=10))
        mine = list(audit.entries(connection, audit.Wanted(actor="key:k"), limit=10))
        end = audit.head(connection)
    assert [(one["seq"], one["object"]) for one in found] == [(3, "c"), (2, "b"), (1, "a")]
    assert [(one["object"], one["origin"]) for one in mine] == [("c", "192.0.2.7")]
    assert end.seq == 3
    assert broken(hub) == []


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE audit_log SET actor = 'nobody' WHERE seq = 2", 2),
        ("UPDATE audit_log SET detail = '{}' WHERE seq = 3", 3),
        ("UPDATE audit_log SET created_us = created_us + 1 WHERE seq = 1", 1),
        ("UPDATE audit_log SET origin = '' WHERE seq = 4", 4),
        ("DELETE FROM audit_log WHERE seq = 2", 3),
        ("DELETE FROM audit_log WHERE seq = 1", 2),
        ("DELETE FROM audit_log WHERE seq = 4", 3),
        ("UPDATE audit_log SET seq = -seq WHERE seq IN (2, 3)", -3),
    ],
)
def test_whatever_is_changed_shows(hub, statement, where):
    change(hub, "a", "b", "c", "d")
    tamper(hub, statement)
    found = broken(hub)
    assert found
    assert found[0][0] == where


def test_a_log_that_was_shortened_with_its_head_lacks_the_head_that_was_noted(hub):
    change(hub, "a", "b")
    with reading(hub.engine) as connection:
        noted = audit.head(connection).hash.hex()
        first, _ = (entry["hash"] for entry in audit.exported(connection))
    tamper(
        hub,
        "DELETE FROM audit_log WHERE seq = 2",
        "UPDATE hub_state SET audit_seq = 1,"
        " audit_hash = (SELECT hash FROM audit_log WHERE seq = 1)",
    )
    assert broken(hub) == []
    with reading(hub.engine) as connection:
        assert audit.has(connection, first)
        assert not audit.has(connection, noted)
        assert not audit.has(connection, "no hash")


def test_an_export_verifies_without_the_database(hub):
    change(hub, *"abc")
    with reading(hub.engine) as connection:
        lines = [json.dumps(entry) for entry in audit.exported(connection)]
        end = audit.head(connection)
    log = []
    for line in lines:
        value = json.loads(line)
        digest = bytes.fromhex(value.pop("hash"))
        log.append(Chained(Entry(**value), digest))
    assert list(breaks(log, end)) == []
    swapped = [log[1], log[0], log[2]]
    assert list(breaks(swapped, end))


def test_an_empty_log_is_whole():
    assert list(breaks([], Head())) == []
    assert follow(GENESIS, Entry(1, "i", "a", "", "x", "o", "{}", 1)) != GENESIS


def test_the_command_line_lists_exports_and_verifies(new_hub):
    made: HubProcess = new_hub()
    made.cli("users", "create", "--email", "somebody@example.com")
    listed = made.cli("audit", "list", "--action", "user.", "--limit", "1")
    assert (listed[0]["action"], listed[0]["actor"][:4]) == ("user.create", "cli:")
    verified = made.cli("audit", "verify")
    assert verified["ok"]
    assert verified["entries"] >= 3
    assert made.cli("audit", "verify", "--head", verified["head"])["ok"]
    exported = made.run("audit", "export").stdout.splitlines()
    assert len(exported) == verified["entries"]
    done = made.run("audit", "verify", "--head", "00" * 32)
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False)


def test_a_change_over_http_has_the_callers_address(new_hub):
    made: HubProcess = new_hub()
    answer = admin_of(made).post("/api/admin/grants", user=made.user, amount="1")
    assert answer.status < 300, made.log()[-3000:]
    newest = made.cli("audit", "list", "--limit", "1")[0]
    assert (newest["origin"], newest["actor"][:4]) == ("127.0.0.1", "key:")
    listed = admin_of(made).get("/api/admin/audit", action="credits.").json
    assert listed["changes"][0]["hash"] == newest["hash"]
    assert listed["entries"] > newest["seq"]
