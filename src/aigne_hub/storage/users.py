"""Users: people and programs that call, each with a DID, a role and one account."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from aigne_hub.crypto.custodial import new_identity
from aigne_hub.crypto.did import InvalidDid, RoleType, did_of
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.domain.lots import Category
from aigne_hub.domain.roles import role_named
from aigne_hub.storage import accounts, grants, identities, lists, oauth_families, roles, schema
from aigne_hub.storage.changes import Changes

EMAIL_MAX = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets

# Whether an address receives mail only mail can tell; this refuses what is no address at all.
_EMAIL = re.compile(r"[^\s@,;:<>()\[\]\"\\]+@[^\s@.,;:]+(\.[^\s@.,;:]+)*")
_SHOWN_MAX = 80
_SERVICE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SERVICE_MEANING = "is 1 to 63 of a-z, 0-9, '.', - and _, starting with a letter or digit"

_COLUMNS = (
    schema.user.c.id,
    schema.user.c.did,
    schema.user.c.email,
    schema.user.c.role,
    schema.user.c.disabled_us,
    schema.user.c.created_us,
    schema.user.c.service,
)


@dataclass(frozen=True, slots=True)
class User:
    """`did` is custodial unless the user brought one. `service` names a program's own account."""

    id: str
    did: str
    email: str | None
    role: str
    disabled: bool
    created_us: int
    service: str | None = None

    def require_person(self) -> None:
        """Raise Conflict for a service account: nobody signs in as one."""
        if self.service is not None:
            raise Conflict("A service account has keys only: nobody signs in as one.")


def create(
    change: Changes,
    keyring: Keyring,
    randbytes: Callable[[int], bytes],
    *,
    email: str | None,
    role: str,
    did: str | None = None,
    overdraft: int | None = None,
    service: str | None = None,
) -> User:
    """Create a user and the account that belongs to it.

    Without `did` the hub makes an identity and keeps its secret key. The account gets the
    declared overdraft, unless another is given, and the declared welcome credit. Raises
    InvalidRequest for a malformed e-mail or DID or an unknown role, Conflict when one of them
    is taken. `service` makes it a service account of that name, without e-mail.
    """
    role = roles.find(change.connection, role_named(role)).name
    if service is not None:
        _require_service(change.connection, service, role)
    if email is not None:
        email = normalised_email(email)
        _require_free(change.connection, schema.user.c.email == email, f"the e-mail {email}")
    custodial = None if did else new_identity(RoleType.ACCOUNT, randbytes)
    did = custodial.did if custodial else _normalised_did(did or "")
    _require_free(change.connection, schema.user.c.did == did, f"the DID {did}")
    terms = accounts.terms(change.connection)
    user = User(
        change.ids(),
        did,
        email,
        role,
        disabled=False,
        created_us=change.clock.now_us(),
        service=service,
    )
    change.connection.execute(
        insert(schema.user).values(
            id=user.id, did=did, email=email, role=role, created_us=user.created_us, service=service
        )
    )
    change.connection.execute(
        insert(schema.account).values(
            id=user.id,
            overdraft=terms.overdraft if overdraft is None else overdraft,
            created_us=user.created_us,
        )
    )
    if custodial:
        identities.keep(change, keyring, custodial, kind="user", user_id=user.id)
    detail = {"did": did, "email": email, "role": role}
    change.audit("user.create", user.id, {**detail, "service": service} if service else detail)
    if terms.new_user_credits:
        _welcome(change, user, terms.new_user_credits)
    return user


def _welcome(change: Changes, user: User, amount: int) -> None:
    granted = grants.grant(
        change.connection,
        change.clock,
        change.ids,
        user.id,
        amount,
        grants.Terms(category=Category.PROMOTIONAL, name="New user bonus credit"),
    )
    detail = {"grant": granted.id, "amount": amount, "reason": "billing.new_user_credits"}
    change.audit("credits.grant", user.id, detail)


