import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from aigne_hub.domain.access import Role
from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.domain.routing import Policy
from aigne_hub.hub_file import load_hub_file
from aigne_hub.reconcile import Reconciled, reconcile
from aigne_hub.storage import declarations, schema, users
from aigne_hub.storage.catalogue import load_snapshot
from aigne_hub.storage.changes import changes, version
from aigne_hub.storage.declarations import Origin
from aigne_hub.storage.engine import reading, writing

FULL = """
version: 1
providers:
  - name: openai
    base_url: http://127.0.0.1:9100/v1
    credentials:
      - {name: main, api_key: "${KEY}", weight: 100}
      - {name: spare, api_key: sk-spare, weight: 50}
  - {name: local, kind: ollama, base_url: "http://127.0.0.1:11434"}
models:
  - {model: openai/gpt, type: chat, rates: {input: "0.15", output: "0.60"}, cost: {input: "0.1"}}
  - {model: local/llama:8b, type: chat, rates: {request: "0"}, max_output_tokens: 10,
     context_tokens: 20}
aliases:
  fast: {model: openai/gpt, fallbacks: [local/llama:8b]}
billing: {overdraft: "2"}
"""
EMPTY = "version: 1"
DEMO_CREATED = [
    "provider demo",
    "credential demo/builtin",
    "model demo/echo",
    "rates demo/echo",
    "model demo/embed",
    "rates demo/embed",
    "model demo/image",
    "rates demo/image",
]


@pytest.fixture
def run(hub, tmp_path):
    def run(content, key="sk-main"):
        path = tmp_path / "hub.yaml"
        path.write_text(content)
        return reconcile(
            hub.engine, load_hub_file(path, {"KEY": key}), hub.keyring, hub.clock, hub.ids
        )

    return run


def _snapshot(hub):
    with reading(hub.engine) as connection:
        return load_snapshot(connection, hub.keyring)


def _change(hub):
    return changes(hub.engine, hub.clock, hub.ids, actor="console")


def test_what_the_file_declares_is_offered(hub, run):
    done = run(FULL)
    assert done == Reconciled(
        created=[
            "provider openai",
            "credential openai/main",
            "credential openai/spare",
            "provider local",
            "model openai/gpt",
            "rates openai/gpt",
            "model local/llama:8b",
            "rates local/llama:8b",
            "alias fast",
        ],
        updated=["billing"],
    )
    snapshot = _snapshot(hub)
    assert set(snapshot.providers) == {"openai", "local"}
    openai = snapshot.providers["openai"]
    assert (openai.kind, openai.base_url, openai.trusted) == (
        "openai",
        "http://127.0.0.1:9100/v1",
        True,
    )
    assert [(c.name, c.secret, c.weight) for c in openai.credentials] == [
        ("main", "sk-main", 100),
        ("spare", "sk-spare", 50),
    ]
    gpt, llama = snapshot.resolve("fast")
    assert (gpt.max_output_tokens, gpt.context_tokens) == (16_384, 131_072)
    assert (gpt.rates.base.input, gpt.rates.base.output) == (150_000_000, 600_000_000)
    assert (llama.max_output_tokens, llama.context_tokens) == (10, 20)
    with reading(hub.engine) as connection:
        rate = connection.execute(select(schema.rate).order_by(schema.rate.c.id)).first()
    assert (rate.source, rate.cost) == ("hub.yaml", '{"input": 100000000}')


def test_a_second_run_changes_and_announces_nothing(hub, run):
    run(FULL)
    before = _snapshot(hub)
    assert run(FULL) == Reconciled()
    assert _snapshot(hub) == before
    with reading(hub.engine) as connection:
        assert version(connection) == before.version == 2


def test_changes_in_the_file_are_followed(hub, run):
    run(FULL)
    first = _snapshot(hub)
    changed = FULL.replace('"0.15"', '"0.20"').replace("weight: 50", "weight: 60")
    changed = changed.replace("max_output_tokens: 10", "max_output_tokens: 11")
    assert run(changed, key="sk-rotated") == Reconciled(
        updated=[
            "credential openai/main",
            "credential openai/spare",
            "rates openai/gpt",
            "model local/llama:8b",
        ]
    )
    second = _snapshot(hub)
    assert second.providers["openai"].credentials[0].secret == "sk-rotated"
    assert second.models["openai/gpt"].rates.base.input == 200_000_000
    assert second.models["openai/gpt"].rates.id != first.models["openai/gpt"].rates.id
    assert first.models["openai/gpt"].rates.base.input == 150_000_000


def test_priorities_and_policies_are_followed(hub, run):
    def offered():
        snapshot = _snapshot(hub)
        priorities = [(c.name, c.priority) for c in snapshot.providers["openai"].credentials]
        return priorities, snapshot.aliases["fast"].policy, snapshot.policy_of("fast")

    run(FULL)
    assert offered() == ([("main", 0), ("spare", 0)], None, Policy.ORDER)
    ranked = FULL.replace("weight: 50", "weight: 50, priority: 100")
    chosen = ranked.replace("[local/llama:8b]}", "[local/llama:8b], policy: least_outstanding}")
    least = Policy.LEAST_OUTSTANDING
    assert run(chosen).updated == ["credential openai/spare", "alias fast"]
    assert offered() == ([("main", 0), ("spare", 100)], least, least)
    before = _snapshot(hub)
    assert run(chosen) == Reconciled()
    assert _snapshot(hub) == before
    assert run(FULL).updated == ["credential openai/spare", "alias fast"]
    assert offered() == ([("main", 0), ("spare", 0)], None, Policy.ORDER)


