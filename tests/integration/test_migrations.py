import importlib.resources
import threading

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from aigne_hub.storage import creation, migrate, revision, schema, triggers
from aigne_hub.storage.engine import create_engine, reading, writing
from aigne_hub.storage.migrate import SchemaMismatch


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    return request.getfixturevalue("empty_postgres")


@pytest.fixture
def empty(empty_url):
    engine = create_engine(empty_url)
    yield engine
    engine.dispose()


def _constraints(connection):
    """Every constraint and index as the database itself spells it."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index')"
            " AND sql IS NOT NULL AND name <> 'alembic_version'"
        )
        # A table's columns are in order; its constraints, which follow, may be in any.
        found = {}
        for name, ddl in rows:
            body, _, options = ddl.partition("\n)")
            columns, *constraints = (" ".join(part.split()) for part in body.split("CONSTRAINT"))
            found[name] = columns, sorted(part.rstrip(", ") for part in constraints), options
        return found
    rows = connection.exec_driver_sql(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conname NOT LIKE 'alembic%%'"
        " UNION SELECT indexname, indexdef FROM pg_indexes"
        " WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    )
    return dict(tuple(row) for row in rows)


def test_the_migrations_build_exactly_the_schema(empty):
    migrate.upgrade(empty)
    with reading(empty) as connection:
        context = MigrationContext.configure(
            connection,
            # Alembic misreads an empty default on SQLite; the next test compares the DDL itself.
            opts={"compare_server_default": connection.dialect.name != "sqlite"},
        )
        assert compare_metadata(context, schema.metadata) == []
        assert triggers.installed(connection) == triggers.expected()


def test_constraints_are_the_schemas_too(empty):
    with writing(empty) as connection:
        schema.metadata.create_all(connection)
        wanted = _constraints(connection)
        schema.metadata.drop_all(connection)
    migrate.upgrade(empty)
    with reading(empty) as connection:
        found = _constraints(connection)
    assert found == wanted
    assert len(wanted) > 15


def _made(engine):
    """What a new database is: columns, constraints, triggers, and the rows it begins with."""
    with reading(engine) as connection:
        tables = sorted(inspect(connection).get_table_names())
        rows = {
            name: [tuple(row) for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"')]
            for name in tables
        }
        columns = {
            name: [(each["name"], str(each["type"]), each["nullable"]) for each in found]
            for name in tables
            if (found := inspect(connection).get_columns(name))
        }
        key = inspect(connection).get_pk_constraint("alembic_version")
        return (
            {name: found for name, found in rows.items() if found},
            columns,
            _constraints(connection),
            triggers.installed(connection),
            key,
        )


def test_a_database_is_made_as_the_migrations_would_make_it(empty):
    migrate.upgrade(empty)
    wanted = _made(empty)
    with writing(empty) as connection:
        triggers.remove(connection)
        schema.metadata.drop_all(connection)
        connection.execute(text("DROP TABLE alembic_version"))
    creation.create(empty)
    assert _made(empty) == wanted
    assert wanted[0].keys() == {"hub_state", "alembic_version"}
    migrate.require_current(empty)
    assert migrate.upgrade(empty) == []


def test_processes_that_make_a_database_at_once_make_one(empty_url):
    failures = []
    barrier = threading.Barrier(3)

    def create():
        engine = create_engine(empty_url)
        try:
            barrier.wait()
            creation.create(engine)
        except Exception as error:  # noqa: BLE001 - reported by the assertion below
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=create) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    engine = create_engine(empty_url)
    migrate.require_current(engine)
    engine.dispose()


def test_upgrade_says_what_it_applied_once(empty):
    told = []
    assert migrate.current(empty) is None
    assert migrate.upgrade(empty, progress=told.append) == [migrate.head()] == told
    assert migrate.upgrade(empty, progress=told.append) == []
    assert migrate.current(empty) == migrate.head()
    assert len(told) == 1
    migrate.require_current(empty)


def test_a_new_database_has_one_state_row(hub):
    with reading(hub.engine) as connection:
        rows = connection.execute(text("SELECT id, version FROM hub_state")).all()
    assert [tuple(row) for row in rows] == [(1, 1)]


def test_an_empty_database_names_the_command(empty):
    with pytest.raises(SchemaMismatch, match=r"is empty.*aigne-hub db upgrade"):
        migrate.require_current(empty)


def test_an_older_schema_names_the_command(sqlite_hub, monkeypatch):
    monkeypatch.setattr(migrate, "head", lambda: "0002")
    with pytest.raises(
        SchemaMismatch, match=r"older schema 0001.*needs 0002.*aigne-hub db upgrade"
    ):
        migrate.require_current(sqlite_hub.engine)


def test_a_newer_schema_is_refused_by_checks_and_upgrades(hub):
    with writing(hub.engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match=r"9999.*newer version.*aigne-hub db upgrade"):
        migrate.require_current(hub.engine)
    with pytest.raises(SchemaMismatch, match="9999"):
        migrate.upgrade(hub.engine)


def test_processes_that_upgrade_at_once_apply_each_revision_once(empty_url):
    applied, failures = [], []
    barrier = threading.Barrier(3)

    def upgrade():
        engine = create_engine(empty_url)
        try:
            barrier.wait()
            applied.extend(migrate.upgrade(engine))
        except Exception as error:  # noqa: BLE001 - reported by the assertion below
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=upgrade) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert applied == [migrate.head()]


def test_a_failing_upgrade_leaves_nothing_behind(empty):
    def stop(_revision):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate.upgrade(empty, progress=stop)
    assert inspect(empty).get_table_names() == []
    assert migrate.upgrade(empty) == [migrate.head()]


def test_triggers_return_when_a_revision_rebuilt_a_table(sqlite_hub):
    with writing(sqlite_hub.engine) as connection:
        connection.execute(text("DROP TRIGGER transfer_append_only"))
        assert triggers.installed(connection) != triggers.expected()
        triggers.install(connection)
        assert triggers.installed(connection) == triggers.expected()


def test_the_scripts_are_package_data():
    folder = importlib.resources.files("aigne_hub.storage.migrations")
    assert (folder / "env.py").is_file()
    assert (folder / "script.py.mako").is_file()
    assert (folder / "versions" / "0001_initial.py").is_file()


SEED = """
INSERT INTO "user" (id, did, role, created_us) VALUES ('u', 'did:abt:u', 'member', 1);
INSERT INTO account (id, balance, created_us) VALUES ('u', 10, 1);
INSERT INTO credit_grant (id, account_id, amount, remaining, category, priority, created_us, source)
    VALUES ('g', 'u', 10, 10, 'paid', 50, 1, 'funding:manual');
