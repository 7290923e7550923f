"""Who is signed in, told by a cookie: for pages, and for whatever begins or ends a session.

`SignedIn` is a page's dependency. A page that changes something takes its form from
`check_csrf`; one that shows or changes a secret asks `require_recent` first.
"""

import hmac
from dataclasses import dataclass, field
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import Depends, Request, Response
from markupsafe import Markup, escape
from starlette.responses import RedirectResponse

from aigne_hub.domain.errors import Forbidden
from aigne_hub.storage import sessions
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.users import User
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.cookies import COOKIE, cookie_name, put_cookie
from aigne_hub.web.forms import LONG_FORM_BYTES_MAX, Form, form_of
from aigne_hub.web.network import network_of
from aigne_hub.web.origin import require_own
from aigne_hub.web.rendering import root_of

# How long after signing in secrets are shown and changed without asking again.
RECENT_US: Final = 15 * 60 * 1_000_000
_PLAIN: Final = "%~!$&'()*+,;=:@/?"
CSRF_FIELD: Final = "csrf"
# Quoted once more it still fits into an address (gateway.head).
NEXT_CHARS_MAX: Final = 4_096

_STALE_FORM = "This form is out of date. Reload the page and send it again."


@dataclass(frozen=True, slots=True)
class Session:
    """A person who is signed in. `csrf` is what the forms of this session carry."""

    id: str
    user: User
    method: str
    authenticated_us: int
    csrf: str = field(repr=False)


class SignInNeeded(Exception):
    """A page is asked for by somebody who has to sign in first, or again."""

    def __init__(self, back_to: str, *, again: bool = False) -> None:
        super().__init__()
        self.back_to = back_to
        self.again = again


def present(request: Request, hub: Backend) -> Session | None:
    """Return who is signed in, None for nobody. Waits for the database."""
    token = token_of(request)
    if token is None:
        return None
    now = hub.clock.now_us()
    with hub.reading() as view:
        found = sessions.find(view, hub.pepper, token, now)
    if found is None:
        return None
    if now - found.used_us >= sessions.TOUCH_US:
        with hub.posting() as view:
            sessions.touch(view, found.id, now)
    csrf = hmac.digest(hub.pepper, b"csrf\0" + found.id.encode(), "sha256").hex()
    return Session(found.id, found.user, found.method, found.authenticated_us, csrf)


def perhaps_signed_in(request: Request, hub: Hub) -> Session | None:
    return present(request, hub)


def signed_in(request: Request, hub: Hub) -> Session:
    """Return who is signed in. Raises SignInNeeded."""
    session = present(request, hub)
    if session is None:
        raise SignInNeeded(_asked_for(request))
    return session


PerhapsSignedIn = Annotated[Session | None, Depends(perhaps_signed_in)]
SignedIn = Annotated[Session, Depends(signed_in)]


def token_of(request: Request) -> str | None:
    """Return the session's token a request carries, None without one."""
    return request.cookies.get(cookie_name(request, COOKIE))


def recently(session: Session, now_us: int) -> bool:
    """Tell whether the person has proved who they are within RECENT_US."""
    return now_us - session.authenticated_us < RECENT_US


def require_recent(session: Session, now_us: int, back_to: str) -> None:
    """Raise SignInNeeded, to come back to a page afterwards, unless `recently`."""
    if not recently(session, now_us):
        raise SignInNeeded(back_to, again=True)


def begin(request: Request, hub: Backend, change: Changes, user: User, method: str) -> str:
    """Begin a session in place of the one that was there; return its token, for `set_cookie`."""
    before = token_of(request)
    if before is not None:
        sessions.end_presented(change, hub.pepper, before)
    made = sessions.begin(
        change,
        hub.randbytes,
        hub.pepper,
        user,
        method,
        user_agent=request.headers.get("user-agent", ""),
        address=network_of(request),
    )
    return made.token


def set_cookie(response: Response, request: Request, token: str) -> None:
    """Let the browser keep a session's token for as long as the session may live."""
    put_cookie(response, request, COOKIE, token, sessions.LIFETIME_US // 1_000_000)


def clear_cookie(response: Response, request: Request) -> None:
    put_cookie(response, request, COOKIE, "", 0)


def csrf_field(session: Session) -> Markup:
    """Return the hidden field that every form of a session has."""
    return hidden_csrf(session.csrf)


def hidden_csrf(value: str) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, escape(value))


async def check_csrf(request: Request, session: Session) -> Form:
    """Return the fields of a form that a page of this very session sent. Raises Forbidden."""
    form = await form_of(request, LONG_FORM_BYTES_MAX)
    require_csrf(request, session, form)
    return form


def require_csrf(request: Request, session: Session, form: Form) -> None:
    """Raise Forbidden for a form that no page of this very session sent."""
    hub: Backend = request.app.state.backend
    require_own(request, hub.public_url())
    sent = form.get(CSRF_FIELD, "").encode("utf-8", "replace")
    if not hmac.compare_digest(sent, session.csrf.encode()):
        raise Forbidden(_STALE_FORM)


async def sign_in_needed(request: Request, error: Exception) -> Response:
    """Send a browser to the sign-in page, which brings it back."""
    assert isinstance(error, SignInNeeded)
    step_up = "step-up=1&" if error.again else ""
    target = f"{root_of(request)}sign-in?{step_up}next={quote(error.back_to, safe='/')}"
    return RedirectResponse(target, 303, {"cache-control": "no-store"})


def _asked_for(request: Request) -> str:
    """Return the page to come back to: what was asked for, if asking again does no harm."""
    path = request.scope["raw_path"]
    if request.method == "GET" and request.scope["query_string"]:
        path += b"?" + request.scope["query_string"]
    path = quote(path, safe=_PLAIN)
    return path if len(path) <= NEXT_CHARS_MAX else "/"