@pytest.mark.parametrize(
    "planted",
    [
        "UPDATE credential SET priority = -1",
        "UPDATE alias SET policy = 'fastest'",
    ],
)
def test_the_database_refuses_what_no_file_may_say(hub, run, planted):
    run(FULL)
    with pytest.raises(IntegrityError), writing(hub.engine) as connection:
        connection.execute(text(planted))


def test_what_the_file_no_longer_declares_is_removed_and_can_return(hub, run):
    run(FULL)
    before = _snapshot(hub)
    less = FULL.replace("  - {name: local", "  - {name: other").replace(
        "local/llama:8b", "other/llama:8b"
    )
    done = run(less)
    assert done.removed == ["model local/llama:8b", "provider local"]
    assert done.updated == ["alias fast"]
    assert "local" not in _snapshot(hub).providers
    assert run(FULL).removed == ["model other/llama:8b", "provider other"]
    after = _snapshot(hub)
    assert after.models["local/llama:8b"] == before.models["local/llama:8b"]


def test_objects_of_administrators_stay_and_what_the_file_claims_becomes_its_own(hub, run):
    with _change(hub) as change:
        declarations.put_provider(
            change, "mine", kind="openai", base_url="http://127.0.0.1:7/v1", origin=Origin.API
        )
        declarations.put_provider(change, "openai", kind="openai", base_url=None, origin=Origin.API)
        declarations.put_alias(change, "slow", model="mine/m", fallbacks=[], origin=Origin.API)
    assert "provider openai" in run(FULL).updated
    snapshot = _snapshot(hub)
    assert snapshot.providers["openai"].trusted
    assert not snapshot.providers["mine"].trusted
    assert set(snapshot.aliases) == {"fast", "slow"}
    run(EMPTY)
    assert set(_snapshot(hub).providers) == {"mine"}


def test_without_providers_the_built_in_one_answers(hub, run):
    assert run(EMPTY).created == DEMO_CREATED
    snapshot = _snapshot(hub)
    demo = snapshot.providers["demo"]
    assert (demo.kind, demo.base_url) == ("demo", None)
    assert [(c.name, c.secret) for c in demo.credentials] == [("builtin", "")]
    assert {ref: model.type for ref, model in snapshot.models.items()} == {
        "demo/echo": "chat",
        "demo/embed": "embedding",
        "demo/image": "image",
    }
    for model in snapshot.models.values():
        assert model.rates is not None
        assert (model.rates.base.request, model.rates.base.input_worst, model.rates.base.image) == (
            0,
            0,
            0,
        )
        assert (model.max_output_tokens, model.context_tokens) == (16_384, 131_072)
    assert run(EMPTY) == Reconciled()


def test_a_configured_provider_replaces_the_built_in_one(hub, run):
    run(EMPTY)
    assert run(FULL).removed == [
        "model demo/echo",
        "model demo/embed",
        "model demo/image",
        "credential demo/builtin",
        "provider demo",
    ]
    assert "demo" not in _snapshot(hub).providers


def test_a_provider_of_an_administrator_replaces_it_too(hub, run):
    run(EMPTY)
    with _change(hub) as change:
        declarations.put_provider(change, "mine", kind="openai", base_url=None, origin=Origin.API)
    assert "provider demo" in run(EMPTY).removed


@pytest.mark.parametrize(
    "declared",
    [
        FULL.replace("providers:", "providers:\n  - {name: demo}"),
        FULL.replace("models:", 'models:\n  - {model: demo/echo, type: chat, rates: {input: "1"}}'),
        FULL.replace("[local/llama:8b]", "[local/llama:8b, demo/echo]"),
    ],
)
def test_the_built_in_provider_stays_beside_others_when_it_is_declared(hub, run, declared):
    run(declared)
    snapshot = _snapshot(hub)
    assert set(snapshot.providers) == {"demo", "local", "openai"}
    assert {"demo/echo", "demo/embed", "demo/image"} < set(snapshot.models)
    wanted = 1_000_000_000 if "demo/echo, type" in declared else 0
    assert snapshot.models["demo/echo"].rates.base.input == wanted


def test_every_account_gets_the_overdraft_but_none_falls_below_what_it_uses(hub, run):
    with _change(hub) as change:
        make = (change, hub.keyring, hub.randbytes)
        calm = users.create(*make, email="a@example.com", role=Role.MEMBER)
        debtor = users.create(
            *make, email="b@example.com", role=Role.MEMBER, overdraft=9 * NANO_PER_CREDIT
        )
    with writing(hub.engine) as connection:
        connection.execute(
            text("UPDATE account SET balance = :debt, held = 1 WHERE id = :id"),
            {"debt": -5 * NANO_PER_CREDIT, "id": debtor.id},
        )
    assert run(FULL).updated == ["billing", "overdraft"]
    with reading(hub.engine) as connection:
        overdrafts = dict(
            connection.execute(select(schema.account.c.id, schema.account.c.overdraft)).all()
        )
    assert overdrafts == {calm.id: 2 * NANO_PER_CREDIT, debtor.id: 5 * NANO_PER_CREDIT + 1}
    assert run(FULL).updated == []


def test_every_step_is_audited_in_the_files_name(hub, run):
    done = run(FULL)
    with reading(hub.engine) as connection:
        rows = connection.execute(select(schema.audit_log)).all()
    assert {row.actor for row in rows} == {"hub.yaml"}
    assert len(rows) == len(done.created) + len(done.updated) + len(["the hub's own meter"])
    assert not any("sk-" in row.detail for row in rows)
