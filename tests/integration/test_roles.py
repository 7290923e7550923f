"""Roles of one's own, service accounts, and that nobody gives what they lack."""

import pytest
from tests.api import Api
from tests.hub import HubProcess
from tests.patience import until

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.domain.permissions import NOTHING, Permission
from aigne_hub.hub_file import load_hub_file
from aigne_hub.reconcile import reconcile
from aigne_hub.storage import keys, passwords, roles, sessions, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.declarations import Effect, Origin
from aigne_hub.storage.engine import reading

READS = {Permission.CALLS_READ, Permission.USERS_READ}


def changing(hub):
    return changes(hub.engine, hub.clock, hub.ids, actor="test")


def put(hub, name, permissions, origin=Origin.API):
    with changing(hub) as change:
        return roles.put(change, name, permissions, origin=origin)


def create(hub, role, **options):
    with changing(hub) as change:
        return users.create(change, hub.keyring, hub.randbytes, email=None, role=role, **options)


def rights_of(hub, user, scopes=("admin",)):
    """Return what a key of a user may do, as the verifier finds it."""
    with changing(hub) as change:
        made = keys.create(
            change, hub.keyring, hub.randbytes, hub.pepper, user=user, scopes=set(scopes)
        )
    with reading(hub.engine) as connection:
        return keys.holder_of(connection, made.record.id).principal.rights


def test_a_role_of_ones_own_gives_its_keys_what_it_may(hub):
    assert put(hub, "support", READS) is Effect.CREATED
    user = create(hub, "support")
    assert rights_of(hub, user) == READS
    assert rights_of(hub, user, ["inference"]) == NOTHING
    assert put(hub, "support", READS) is Effect.UNCHANGED
    assert put(hub, "support", {Permission.AUDIT_READ}) is Effect.UPDATED
    assert rights_of(hub, user) == {Permission.AUDIT_READ}


def test_a_role_that_somebody_has_stays(hub):
    put(hub, "support", READS)
    user = create(hub, "support")
    with changing(hub) as change, pytest.raises(Conflict, match="1 users have"):
        roles.remove(change, "support")
    with changing(hub) as change:
        users.set_role(change, user, Role.MEMBER)
        roles.remove(change, "support")
    with changing(hub) as change, pytest.raises(NotFound):
        roles.remove(change, "support")
    with changing(hub) as change, pytest.raises(NotFound, match="built in"):
        roles.remove(change, "member")


def test_nobody_gets_a_role_that_is_not_there(hub):
    with pytest.raises(InvalidRequest, match="no role 'support'"):
        create(hub, "support")


def test_hub_yaml_declares_roles_and_takes_them_back(hub, tmp_path):
    def run(text):
        path = tmp_path / "hub.yaml"
        path.write_text(f"version: 1\n{text}")
        return reconcile(hub.engine, load_hub_file(path, {}), hub.keyring, hub.clock, hub.ids)

    assert "role support" in run("roles: {support: [calls.read, credits.grant]}").created
    user = create(hub, "support")
    assert rights_of(hub, user) == {Permission.CALLS_READ, Permission.CREDITS_GRANT}
    with pytest.raises(Conflict, match=r"hub\.yaml declares"):
        put(hub, "support", READS)
    put(hub, "mine", READS)
    assert run("").removed.count("role support") == 1
    assert rights_of(hub, user) == NOTHING
    with reading(hub.engine) as connection:
        assert roles.find(connection, "mine").permissions == READS


def test_a_service_account_has_keys_and_no_session(hub):
    robot = create(hub, Role.ADMIN, service="billing-robot")
    assert (robot.service, robot.email) == ("billing-robot", None)
    assert Permission.CREDITS_GRANT in rights_of(hub, robot)
    with changing(hub) as change, pytest.raises(Conflict, match="keys only"):
        sessions.begin(
            change, hub.randbytes, hub.pepper, robot, "password", user_agent="", address=""
        )
    with changing(hub) as change, pytest.raises(Conflict, match="keys only"):
        passwords.put(change, robot, "hash")
    with changing(hub) as change, pytest.raises(Conflict, match="keys only"):
        users.set_email(change, robot, "robot@example.com")


def test_a_service_account_is_no_owner(hub):
    with pytest.raises(InvalidRequest, match="cannot be an owner"):
        create(hub, Role.OWNER, service="robot")
    robot = create(hub, Role.ADMIN, service="robot")
    with changing(hub) as change, pytest.raises(Conflict):
        users.set_role(change, robot, Role.OWNER)
    with pytest.raises(Conflict, match="the service name robot"):
        create(hub, Role.MEMBER, service="robot")
    with pytest.raises(InvalidRequest, match="service account's name"):
        create(hub, Role.MEMBER, service="Not a name")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("roles"), {}) as hub:
        rights = ("--permission", "users.write", "--permission", "keys.write")
        hub.cli("roles", "add", "clerk", *rights)
        yield hub


def caller(hub, email, role, *scopes):
    hub.cli("users", "create", "--email", email, "--role", role)
    chosen = [option for scope in scopes for option in ("--scope", scope)]
    return Api(hub, hub.cli("keys", "create", "--user", email, *chosen)["key"])


