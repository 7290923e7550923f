"""What the database itself refuses: changing the past, whoever asks.

Each trigger is named `<table>_<rule>`; a refused statement fails with an integrity error
on both databases. They are installed after every migration, so one that rebuilds a table
cannot lose them, and are absent while migrations run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Trigger:
    """Refuse `event` (an UPDATE or DELETE clause) on `table` for rows where `when` holds.

    `when` is a condition over OLD and NEW that both databases understand; empty is always.
    """

    table: str
    rule: str
    event: str
    reason: str
    when: str = ""

    @property
    def name(self) -> str:
        return f"{self.table}_{self.rule}"

    @property
    def message(self) -> str:
        return f"{self.table}: {self.reason}"


def _append_only(table: str) -> tuple[Trigger, Trigger]:
    return (
        Trigger(table, "append_only", "UPDATE", "rows are never changed"),
        _no_delete(table),
    )


def _no_delete(table: str) -> Trigger:
    return Trigger(table, "no_delete", "DELETE", "rows are never deleted")


TRIGGERS = (
    *_append_only("transfer"),
    *_append_only("audit_log"),
    *_append_only("rate"),
    *_append_only("grant_reversal"),
    *_append_only("call_rerate"),
    # Retention deletes old attempts with their calls.
    Trigger("call_attempt", "append_only", "UPDATE", "rows are never changed"),
    Trigger(
        "meter_event",
        "delivered_once",
        "UPDATE",
        "only delivered_us can be set, once",
        "OLD.delivered_us IS NOT NULL OR NEW.delivered_us IS NULL"
        " OR NEW.call_id <> OLD.call_id OR NEW.meter <> OLD.meter"
        " OR NEW.account_id <> OLD.account_id OR NEW.value <> OLD.value"
        " OR NEW.created_us <> OLD.created_us",
    ),
    _no_delete("meter_event"),
    Trigger(
        "metered_event",
        "pending_shrinks",
        "UPDATE",
        "only what is pending of it changes, and only to less",
        "NEW.pending >= OLD.pending OR NEW.id <> OLD.id OR NEW.identifier <> OLD.identifier"
        " OR NEW.meter_id <> OLD.meter_id OR NEW.account_id <> OLD.account_id"
        " OR NEW.value <> OLD.value OR NEW.created_us <> OLD.created_us",
    ),
    _no_delete("metered_event"),
    Trigger(
        "hold",
        "resolved_once",
        "UPDATE",
        "a resolved hold is final",
        "OLD.state <> 'pending' OR NEW.call_id <> OLD.call_id"
        " OR NEW.account_id <> OLD.account_id OR NEW.created_us <> OLD.created_us",
    ),
    _no_delete("hold"),
    Trigger(
        "credit_grant",
        "fixed_terms",
        "UPDATE OF id, account_id, amount, category, source, created_us, effective_us, expires_us",
        "only what remains of a grant changes",
    ),
    Trigger(
        "credit_grant",
        "posted_once",
        "UPDATE OF posted",
        "a posted grant stays posted",
        "OLD.posted AND NOT NEW.posted",
    ),
    _no_delete("credit_grant"),
    _no_delete("account"),
)


def install(connection: Connection) -> None:
    """Create every trigger, replacing what is there."""
    remove(connection)
    statements = _sqlite() if connection.dialect.name == "sqlite" else _postgres()
    for statement in statements:
        connection.exec_driver_sql(statement)


def remove(connection: Connection) -> None:
    """Drop the hub's triggers, whichever exist."""
    present = installed(connection)
    for table, name in sorted(present):
        on = "" if connection.dialect.name == "sqlite" else f" ON {table}"
        connection.exec_driver_sql(f"DROP TRIGGER {name}{on}")


def installed(connection: Connection) -> set[tuple[str, str]]:
    """Return (table, trigger) of every enabled trigger on the hub's tables."""
    if connection.dialect.name == "sqlite":
        query = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = (
            "SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
            " WHERE NOT t.tgisinternal AND t.tgenabled = 'O'"
            " AND c.relnamespace = current_schema()::regnamespace"
        )
    return {(str(table), str(name)) for table, name in connection.exec_driver_sql(query)}


def expected() -> set[tuple[str, str]]:
    """Return (table, trigger) of everything `install` creates."""
    return {(trigger.table, trigger.name) for trigger in TRIGGERS}


def _sqlite() -> Iterator[str]:
    for trigger in TRIGGERS:
        when = f" WHEN {trigger.when}" if trigger.when else ""
        yield (
            f"CREATE TRIGGER {trigger.name} BEFORE {trigger.event} ON {trigger.table}{when}"
            f" BEGIN SELECT RAISE(ABORT, '{trigger.message}'); END"
        )


def _postgres() -> Iterator[str]:
    # One function serves all: the message is the trigger's argument.
    yield (
        "CREATE OR REPLACE FUNCTION aigne_hub_refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'restrict_violation';"
        " END $$"
    )
    for trigger in TRIGGERS:
        when = f" WHEN ({trigger.when})" if trigger.when else ""
        yield (
            f"CREATE TRIGGER {trigger.name} BEFORE {trigger.event} ON {trigger.table}"
            f" FOR EACH ROW{when} EXECUTE FUNCTION aigne_hub_refuse('{trigger.message}')"
        )