def find(connection: Connection, name: str) -> User:
    """Return the user with this e-mail, DID or id, also with a former DID. Raises NotFound."""
    if "@" in name:
        where = schema.user.c.email == name.strip().lower()
    elif name.startswith("did:"):
        where = schema.user.c.did == name
    else:
        where = schema.user.c.id == name
    row = connection.execute(select(*_COLUMNS).where(where)).one_or_none()
    found = _formerly(connection, name) if row is None else _user(*row)
    if found is None:
        raise NotFound(f"There is no user {name[:_SHOWN_MAX]!r}. See: aigne-hub users list")
    return found


def find_customer(connection: Connection, name: str) -> User | None:
    """Return the user with this id, DID or bare address of a DID."""
    known = or_(
        schema.user.c.id == name, schema.user.c.did == name, schema.user.c.did == _did(name)
    )
    row = connection.execute(select(*_COLUMNS).where(known)).first()
    return _formerly(connection, _did(name)) if row is None else _user(*row)


def _formerly(connection: Connection, did: str) -> User | None:
    """Return the user who had a DID before a wallet's took its place: calls are recorded by it."""
    had = select(schema.identity.c.user_id).where(
        schema.identity.c.did == did, schema.identity.c.kind == "user"
    )
    row = connection.execute(select(*_COLUMNS).where(schema.user.c.id.in_(had))).one_or_none()
    return None if row is None else _user(*row)


def named(connection: Connection, user_ids: Iterable[str]) -> dict[str, User]:
    """Return users by their ids."""
    rows = connection.execute(select(*_COLUMNS).where(schema.user.c.id.in_(sorted(user_ids))))
    return {row.id: _user(*row) for row in rows}


def of_dids(connection: Connection, dids: Iterable[str]) -> dict[str, User]:
    """Return users by their DIDs, those that are known."""
    rows = connection.execute(select(*_COLUMNS).where(schema.user.c.did.in_(sorted(set(dids)))))
    return {row.did: _user(*row) for row in rows}


def of_did(connection: Connection, did: str) -> User | None:
    """Return the user with this DID, if there is one."""
    row = connection.execute(select(*_COLUMNS).where(schema.user.c.did == did)).one_or_none()
    return None if row is None else _user(*row)


def page(
    connection: Connection, *, did: str | None, search: str | None, offset: int, limit: int
) -> tuple[int, list[User]]:
    """Return how many users match, and those from `offset` on, newest first."""
    query = select(*_COLUMNS)
    if did is not None:
        query = query.where(or_(schema.user.c.did == did, schema.user.c.did == _did(did)))
    if search:
        query = query.where(
            or_(
                schema.user.c.email.icontains(search, autoescape=True),
                schema.user.c.did.icontains(search, autoescape=True),
            )
        )
    newest = schema.user.c.id.desc()
    count, rows = lists.paged(connection, query, newest, offset=offset, limit=limit)
    return count, [_user(*row) for row in rows]


def listed(connection: Connection) -> list[User]:
    """Return every user, oldest first."""
    rows = connection.execute(select(*_COLUMNS).order_by(schema.user.c.id))
    return [_user(*row) for row in rows]


def set_role(change: Changes, user: User, role: str) -> User:
    """Give a user another role. Raises InvalidRequest, or Conflict for the last owner."""
    role = roles.find(change.connection, role_named(role)).name
    if user.role == role:
        return user
    if role == Role.OWNER:
        user.require_person()
    else:
        _require_other_owner(change.connection, user, "given another role")
    _update(change, user, role=role)
    change.audit("user.set_role", user.id, {"from": user.role, "to": role})
    return replace(user, role=role)


