"""The health of targets in the database: who wins, who may probe, and what the owner is told."""

import json
from typing import Any

import pytest
from sqlalchemy import select

from aigne_hub.domain.faults import Fault
from aigne_hub.domain.health import Standing
from aigne_hub.storage import declarations, schema, target_health
from aigne_hub.storage.changes import changes
from aigne_hub.storage.declarations import Declared, Kind, Origin
from aigne_hub.storage.engine import reading, writing

MAIN, SPARE, MODEL = "openai:main", "openai:spare", "openai:main:gpt"
BARRED = Standing(MAIN, Fault.BROKEN, 100, 1, 50)


def refused(target: str, bars: int, changed_us: int) -> Standing:
    return Standing(target, Fault.REFUSED, changed_us + 10, bars, changed_us)


def well(target: str, changed_us: int) -> Standing:
    return Standing(target, None, 0, 1, changed_us)


def record(hub: Any, *standings: Standing) -> list[str]:
    return [each.type.value for each in target_health.record(hub.engine, standings)]


def events(hub: Any) -> list[tuple[str, dict[str, Any]]]:
    event = schema.event.c
    with reading(hub.engine) as connection:
        rows = connection.execute(select(event.type, event.payload).order_by(event.created_us))
        return [(row.type, json.loads(row.payload)) for row in rows]


def test_standings_are_shared_and_the_newer_stands(hub: Any):
    other = Standing("a", Fault.UNREACHABLE, 7, 2, 50)
    record(hub, BARRED, other)
    record(
        hub, BARRED._replace(fault=None, changed_us=49), other._replace(fault=None, changed_us=51)
    )
    assert sorted(target_health.known(hub.engine)) == [
        other._replace(fault=None, changed_us=51),
        BARRED,
    ]


def test_who_has_seen_the_table_reads_it_again_when_it_has_changed(hub: Any):
    def seen_again() -> list[Standing]:
        nonlocal state
        state, found = target_health.look(hub.engine, state)
        return found

    state: target_health.State | None = None
    assert seen_again() == []
    other = BARRED._replace(target="a", changed_us=9_000_000_000_000_000)
    record(hub, BARRED, other)
    assert sorted(seen_again()) == [other, BARRED]
    target_health.claim(hub.engine, [MAIN], "a", 100, 200)
    assert seen_again() == []
    record(hub, BARRED._replace(changed_us=51))  # not the newest
    assert len(seen_again()) == 2
    assert seen_again() == []


def test_one_process_at_a_time_may_probe(hub: Any):
    record(hub, BARRED)

    def claim(process: str, now: int) -> set[str]:
        return target_health.claim(hub.engine, [MAIN, "unknown"], process, now, now + 30)

    assert claim("a", 99) == set()  # it is not due yet
    assert claim("a", 100) == {MAIN}
    assert claim("b", 100) == claim("a", 129) == set()
    assert claim("b", 130) == {MAIN}
    target_health.release(hub.engine, [MAIN], "a")  # not its own any more
    assert claim("c", 131) == set()
    target_health.release(hub.engine, [MAIN], "b")
    assert claim("c", 131) == {MAIN}


def test_who_probes_a_provider_probes_what_is_below_it(hub: Any):
    targets = ["openai", MAIN, MODEL, SPARE, "openai-eu"]
    record(hub, *(BARRED._replace(target=target) for target in targets))

    def claim(process: str, *wanted: str) -> set[str]:
        return target_health.claim(hub.engine, wanted, process, 100, 200)

    assert claim("a", MAIN) == {MAIN}
    assert claim("b", *targets) == {SPARE, "openai-eu"}
    assert claim("a", *targets) == {MODEL}  # the provider is of both lines
    target_health.release(hub.engine, [SPARE], "b")
    assert claim("a", *targets) == {"openai", SPARE}


def test_a_change_ends_the_claim(hub: Any):
    record(hub, BARRED)
    target_health.claim(hub.engine, [MAIN], "a", 100, 1_000)
    record(hub, BARRED._replace(until_us=200, changed_us=110))
    assert target_health.claim(hub.engine, [MAIN], "b", 150, 1_000) == set()
    assert target_health.claim(hub.engine, [MAIN], "b", 200, 1_000) == {MAIN}
    record(hub, well(MAIN, 300))
    assert target_health.claim(hub.engine, [MAIN], "a", 2_000, 3_000) == set()


