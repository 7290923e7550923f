"""Applications that are added and revoked, and marks that are seen once, on both databases."""

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.signing import App

from aigne_hub.crypto.did import DidType, HashType, KeyType, RoleType, address_of
from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.domain.limits import Measure, Subject
from aigne_hub.domain.windows import Window
from aigne_hub.storage import applications, identities, keys, used_signatures, users
from aigne_hub.storage import limits as limits_of
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing

MARK = b"m" * 32
ASKED_AT_ONCE = 16
PROCESSES = 4
# Each asks for the same marks and prints those it was the first to see.
ASKING = """
import sys
from aigne_hub.storage import used_signatures
from aigne_hub.storage.engine import create_engine, writing
engine = create_engine(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    with writing(engine) as connection:
        if used_signatures.use(connection, number.to_bytes(32), 1):
            print(number)
"""


def change(hub):
    return changes(hub.engine, hub.clock, hub.ids, actor="test")


def add(hub, app, **given):
    with change(hub) as made:
        return applications.add(made, hub.keyring, hub.randbytes, did=app.did, **given)


def user(hub, email="ada@example.com"):
    with change(hub) as made:
        return users.create(made, hub.keyring, hub.randbytes, email=email, role=Role.MEMBER)


def caller(hub, did):
    with reading(hub.engine) as view:
        return applications.caller(view, did)


def test_an_application_calls_for_its_payer_until_it_is_revoked(hub):
    app, payer = App.new(), user(hub)
    made = add(hub, app, public_key=app.identity.public_key, user=payer, name="shop")
    found = caller(hub, app.did)
    assert found.public_key == app.identity.public_key
    principal = found.principal
    assert (principal.user_id, principal.user_did) == (payer.id, payer.did)
    assert principal.app_did == principal.key_id == app.did
    assert principal.app_is_verified
    assert not principal.rights
    with reading(hub.engine) as view:
        assert applications.listed(view) == [made]
        assert applications.find(view, app.address) == made
    for _ in range(2):
        with change(hub) as what:
            revoked = applications.revoke(what, app.address)
    assert revoked.revoked_us is not None
    assert caller(hub, app.did) is None
    with pytest.raises(Conflict, match="new key"):
        add(hub, app, public_key=app.identity.public_key, user=payer)


def test_a_payers_limits_are_its_applications(hub):
    app, payer = App.new(), user(hub)
    add(hub, app, public_key=app.identity.public_key, user=payer)
    with change(hub) as made:
        limits_of.put(made, Subject.USER, payer.id, Measure.REQUESTS, Window.MINUTE, 7)
    (limit,) = caller(hub, app.did).principal.limits
    assert limit.amount == 7


def test_an_application_of_a_disabled_user_calls_no_more(hub):
    app, payer = App.new(), user(hub)
    add(hub, app, public_key=app.identity.public_key, user=payer, sibling=True)
    with change(hub) as made:
        users.disable(made, payer)
    assert caller(hub, app.did) is None
    with reading(hub.engine) as view:
        assert applications.siblings(view) == []


def test_without_a_payer_an_application_has_an_account_of_its_own(hub):
    app = App.new()
    with writing(hub.engine) as connection:
        identities.register(connection, 1, app.did, app.identity.public_key)
    assert caller(hub, app.did) is None
    made = add(hub, app)
    assert (made.user.did, made.user.email) == (app.did, None)
    assert caller(hub, app.did).principal.user_id == made.user.id


def test_only_the_siblings_are_siblings(hub):
    payer = user(hub)
    some = [App.new() for _ in range(applications.SIBLINGS_MAX)]
    for app in some:
        add(hub, app, public_key=app.identity.public_key, user=payer, sibling=True)
    other = App.new()
    add(hub, other, public_key=other.identity.public_key, user=payer)
    with reading(hub.engine) as view:
        found = applications.siblings(view)
    assert {one.principal.app_did for one in found} == {app.did for app in some}
    more = App.new()
    with pytest.raises(Conflict, match="At most 8"):
        add(hub, more, public_key=more.identity.public_key, user=payer, sibling=True)
    with change(hub) as made:
        applications.revoke(made, some[0].did)
    add(hub, more, public_key=more.identity.public_key, user=payer, sibling=True)


