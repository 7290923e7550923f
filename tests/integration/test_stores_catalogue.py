import pytest
from sqlalchemy import select

from aigne_hub.crypto.envelope import Keyring, SealBroken
from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.pricing import RateCard
from aigne_hub.storage import declarations, schema
from aigne_hub.storage.catalogue import load_snapshot
from aigne_hub.storage.changes import changes
from aigne_hub.storage.declarations import Effect, Origin
from aigne_hub.storage.engine import reading

LIMITS = {"max_output_tokens": 100, "context_tokens": 1_000, "origin": Origin.API}


def _change(hub):
    return changes(hub.engine, hub.clock, hub.ids, actor="test")


def _snapshot(hub):
    with reading(hub.engine) as connection:
        return load_snapshot(connection, hub.keyring)


def _provider(change, name="openai", **values):
    defaults = {"kind": "openai", "base_url": None, "origin": Origin.API}
    return declarations.put_provider(change, name, **(defaults | values))


def _credential(hub, change, name="main", **values):
    defaults = {"secret": "sk-1", "weight": 100, "origin": Origin.API}
    return declarations.put_credential(change, hub.keyring, "openai", name, **(defaults | values))


def _model(change, name="gpt", kind="chat"):
    return declarations.put_model(change, "openai", name, type=kind, **LIMITS)


@pytest.fixture
def offered(hub):
    with _change(hub) as change:
        _provider(change, base_url="http://127.0.0.1:9/v1", origin=Origin.FILE)
        _credential(hub, change)
        _credential(hub, change, "spare", secret="sk-2", weight=50, priority=3)
        model = _model(change)
        declarations.put_rates(change, model.id, {"input": 150, "output": 600}, cost={}, source="t")
        declarations.put_alias(
            change, "fast", model="openai/gpt", fallbacks=["a/b", "c/d:e"], origin=Origin.API
        )
    return model


def test_the_snapshot_is_what_was_declared(hub, offered):
    snapshot = _snapshot(hub)
    assert snapshot.version == 2
    provider = snapshot.providers["openai"]
    assert (provider.kind, provider.base_url, provider.trusted) == (
        "openai",
        "http://127.0.0.1:9/v1",
        True,
    )
    assert [(c.name, c.secret, c.weight, c.priority) for c in provider.credentials] == [
        ("main", "sk-1", 100, 0),
        ("spare", "sk-2", 50, 3),
    ]
    assert "sk-1" not in repr(snapshot)
    (model,) = snapshot.resolve("fast")
    assert model is snapshot.models["openai/gpt"]
    assert model.provider is provider
    assert (model.type, model.max_output_tokens, model.context_tokens) == ("chat", 100, 1_000)
    assert model.rates == RateCard.of(model.rates.id, {"input": 150, "output": 600})
    assert (model.rates.base.cache_read, model.rates.base.cache_write) == (150, 150)
    assert snapshot.aliases["fast"].fallbacks == ("a/b", "c/d:e")


def test_a_provider_made_through_the_api_is_not_trusted(sqlite_hub):
    with _change(sqlite_hub) as change:
        _provider(change)
    assert _snapshot(sqlite_hub).providers["openai"].trusted is False


def test_putting_the_same_again_changes_nothing(hub, offered):
    before = _snapshot(hub)
    with _change(hub) as change:
        put = _provider(change, base_url="http://127.0.0.1:9/v1", origin=Origin.FILE)
        assert put.effect is Effect.UNCHANGED
        assert _credential(hub, change).effect is Effect.UNCHANGED
        assert _model(change).effect is Effect.UNCHANGED
        rates = {"output": 600, "input": 150}
        put = declarations.put_rates(change, offered.id, rates, cost={}, source="other")
        assert put is Effect.UNCHANGED
        put = declarations.put_alias(
            change, "fast", model="openai/gpt", fallbacks=["a/b", "c/d:e"], origin=Origin.API
        )
        assert put is Effect.UNCHANGED
        assert change.audited == 0
    assert _snapshot(hub) == before


def test_a_new_price_is_a_new_version_and_the_old_one_stays(hub, offered):
    first = _snapshot(hub).models["openai/gpt"].rates
    with _change(hub) as change:
        for amounts, cost in (({"input": 200}, {}), ({"input": 200}, {"input": 100}), ({}, {})):
            put = declarations.put_rates(change, offered.id, amounts, cost=cost, source="t")
            assert put is Effect.UPDATED
    assert _snapshot(hub).models["openai/gpt"].rates is None
    with _change(hub) as change:
        declarations.put_rates(change, offered.id, {"request": 0}, cost={}, source="t")
    assert _snapshot(hub).models["openai/gpt"].rates.base.request == 0
    with reading(hub.engine) as connection:
        rows = connection.execute(select(schema.rate).order_by(schema.rate.c.version)).all()
    assert [row.version for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0].id == first.id
    assert [row.amounts for row in rows][1:3] == ['{"input": 200}', '{"input": 200}']
    assert rows[2].cost == '{"input": 100}'
    effective = [row.effective_us for row in rows]
    assert effective == sorted(set(effective))


def test_a_price_in_an_unknown_unit_is_refused(sqlite_hub):
    with _change(sqlite_hub) as change:
        _provider(change)
        model = _model(change)
        for amounts in ({"tokens": 1}, {"input": -1}):
            with pytest.raises(ValueError, match="rate"):
                declarations.put_rates(change, model.id, amounts, cost={}, source="t")


def test_secrets_are_sealed_for_their_row_and_stay_out_of_the_audit_log(hub, offered):
    with reading(hub.engine) as connection:
        sealed = connection.execute(select(schema.credential.c.sealed_key)).scalars().all()
        details = connection.execute(select(schema.audit_log.c.detail)).scalars().all()
        assert not any(b"sk-" in value for value in sealed)
        assert not any("sk-" in detail for detail in details)
        other = Keyring(b"x" * 32, key_id="other", randbytes=hub.randbytes)
        with pytest.raises(SealBroken):
            load_snapshot(connection, other)


def test_a_changed_secret_is_sealed_again(hub, offered):
    with _change(hub) as change:
        assert _credential(hub, change, secret="sk-new", weight=7).effect is Effect.UPDATED
    credential = _snapshot(hub).providers["openai"].credentials[0]
    assert (credential.secret, credential.weight) == ("sk-new", 7)


def test_removed_objects_disappear_and_come_back_with_their_ids(hub, offered):
    before = _snapshot(hub)
    with _change(hub) as change:
        for found in declarations.declared(change.connection, Origin.API):
            declarations.remove(change, found)
        assert declarations.declared(change.connection, Origin.API) == []
    gone = _snapshot(hub)
    assert (gone.models, gone.aliases, gone.providers["openai"].credentials) == ({}, {}, ())
    with _change(hub) as change:
        assert _model(change).effect is Effect.CREATED
        assert _credential(hub, change).effect is Effect.CREATED
    back = _snapshot(hub)
    assert back.models["openai/gpt"].rates == before.models["openai/gpt"].rates
    assert back.providers["openai"].credentials == before.providers["openai"].credentials[:1]


def test_a_removed_provider_takes_what_is_below_it_along(hub, offered):
    with _change(hub) as change:
        (provider,) = declarations.declared(change.connection, Origin.FILE)
        declarations.remove(change, provider)
    snapshot = _snapshot(hub)
    assert (snapshot.providers, snapshot.models) == ({}, {})


def test_a_model_of_an_unknown_provider_is_refused(sqlite_hub):
    with _change(sqlite_hub) as change, pytest.raises(NotFound, match="no provider 'openai'"):
        _model(change)
