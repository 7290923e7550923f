import sqlite3
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from aigne_hub.storage import engine as engines
from aigne_hub.storage.engine import StorageError, UnfixedSqlite, reading, writing


def test_the_sqlite_in_use_is_one_with_the_wal_fix():
    assert engines.sqlite_module().sqlite_version_info >= engines.SQLITE_VERSION_MIN


def test_an_unfixed_sqlite_is_refused_with_the_version_the_reason_and_the_remedy():
    with pytest.raises(UnfixedSqlite) as refused:
        engines.require_fixed((3, 51, 2), driver="sqlite3")
    message = str(refused.value)
    assert "3.51.2" in message
    assert "corrupt" in message
    assert "pysqlite3" in message
    engines.require_fixed((3, 51, 3), driver="sqlite3")


def test_without_pysqlite3_the_standard_library_is_judged_by_the_same_rule(monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))
    with pytest.raises(UnfixedSqlite, match=r"'sqlite3' uses SQLite 3\.40\.1"):
        engines.sqlite_module()
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 52, 0))
    assert engines.sqlite_module() is sqlite3


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://root:hunter2@db/hub", "Use sqlite:///path or postgresql"),
        ("not a url hunter2", "not a URL"),
        ("sqlite://", "is a file"),
        ("sqlite:///:memory:", "is a file"),
        ("sqlite:////tmp/hub.db?mode=ro", "without options"),
    ],
)
def test_an_address_that_cannot_work_is_refused_without_repeating_its_password(url, message):
    with pytest.raises(StorageError, match=message) as refused:
        engines.create_engine(url)
    assert "hunter2" not in str(refused.value)


def test_postgresql_without_its_driver_names_the_extra(monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    with pytest.raises(StorageError, match=r"aigne-hub\[postgres\]"):
        engines.create_engine("postgresql://127.0.0.1/hub")


def test_the_path_behind_an_address(tmp_path):
    assert engines.sqlite_path(f"sqlite:///{tmp_path}/hub.db") == tmp_path / "hub.db"
    with pytest.raises(StorageError, match="not the address of a SQLite file"):
        engines.sqlite_path("postgresql://127.0.0.1/hub")


def test_engine_connections_are_durable_and_checked(sqlite_hub):
    with reading(sqlite_hub.engine) as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 5_000,
    }


def test_the_journals_connection_is_durable_never_waits_and_never_checkpoints(tmp_path):
    connection = engines.connect(tmp_path / "hub.db")
    pragmas = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in (
            "journal_mode",
            "synchronous",
            "foreign_keys",
            "busy_timeout",
            "wal_autocheckpoint",
        )
    }
    connection.execute("CREATE TABLE t (a)")
    assert not connection.in_transaction
    assert connection.isolation_level is None
    connection.close()
    assert pragmas == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 0,
        "busy_timeout": 0,
        "wal_autocheckpoint": 0,
    }


def test_a_write_transaction_is_all_or_nothing(hub):
    def fail_half_way():
        with writing(hub.engine) as connection:
            connection.execute(text("UPDATE hub_state SET version = 99"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with writing(hub.engine) as connection:
        assert connection.execute(text("SELECT version FROM hub_state")).scalar_one() == 1
        connection.execute(text("UPDATE hub_state SET version = 2"))
    with reading(hub.engine) as connection:
        assert connection.execute(text("SELECT version FROM hub_state")).scalar_one() == 2


def test_a_reader_sees_one_state_while_writers_commit(hub):
    query = text("SELECT version FROM hub_state")
    with reading(hub.engine) as reader:
        before = reader.execute(query).scalar_one()
        with writing(hub.engine) as writer:
            writer.execute(text("UPDATE hub_state SET version = version + 1"))
        assert reader.execute(query).scalar_one() == before
    with reading(hub.engine) as reader:
        assert reader.execute(query).scalar_one() == before + 1


def test_read_modify_write_in_threads_loses_nothing(hub):
    lock = "" if hub.is_sqlite else " FOR UPDATE"

    def bump():
        for _ in range(10):
            with writing(hub.engine) as connection:
                version = connection.execute(
                    text(f"SELECT version FROM hub_state{lock}")
                ).scalar_one()
                connection.execute(text("UPDATE hub_state SET version = :v"), {"v": version + 1})

    threads = [threading.Thread(target=bump) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(hub.engine) as connection:
        assert connection.execute(text("SELECT version FROM hub_state")).scalar_one() == 41


def test_a_write_waits_for_the_lock_and_then_says_it_is_locked(sqlite_hub, monkeypatch):
    monkeypatch.setattr(engines, "BUSY_TIMEOUT_MS", 50)
    with (
        writing(sqlite_hub.engine),
        pytest.raises(OperationalError, match="database is locked"),
        writing(sqlite_hub.engine),
    ):
        pass


def test_foreign_keys_are_enforced(hub):
    with pytest.raises(IntegrityError), writing(hub.engine) as connection:
        connection.execute(text("INSERT INTO account (id, created_us) VALUES ('nobody', 1)"))


def test_a_reader_cannot_write_and_leaves_its_connection_as_it_was(hub):
    with reading(hub.engine) as connection, pytest.raises(DBAPIError, match=r"read-?only"):
        connection.execute(text("UPDATE hub_state SET version = 2"))
    with writing(hub.engine) as connection:
        assert connection.execute(text("UPDATE hub_state SET version = 3")).rowcount == 1