def test_what_is_no_application_is_refused(hub):
    app, payer = App.new(), user(hub)
    key = app.identity.public_key
    with change(hub) as made:
        own = keys.create(made, hub.keyring, hub.randbytes, hub.pepper, user=payer).record.app_did
    kinds = (
        DidType(RoleType.ACCOUNT),
        DidType(RoleType.BLOCKLET),
        DidType(RoleType.APPLICATION, KeyType.ED25519, HashType.KECCAK),
    )
    for did in ("", "nonsense", *(address_of(key, kind) for kind in kinds)):
        with pytest.raises(InvalidRequest), change(hub) as made:
            applications.add(made, hub.keyring, hub.randbytes, did=did, public_key=key, user=payer)
    with pytest.raises(InvalidRequest, match="not of this public key"):
        add(hub, app, public_key=App.new().identity.public_key, user=payer)
    with pytest.raises(InvalidRequest, match="not registered itself"):
        add(hub, app, user=payer)
    with pytest.raises(InvalidRequest, match="100 characters"):
        add(hub, app, public_key=key, user=payer, name="n" * 101)
    with pytest.raises(Conflict, match="API key"), change(hub) as made:
        applications.add(made, hub.keyring, hub.randbytes, did=own, user=payer)
    with pytest.raises(NotFound), change(hub) as made:
        applications.revoke(made, app.did)
    with reading(hub.engine) as view:
        assert applications.listed(view) == []


# -- marks -----------------------------------------------------------------------------------


def use(hub, mark, expires_us):
    with writing(hub.engine) as connection:
        return used_signatures.use(connection, mark, expires_us)


def test_a_mark_is_new_until_it_is_forgotten(hub):
    assert [use(hub, MARK, 100) for _ in range(3)] == [True, False, False]
    assert use(hub, b"n" * 32, 101)
    with writing(hub.engine) as connection:
        assert used_signatures.prune(connection, 99) == 0
        assert used_signatures.prune(connection, 100) == 1
    assert use(hub, MARK, 100)
    assert not use(hub, b"n" * 32, 101)


def test_of_many_who_see_a_mark_at_once_one_is_first(hub):
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        said = list(pool.map(lambda _: use(hub, MARK, 1), range(ASKED_AT_ONCE)))
    assert Counter(said) == {True: 1, False: ASKED_AT_ONCE - 1}


def test_of_many_processes_one_is_first(database_url):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ASKING, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        for _ in range(PROCESSES)
    ]
    try:
        for process in started:
            assert process.stdout.readline() == "ready\n"
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0].split() for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert all(process.returncode == 0 for process in started)
    seen = Counter(number for numbers in said for number in numbers)
    assert seen == {str(number): 1 for number in range(50)}


# -- commands --------------------------------------------------------------------------------


def test_applications_are_added_listed_and_revoked(run):
    app = App.new()
    given = ("--public-key", app.public_key, "--user", "owner@localhost", "--name", "shop")
    code, added, _ = run("apps", "add", app.address, *given)
    assert (code, added["did"], added["name"], added["sibling"]) == (0, app.did, "shop", False)
    assert added["user"]["email"] == "owner@localhost"
    assert run("apps", "add", app.did, *given)[0] == 3
    code, revoked, _ = run("apps", "revoke", app.did)
    assert (code, revoked) == (0, {**added, "revoked_at": revoked["revoked_at"]})
    assert run("apps", "list")[1] == [revoked]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["add", "nonsense"], 2),
        (["add", App.new().did], 2),
        (["add", App.new().did, "--public-key", App.new().public_key], 2),
        (["add", App.new().did, "--public-key", "xyz"], 2),
        (["add", App.new().did, "--user", "ghost@example.com"], 4),
        (["revoke", App.new().did], 4),
    ],
)
def test_what_cannot_be_added_says_so(run, arguments, code):
    found, error, _ = run("apps", *arguments)
    assert (found, bool(error)) == (code, True)