def set_email(change: Changes, user: User, email: str) -> User:
    """Give a user another e-mail; raises InvalidRequest or Conflict."""
    user.require_person()
    email = normalised_email(email)
    if email == user.email:
        return user
    _require_free(change.connection, schema.user.c.email == email, f"the e-mail {email}")
    _update(change, user, email=email)
    change.audit("user.set_email", user.id, {"email": email})
    return replace(user, email=email)


def set_did(change: Changes, user: User, did: str) -> User:
    """Give a user the DID of a wallet; keys, calls and credits stay. Raises as `create`."""
    did = _normalised_did(did)
    if did == user.did:
        return user
    _require_free(change.connection, schema.user.c.did == did, f"the DID {did}")
    _update(change, user, did=did)
    change.audit("user.set_did", user.id, {"from": user.did, "to": did})
    return replace(user, did=did)


def disable(change: Changes, user: User) -> User:
    """Refuse everything the user's keys ask for from now on, and end their sessions.

    Raises Conflict for the last owner.
    """
    if user.disabled:
        return user
    _require_other_owner(change.connection, user, "disabled")
    _update(change, user, disabled_us=change.clock.now_us())
    oauth_families.end_of_user(change, user.id, "the user was disabled")
    change.connection.execute(delete(schema.session).where(schema.session.c.user_id == user.id))
    change.audit("user.disable", user.id)
    return replace(user, disabled=True)


def enable(change: Changes, user: User) -> User:
    """Let a disabled user in again."""
    if not user.disabled:
        return user
    _update(change, user, disabled_us=None)
    change.audit("user.enable", user.id)
    return replace(user, disabled=False)


def normalised_email(text: str) -> str:
    """Return an address in the one spelling it is stored in. Raises InvalidRequest."""
    email = text.strip().lower()
    if len(email) > EMAIL_MAX or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise InvalidRequest(
            f"{text[:_SHOWN_MAX]!r} is not an e-mail address such as ada@example.com.",
            param="email",
        )
    return email


def _did(text: str) -> str:
    """Return the DID that a text names in whichever spelling, or the text."""
    try:
        return did_of(text)
    except InvalidDid:
        return text


def _normalised_did(text: str) -> str:
    try:
        return did_of(text)
    except InvalidDid as error:
        raise InvalidRequest(
            f"{text[:_SHOWN_MAX]!r} is not a DID: {error.cause}.", param="did"
        ) from None


def _update(change: Changes, user: User, **values: object) -> None:
    change.connection.execute(
        update(schema.user).where(schema.user.c.id == user.id).values(**values)
    )


def _require_free(connection: Connection, where: ColumnElement[bool], what: str) -> None:
    if connection.execute(select(schema.user.c.id).where(where)).first() is not None:
        raise Conflict(f"There is already a user with {what}.")


def _require_other_owner(connection: Connection, user: User, action: str) -> None:
    """Keep at least one owner who can log in; changes are serialised, so this stays true."""
    if user.role != Role.OWNER or user.disabled:
        return
    others = connection.execute(
        select(func.count())
        .select_from(schema.user)
        .where(
            schema.user.c.role == Role.OWNER,
            schema.user.c.disabled_us.is_(None),
            schema.user.c.id != user.id,
        )
    ).scalar_one()
    if not others:
        raise Conflict(
            f"The last owner cannot be {action}, or nobody could administer the hub. "
            f"Make another user an owner first."
        )


def _user(
    user_id: str,
    did: str,
    email: str | None,
    role: str,
    disabled_us: int | None,
    created_us: int,
    service: str | None,
) -> User:
    disabled = disabled_us is not None
    return User(user_id, did, email, role_named(role), disabled, created_us, service)


def _require_service(connection: Connection, name: str, role: str) -> None:
    if not _SERVICE.fullmatch(name):
        raise InvalidRequest(f"A service account's name {_SERVICE_MEANING}.", param="service")
    if role == Role.OWNER:
        raise InvalidRequest("A service account cannot be an owner.", param="role")
    _require_free(connection, schema.user.c.service == name, f"the service name {name}")