@pytest.fixture(scope="module")
def owner(running):
    made = running.cli(
        *("keys", "create", "--user", running.user, "--scope", "admin", "--scope", "inference")
    )
    return Api(running, made["key"])


@pytest.fixture(scope="module")
def admin(running):
    return caller(running, "admin@example.com", "admin", "admin", "inference", "models")


@pytest.fixture(scope="module")
def clerk(running):
    return caller(running, "clerk@example.com", "clerk", "admin")


def test_only_an_owner_makes_owners_admins_and_roles(running, owner, admin):
    for role in ("owner", "admin"):
        refused = admin.post("/api/admin/users", email=f"new-{role}@example.com", role=role)
        assert (refused.status, refused.code) == (403, "forbidden")
        made = owner.post("/api/admin/users", email=f"new-{role}@example.com", role=role)
        assert made.json["role"] == role
    assert admin.put("/api/admin/users/new-admin@example.com/role", role="guest").status == 403
    changed = owner.put("/api/admin/users/new-admin@example.com/role", role="guest")
    assert changed.json["role"] == "guest"
    assert admin.put("/api/admin/roles/spy", permissions=["calls.read"]).status == 403
    assert owner.put("/api/admin/roles/spy", permissions=["calls.read"]).json["origin"] == "api"
    assert owner.delete("/api/admin/roles/spy").json == {"ok": True}


def test_an_admin_cannot_touch_an_owner(running, owner, admin):
    me = owner.get("/api/user/info").json["user"]["did"]
    assert admin.post(f"/api/admin/users/{me}/disable").status == 403
    assert admin.post(f"/api/admin/users/{me}/keys").status == 403
    key_id = running.cli("keys", "list", "--user", running.user)[0]["id"]
    assert admin.post(f"/api/admin/keys/{key_id}/revoke").status == 403


def test_who_may_make_users_makes_none_above_themselves(clerk):
    assert clerk.post("/api/admin/users", email="peer@example.com", role="clerk").status == 200
    assert clerk.post("/api/admin/users", email="member@example.com").json["role"] == "member"
    refused = clerk.post("/api/admin/users", email="boss@example.com", role="admin")
    assert refused.status == 403
    assert clerk.post("/api/admin/users/admin@example.com/keys").status == 403


def test_a_key_hands_on_no_scope_that_it_lacks(clerk, admin):
    clerk.post("/api/admin/users", email="hand@example.com")
    path = "/api/admin/users/hand@example.com/keys"
    refused = clerk.post(path, scopes=["inference"])
    assert (refused.status, "inference" in refused.message) == (403, True)
    made = admin.post(path, scopes=["inference"], name="ok")
    assert made.json["key"].startswith("blocklet-")
    listed = admin.get(path).json["keys"]
    assert [key["name"] for key in listed] == ["ok"]
    assert made.json["key"] not in str(listed)
    assert admin.post(f"/api/admin/keys/{made.json['id']}/revoke").json["revoked_at"]
    assert Api(admin.hub, made.json["key"]).get("/api/user/info").status == 401


def test_a_service_account_over_http_and_on_the_command_line(running, admin):
    made = admin.post("/api/admin/users", service="importer", role="clerk").json
    assert (made["service"], made["email"], made["role"]) == ("importer", None, "clerk")
    by_command = running.cli("users", "create", "--service", "exporter")
    assert by_command["service"] == "exporter"
    listed = running.cli("users", "list")
    assert {user["service"] for user in listed if "service" in user} == {"importer", "exporter"}
    assert running.run("users", "create").returncode == 2
    assert running.run("users", "create", "--service", "x", "--role", "owner").returncode == 2
    assert admin.post("/api/admin/users", service="both", email="a@example.com").status == 400
    assert admin.post("/api/admin/users").status == 400


def test_roles_on_the_command_line(running):
    made = running.cli("roles", "add", "auditor", "--permission", "audit.read")
    assert made == {"name": "auditor", "origin": "api", "permissions": ["audit.read"]}
    names = [role["name"] for role in running.cli("roles", "list")]
    assert names[:4] == ["owner", "admin", "member", "guest"]
    assert "auditor" in names
    assert running.run("roles", "add", "admin").returncode == 2
    running.cli("users", "create", "--email", "aud@example.com", "--role", "auditor")
    assert running.run("roles", "remove", "auditor").returncode == 3
    running.cli("users", "set-role", "--user", "aud@example.com", "member")
    assert running.cli("roles", "remove", "auditor") == {"ok": True}
    assert running.run("roles", "remove", "auditor").returncode == 4


def test_a_changed_role_holds_in_every_process_within_a_moment(tmp_path):
    with HubProcess(tmp_path, {}, workers=2) as hub:
        hub.cli("roles", "add", "support", "--permission", "limits.read")
        support = caller(hub, "support@example.com", "support", "admin")

        def seen():
            return {support.get("/api/admin/limits").status for _ in range(8)}

        assert seen() == {200}
        hub.cli("roles", "add", "support", "--permission", "calls.read")
        until(lambda: seen() == {403})
        hub.cli("users", "set-role", "--user", "support@example.com", "admin")
        until(lambda: seen() == {200})
