"""Who may call a route. Every route of the API declares one of these; none is open by default."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from aigne_hub.auth.verifier import fields_of, presented
from aigne_hub.domain.access import DEFAULT_SCOPES, Principal
from aigne_hub.domain.errors import Forbidden, InvalidRequest, Unauthenticated
from aigne_hub.domain.limits import Subject
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import limits
from aigne_hub.storage.users import User
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import Access, Asks, Declares
from aigne_hub.web.origin import require_own
from aigne_hub.web.session import Session, present, recently, token_of

COOKIE_PATHS: Final = ("/api/user/", "/api/usage/")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PERSON: Final = "user:"
# Who names itself in full: a person, an OAuth client.
_NAMED: Final = (_PERSON, "oauth:")


async def authenticated(request: Request, hub: Hub) -> Principal:
    """Return the caller of an account route: any live key opens its own user's account.

    So does the cookie of a person who is signed in, below COOKIE_PATHS, for pages of the hub
    itself. Raises InvalidRequest for a request with both. An OAuth client reads the account and
    changes nothing, or it could lift the cap that its user gave it. Behind a permission it is
    whom that let in.
    """
    let_in: Principal | None = getattr(request.state, "let_in", None)
    if let_in is not None:
        return let_in
    if token_of(request) is None or not request.scope["path"].startswith(COOKIE_PATHS):
        return await _by_key(request, hub)
    if presented(fields_of(request.headers.raw)) is not None:
        raise InvalidRequest("Send a key or the cookie of a session, not both.")
    require_own(request, hub.public_url(), strictly=request.method not in _SAFE)
    session = await run_in_threadpool(present, request, hub)
    if session is None:
        raise Unauthenticated("The session is over. Sign in again, or send an API key.")
    request.state.session = session
    return await run_in_threadpool(_person, session.user, hub)


async def _by_key(request: Request, hub: Backend) -> Principal:
    principal = await hub.verify(request.headers.raw, None)
    require_own_doing(principal, request)
    return principal


def require_own_doing(principal: Principal, request: Request) -> None:
    """Raise Forbidden for an OAuth client that would change what is its user's own."""
    if principal.app_is_verified and request.method not in _SAFE:
        raise Forbidden("An OAuth client may read the account, not change it.")


def _person(user: User, hub: Backend) -> Principal:
    """Return a person as a caller who has no key; administration is not done by cookie."""
    with hub.reading() as view:
        bound = limits.of(view, (Subject.USER, user.id))
    return Principal(
        user_id=user.id,
        user_did=user.did,
        key_id=f"{_PERSON}{user.id}",
        app_did=user.did,
        role=user.role,
        scopes=DEFAULT_SCOPES,
        limits=bound,
    )


Caller = Annotated[Principal, Depends(authenticated)]


async def lately_proven(request: Request, hub: Hub, caller: Caller) -> Principal:
    """Return the caller of a route that shows or changes a secret, or commits to pay.

    A person must have proved lately who they are; a key proves it with each request.
    """
    session: Session | None = getattr(request.state, "session", None)
    if session is not None and not recently(session, hub.clock.now_us()):
        raise Forbidden("Prove once more who you are, at /sign-in?step-up=1, and try again.")
    return caller


Proven = Annotated[Principal, Depends(lately_proven)]


@dataclass(frozen=True, slots=True)
class Requires(Declares):
    """Lets in a key with the scope `admin` whose user has a permission."""

    permission: Permission

    @property
    def access(self) -> Access:
        return Access(Asks.PERMISSION, self.permission)

    async def __call__(self, request: Request, hub: Hub) -> Principal:
        """Return the caller. Raises Unauthenticated or Forbidden."""
        principal = await hub.verify(request.headers.raw, None)
        principal.require(self.permission)
        request.state.let_in = principal
        return principal


def requires(permission: Permission) -> Any:
    """Return the dependency of a route that takes a permission, which gives the Principal."""
    return Depends(Requires(permission))


def actor(principal: Principal) -> str:
    """Return how the audit log names a caller."""
    who = principal.key_id
    return who if who.startswith(_NAMED) else f"key:{who}"
