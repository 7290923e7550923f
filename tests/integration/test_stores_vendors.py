"""Providers that administrators make: no key reaches an address it was not given for."""

import pytest

from aigne_hub.domain.errors import Conflict, NotFound
from aigne_hub.storage import declarations, vendors
from aigne_hub.storage.changes import changes
from aigne_hub.storage.declarations import Declared, Kind, Origin
from aigne_hub.storage.engine import reading

ADDRESS, ELSEWHERE = "https://example.com/v1", "https://example.org/v1"


def _change(hub):
    return changes(hub.engine, hub.clock, hub.ids, actor="test")


def _add_key(hub, name="main"):
    with _change(hub) as change:
        vendor = vendors.find(change.connection, "own")
        vendors.add_credential(change, hub.keyring, vendor, name, secret="sk-1", weight=1)


def _keys(hub):
    with reading(hub.engine) as view:
        return [one.name for one in vendors.find(view, "own").credentials]


@pytest.fixture
def declared(hub):
    """A provider of hub.yaml to which an administrator gave a key."""
    with _change(hub) as change:
        put = declarations.put_provider(
            change, "own", kind="openai", base_url=ADDRESS, origin=Origin.FILE
        )
    _add_key(hub)
    return put.id


def test_a_name_that_hub_yaml_gave_up_comes_back_without_keys(hub, declared):
    with _change(hub) as change:
        declarations.remove(change, Declared(Kind.PROVIDER, "own", declared))
    with _change(hub) as change:
        made = vendors.create(change, "own", kind="openai", base_url=ELSEWHERE)
    assert (made.id, made.credentials) == (declared, ())
    assert _keys(hub) == []


def test_what_hub_yaml_declares_stays_with_its_keys(hub, declared):
    with _change(hub) as change:
        vendor = vendors.find(change.connection, declared)
        for refused in (
            lambda: vendors.move(change, vendor, ELSEWHERE),
            lambda: vendors.remove(change, vendor),
            lambda: vendors.create(change, "own", kind="openai", base_url=ELSEWHERE),
        ):
            with pytest.raises(Conflict):
                refused()
    assert _keys(hub) == ["main"]


def test_there_are_only_so_many(hub, monkeypatch):
    monkeypatch.setattr(vendors, "PROVIDERS_MAX", 1)
    monkeypatch.setattr(vendors, "CREDENTIALS_MAX", 1)
    with _change(hub) as change:
        vendors.create(change, "own", kind="openai", base_url=ADDRESS)
    _add_key(hub)
    with pytest.raises(Conflict):
        _add_key(hub, "spare")
    with _change(hub) as change, pytest.raises(Conflict):
        vendors.create(change, "other", kind="openai", base_url=ADDRESS)
    with reading(hub.engine) as view, pytest.raises(NotFound):
        vendors.find(view, "other")
