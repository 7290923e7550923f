"""Everybody who may call a hub, made at once: each a name, headers, and what lets them in where."""

import json
from dataclasses import dataclass, field
from os import urandom

from sqlalchemy import update

from aigne_hub.bootstrap import Hub
from aigne_hub.domain.access import Role, Scope
from aigne_hub.domain.permissions import EVERYTHING, NOTHING, OWNERS_ONLY, Permission, Permissions
from aigne_hub.domain.roles import BUILT_IN
from aigne_hub.storage import applications, keys, roles, schema, users
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.declarations import Origin
from tests.oauth import COOKIE, Person, Site
from tests.signing import App

ALL = frozenset(Scope)
ELSEWHERE = "https://elsewhere.example.com/"


@dataclass(frozen=True)
class Caller:
    """Who calls, with what. `rights` are those of its user; the scopes say which of them count.

    `dead` is a credential that opens nothing any more, or never did. `cookie` is a person who
    is signed in, `client` a program that an OAuth token was given to, `app` one that signs.
    """

    name: str
    headers: dict[str, str] = field(repr=False)
    rights: Permissions = NOTHING
    scopes: frozenset[Scope] = frozenset()
    dead: bool = False
    cookie: bool = False
    client: bool = False
    app: App | None = None

    @property
    def is_anonymous(self) -> bool:
        return not self.headers and self.app is None

    def may(self, permission: Permission | None) -> bool:
        return Scope.ADMIN in self.scopes and permission in self.rights


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def everybody(site: Site) -> list[Caller]:
    """Make a user of every kind, with every kind of credential."""
    return [
        Caller("anonymous", {}),
        *site.change(_with_keys),
        *_with_tokens(site),
        Caller("component", {}, app=site.change(_component)),
        Caller("component that nobody knows", {}, app=App.new(), dead=True),
    ]


def with_and_without(site: Site) -> dict[Permission, tuple[Caller, Caller]]:
    """Make, for every permission, somebody who has it alone and somebody who has all others."""
    return site.change(_pairs)


def _with_keys(hub: Hub, change: Changes) -> list[Caller]:
    made = []
    for role in Role:
        rights = BUILT_IN[role]
        user = _user(hub, change, role)
        made.append(Caller(role.value, _key(hub, change, user), rights, ALL))
        for scope in Scope if role in {Role.OWNER, Role.MEMBER} else ():
            name, only = f"{role.value}, scope {scope.value} only", frozenset({scope})
            made.append(Caller(name, _key(hub, change, user, only), rights, only))
    made.append(
        Caller("other tenant", _key(hub, change, _user(hub, change, Role.MEMBER)), NOTHING, ALL)
    )
    owner = _user(hub, change, Role.OWNER)
    revoked, expired = keys_of(hub, change, owner), keys_of(hub, change, owner)
    keys.revoke(change, revoked.record.id)
    change.connection.execute(
        update(schema.api_key).where(schema.api_key.c.id == expired.record.id).values(expires_us=1)
    )
    disabled = _user(hub, change, Role.OWNER)
    disabled_key = _key(hub, change, disabled)
    users.disable(change, disabled)
    robot = users.create(
        change, hub.keyring, urandom, email=None, role=Role.ADMIN, service="matrix-robot"
    )
    return [
        *made,
        Caller("service account", _key(hub, change, robot), BUILT_IN[Role.ADMIN], ALL),
        Caller("expired key", bearer(expired.text), dead=True),
        Caller("revoked key", bearer(revoked.text), dead=True),
        Caller("key of a disabled user", disabled_key, dead=True),
        Caller("no key at all", bearer("blocklet-nonsense"), dead=True),
    ]


def _with_tokens(site: Site) -> list[Caller]:
    owner = Person.sign_in(site, "token-owner@example.com", Role.OWNER)
    member = Person.sign_in(site, "token-member@example.com")
    key = site.change(
        lambda hub, change: _key(hub, change, users.find(change.connection, owner.user.id))
    )
    known = json.dumps(
        {
            "redirect_uris": ["https://app.example.com/cb"],
            "client_name": "Known",
            "scope": "inference models admin",
            "token_endpoint_auth_method": "none",
        }
    )
    registered = site.ask(
        "POST", "/oauth/register", known.encode(), {**key, "content-type": "application/json"}
    )
    assert registered.status == 201, registered.text
    client = registered.json["client_id"]

    def token(person: Person, scope: str, **asked: str) -> dict[str, str]:
        return bearer(person.tokens(client, scope=scope, **asked)["access_token"])

    def cookie(person: Person) -> dict[str, str]:
        return {"cookie": f"{COOKIE}={person.cookie}", "origin": site.hub.address}

    everything = frozenset({Scope.INFERENCE, Scope.ADMIN})
    return [
        Caller(
            "token of an owner",
            token(owner, "inference admin"),
            EVERYTHING,
            everything,
            client=True,
        ),
        Caller(
            "token of a member",
            token(member, "inference"),
            NOTHING,
            frozenset({Scope.INFERENCE}),
            client=True,
        ),
        Caller(
            "token for another audience",
            token(owner, "inference", resource=ELSEWHERE),
            dead=True,
        ),
        Caller("session of an owner", cookie(owner), cookie=True),
        Caller("session of a member", cookie(member), cookie=True),
    ]


def _component(hub: Hub, change: Changes) -> App:
    app, payer = App.new(), _user(hub, change, Role.MEMBER)
    known = app.identity.public_key
    applications.add(change, hub.keyring, urandom, did=app.did, public_key=known, user=payer)
    return app


def _pairs(hub: Hub, change: Changes) -> dict[Permission, tuple[Caller, Caller]]:
    found = {}
    for permission in sorted(EVERYTHING - OWNERS_ONLY):
        word = permission.value.replace(".", "-")
        pair = []
        for name, rights in (
            (f"with-{word}", frozenset({permission})),
            (f"without-{word}", EVERYTHING - OWNERS_ONLY - {permission}),
        ):
            roles.put(change, name, rights, origin=Origin.API)
            user = _user(hub, change, name)
            pair.append(Caller(name, _key(hub, change, user), rights, ALL))
        found[permission] = (pair[0], pair[1])
    return found


def _user(hub: Hub, change: Changes, role: str) -> users.User:
    email = f"{role}-{change.ids()}@example.com"
    return users.create(change, hub.keyring, urandom, email=email, role=role)


def keys_of(
    hub: Hub, change: Changes, user: users.User, scopes: frozenset[Scope] = ALL
) -> keys.NewKey:
    return keys.create(change, hub.keyring, urandom, hub.pepper, user=user, scopes=scopes)


def _key(
    hub: Hub, change: Changes, user: users.User, scopes: frozenset[Scope] = ALL
) -> dict[str, str]:
    return bearer(keys_of(hub, change, user, scopes).text)