INSERT INTO transfer (operation_id, seq, kind, debit, credit, amount, account_id, created_us)
    VALUES ('g', 0, 'grant', 'funding:manual', 'u', 10, 'u', 1);
INSERT INTO provider (id, name, kind, origin, created_us) VALUES ('p', 'p', 'p', 'api', 1);
INSERT INTO model (id, provider_id, name, type, max_output_tokens, context_tokens, origin,
    created_us) VALUES ('m', 'p', 'm', 'chat', 1, 1, 'api', 1);
INSERT INTO rate (id, model_id, version, amounts, source, effective_us)
    VALUES ('r', 'm', 1, '{}', 'test', 1);
INSERT INTO audit_log (id, seq, actor, action, object, created_us, hash)
    VALUES ('a', 99, 'a', 'a', 'a', 1, '');
INSERT INTO call_attempt
    (call_id, seq, provider, credential, model, reason, started_us, duration_us)
    VALUES ('c', 0, 'p', 'c', 'm', 'chosen', 1, 1);
INSERT INTO hold (call_id, account_id, amount, state, created_us, expires_us)
    VALUES ('c', 'u', 5, 'pending', 1, 2);
INSERT INTO meter_event (call_id, meter, account_id, value, created_us)
    VALUES ('c', 'm', 'u', 5, 1);
"""


@pytest.fixture
def seeded(hub):
    with writing(hub.engine) as connection:
        for statement in SEED.strip().removesuffix(";").split(";\n"):
            connection.execute(text(statement))
    return hub.engine


REFUSED = [
    "UPDATE transfer SET amount = 9",
    "DELETE FROM transfer",
    "UPDATE audit_log SET actor = 'nobody'",
    "DELETE FROM audit_log",
    "UPDATE rate SET amounts = '{\"input\": 1}'",
    "DELETE FROM rate",
    "UPDATE call_attempt SET status = 200",
    "UPDATE meter_event SET value = 4",
    "UPDATE meter_event SET delivered_us = 2, account_id = 'v'",
    "DELETE FROM meter_event",
    "DELETE FROM hold",
    "UPDATE hold SET account_id = 'v'",
    "UPDATE credit_grant SET amount = 20",
    "UPDATE credit_grant SET account_id = 'v'",
    "UPDATE credit_grant SET category = 'promotional'",
    "DELETE FROM credit_grant",
    "DELETE FROM account",
]


def test_the_database_refuses_to_change_the_past(seeded, subtests):
    for statement in REFUSED:
        with (
            subtests.test(statement),
            pytest.raises(IntegrityError, match=r"rows are never|only|final"),
            writing(seeded) as connection,
        ):
            connection.execute(text(statement))


def test_what_may_change_once_changes_once(seeded):
    once = [
        "UPDATE meter_event SET delivered_us = 2",
        "UPDATE hold SET state = 'captured', captured = 5, resolved_us = 2",
    ]
    with writing(seeded) as connection:
        connection.execute(text("UPDATE hold SET amount = 6"))
        connection.execute(text("UPDATE credit_grant SET remaining = 4"))
        connection.execute(text("DELETE FROM call_attempt"))
        for statement in once:
            assert connection.execute(text(statement)).rowcount == 1
    for statement in once:
        with pytest.raises(IntegrityError), writing(seeded) as connection:
            connection.execute(text(statement))


def test_postgresql_names_the_refusal_so_that_drivers_can_tell(empty_postgres):
    engine = create_engine(empty_postgres)
    migrate.upgrade(engine)
    engine.dispose()
    with psycopg.connect(empty_postgres) as connection:
        connection.execute("INSERT INTO audit_log VALUES ('a', 1, 'a', '', 'a', 'a', '{}', 1, '')")
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute("DELETE FROM audit_log")


def test_the_revision_that_a_start_expects_is_the_newest():
    assert migrate.head() == revision.HEAD