def test_the_owner_is_told_once_of_a_key_that_is_refused_again(hub: Any):
    assert record(hub, refused(MAIN, 1, 1_000_000)) == []
    assert record(hub, refused(MAIN, 2, 2_000_000)) == ["credential.disabled"]
    # Another process found the same, and a probe failed in another way.
    assert record(hub, refused(MAIN, 2, 2_000_001)) == []
    assert record(hub, BARRED._replace(bars=4, changed_us=3_000_000)) == []
    assert record(hub, well(MAIN, 4_000_000)) == ["credential.restored"]
    assert record(hub, well(MAIN, 5_000_000)) == []
    about = {
        "provider": "openai",
        "credential": "main",
        "key": "********",
        "since": "1970-01-01T00:00:01.000000Z",
    }
    reason = "The provider refuses the key: it is wrong, expired or revoked."
    assert events(hub) == [
        ("credential.disabled", {**about, "reason": reason}),
        ("credential.restored", {**about, "reason": "It works again."}),
    ]


def test_a_vendors_empty_account_is_told_of_at_once_and_each_time_anew(hub: Any):
    empty = Standing(MAIN, Fault.EXHAUSTED, 10, 1, 1)
    assert record(hub, empty, empty._replace(target=SPARE)) == ["credential.disabled"] * 2
    assert record(hub, well(MAIN, 2)) == ["credential.restored"]
    assert record(hub, empty._replace(changed_us=3)) == ["credential.disabled"]
    assert len(events(hub)) == 4


@pytest.mark.parametrize(
    "standing",
    [
        refused("openai", 5, 1),
        refused(MODEL, 5, 1),
        Standing(MAIN, Fault.THROTTLED, 9, 9, 1),
        Standing(MAIN, Fault.BROKEN, 9, 9, 1),
    ],
    ids=["a provider", "a model", "throttled", "broken"],
)
def test_what_is_no_credentials_own_fault_is_not_told(hub: Any, standing: Standing):
    assert record(hub, standing) == []
    assert record(hub, standing._replace(fault=None, changed_us=2)) == []
    assert events(hub) == []


def test_what_is_configured_anew_is_let_in_without_a_word(hub: Any):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        for name in ("openai", "openai-eu"):
            declarations.put_provider(
                change, name, kind="openai", base_url="https://e.example/v1", origin=Origin.API
            )
        put = _credential(hub, change, "sk-1")
    late = hub.clock.us + 10_000_000  # of a host whose clock is ahead
    other = "openai-eu:main"

    def bar(changed_us: int) -> None:
        standing = Standing(MAIN, Fault.EXHAUSTED, changed_us, 1, changed_us)
        record(hub, *(standing._replace(target=t) for t in ("openai", MAIN, MODEL, other)))

    def barred() -> set[str]:
        return {each.target for each in target_health.known(hub.engine) if each.fault}

    bar(late)
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        _credential(hub, change, "sk-1")  # nothing is changed
    assert barred() == {"openai", MAIN, MODEL, other}
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        _credential(hub, change, "sk-2")
    assert barred() == {other}
    assert record(hub, Standing(MAIN, Fault.EXHAUSTED, late, 1, late)) == []  # of the old key
    assert barred() == {other}
    bar(late + 2)
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        declarations.remove(change, Declared(Kind.CREDENTIAL, "openai/main", put.id))
    assert barred() == {other}
    assert {kind for kind, _ in events(hub)} == {"credential.disabled"}


def _credential(hub: Any, change: Any, secret: str) -> Any:
    return declarations.put_credential(
        change, hub.keyring, "openai", "main", secret=secret, weight=1, origin=Origin.API
    )


def test_what_has_long_been_well_is_forgotten(hub: Any):
    now = target_health.BARRED_KEPT_US
    day_ago = now - target_health.WELL_KEPT_US
    kept = [well("a", day_ago + 1), refused("b", 1, 1)]
    record(hub, *kept, well("c", day_ago), refused("d", 1, 0))
    with writing(hub.engine) as connection:
        assert target_health.prune(connection, now) == 2
    assert sorted(target_health.known(hub.engine)) == kept


def test_many_are_stored_at_once(hub: Any):
    many = [numbered(BARRED, number) for number in range(2 * target_health.BATCH + 1)]
    record(hub, *many)
    assert len(target_health.known(hub.engine)) == len(many)


def numbered(standing: Standing, number: int) -> Standing:
    return standing._replace(target=f"openai:{number}")
