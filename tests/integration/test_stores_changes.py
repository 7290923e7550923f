import threading

import pytest
from sqlalchemy import select, text

from aigne_hub.storage import schema
from aigne_hub.storage.changes import changes, version
from aigne_hub.storage.engine import reading


def _version(hub):
    with reading(hub.engine) as connection:
        return version(connection)


def _change(hub, actor="cli:root"):
    return changes(hub.engine, hub.clock, hub.ids, actor=actor)


def test_a_change_is_audited_and_announced_once(hub):
    with _change(hub) as change:
        change.audit("thing.create", "t1", {"b": 1, "a": "x"})
        change.audit("thing.update", "t1")
    assert _version(hub) == 2
    with reading(hub.engine) as connection:
        rows = connection.execute(select(schema.audit_log).order_by(schema.audit_log.c.id)).all()
    assert [(row.actor, row.action, row.object, row.detail) for row in rows] == [
        ("cli:root", "thing.create", "t1", '{"a": "x", "b": 1}'),
        ("cli:root", "thing.update", "t1", "{}"),
    ]
    assert rows[0].created_us < rows[1].created_us


def test_a_change_that_fails_leaves_nothing(hub):
    def fail_half_way():
        with _change(hub) as change:
            change.audit("thing.create", "t1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert _version(hub) == 1
    with reading(hub.engine) as connection:
        assert connection.execute(select(schema.audit_log)).all() == []


def test_what_nobody_audited_does_not_happen(hub):
    with _change(hub) as change:
        change.connection.execute(text("UPDATE hub_state SET version = 50"))
    assert _version(hub) == 1


def test_changes_are_made_one_at_a_time(hub):
    seen = []

    def work():
        for _ in range(5):
            with _change(hub) as change:
                seen.append(version(change.connection))
                change.audit("thing.touch", "t")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 16))
    assert _version(hub) == 16
