"""An authorization request, read and checked (RFC 6749, 4.1.1; OpenID Connect Core, 3.1.2.1)."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from aigne_hub.domain.access import Role, Scope, at_least
from aigne_hub.domain.oauth import pkce, redirects, resources
from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.clients import Client, GrantType
from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.domain.oauth.lifetimes import SECOND_US
from aigne_hub.storage import oauth_clients, oauth_codes, oauth_grants
from aigne_hub.web.backend import Backend
from aigne_hub.web.oauth.parameters import RESOURCE, Parameters

STATE_CHARS_MAX: Final = 1_024
NONCE_CHARS_MAX: Final = 512
MAX_AGE_S_MAX: Final = 10**9
_PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
_KEPT: Final = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "response_mode",
    "login_hint",
)


@dataclass(frozen=True, slots=True)
class Returnable:
    """A refusal that the client is told of, at an address that it registered."""

    redirect_uri: str
    state: str | None
    error: OAuthError

    def answer(self, issuer: str) -> str:
        pairs = [("error", self.error.error.value), ("error_description", self.error.description)]
        if self.state is not None:
            pairs.append(("state", self.state))
        return redirects.answered(self.redirect_uri, [*pairs, ("iss", issuer)])


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a client asks a user for. `max_age_s` is how long ago the user may have signed in."""

    parameters: Parameters
    client: Client
    redirect_uri: str
    state: str | None
    challenge: str
    scopes: tuple[str, ...]
    resource: str
    nonce: str | None
    prompts: frozenset[str]
    max_age_s: int | None

    @property
    def wants_login(self) -> bool:
        return bool(self.prompts & {"login", "select_account"}) or self.max_age_s == 0

    @property
    def needs_step_up(self) -> bool:
        return Scope.ADMIN.value in self.scopes

    def is_recent_enough(self, authenticated_us: int, now_us: int) -> bool:
        if self.max_age_s is None:
            return True
        return now_us - authenticated_us <= self.max_age_s * SECOND_US

    def require_role(self, role: str) -> None:
        """Raise OAuthError when a user is asked for what their role does not have."""
        if Scope.ADMIN.value in self.scopes and not at_least(role, Role.ADMIN):
            raise OAuthError(Refusal.INVALID_SCOPE, "this user cannot grant this scope")

    def is_remembered(self, grant: oauth_grants.Grant | None, issuer: str) -> bool:
        """Tell whether a user allowed this before.

        Anybody on a machine can pretend to be a native client, so its user is always asked
        (RFC 8252, 8.6), and so is a user whose rights to administer are wanted.
        """
        if grant is None or "consent" in self.prompts or self.resource != issuer:
            return False
        if self.client.described.native or self.needs_step_up:
            return False
        return set(self.scopes) <= set(grant.scopes)

    def to_keep(self, authenticated_us: int) -> oauth_codes.Asked:
        return oauth_codes.Asked(
            client_id=self.client.id,
            redirect_uri=self.redirect_uri,
            challenge=self.challenge,
            scopes=self.scopes,
            resource=self.resource,
            nonce=self.nonce,
            authenticated_us=authenticated_us,
        )

    def parameters_text(self, *, keep_prompt: bool) -> str:
        """Return the request as a query; without its prompt once the user has signed in again."""
        pairs = [(n, v) for n in _KEPT if (v := self.parameters.get(n)) is not None]
        pairs += [(RESOURCE, one) for one in self.parameters.resources]
        left = self.prompts if keep_prompt else self.prompts - {"login", "select_account"}
        if left:
            pairs.append(("prompt", " ".join(sorted(left))))
        if self.max_age_s:
            pairs.append(("max_age", str(self.max_age_s)))
        return urlencode(pairs)


def authorization(hub: Backend, parameters: Parameters) -> Authorization | Returnable:
    """Return a request that can be put before a user, or what its client is told.

    Raises OAuthError when the client or its address is wrong, which only the user may be told.
    """
    client, redirect_uri = _whose(hub, parameters)
    state = parameters.get("state")
    try:
        return _checked(hub, parameters, client, redirect_uri, state)
    except OAuthError as error:
        kept = state if state is not None and len(state) <= STATE_CHARS_MAX else None
        return Returnable(redirect_uri, kept, error)


def _whose(hub: Backend, parameters: Parameters) -> tuple[Client, str]:
    client_id, redirect_uri = parameters.get("client_id"), parameters.get("redirect_uri")
    if parameters.repeated & {"client_id", "redirect_uri"} or client_id is None:
        raise OAuthError(Refusal.INVALID_REQUEST, "The request does not say which program asks.")
    with hub.reading() as view:
        client = oauth_clients.find(view, client_id)
    if client is None or redirect_uri is None:
        raise _not_ours()
    about = client.described
    if not redirects.matches(about.redirect_uris, redirect_uri, native=about.native):
        raise _not_ours()
    return client, redirect_uri


def _not_ours() -> OAuthError:
    return OAuthError(
        Refusal.INVALID_REQUEST,
        "The program that sent you here is not registered with this address.",
    )


def _checked(
    hub: Backend, parameters: Parameters, client: Client, redirect_uri: str, state: str | None
) -> Authorization:
    parameters.require_single()
    if state is not None and len(state) > STATE_CHARS_MAX:
        raise OAuthError(Refusal.INVALID_REQUEST, "state is too long")
    if parameters.get("request") is not None:
        raise OAuthError(Refusal.REQUEST_NOT_SUPPORTED, "request is not served")
    if parameters.get("request_uri") is not None:
        raise OAuthError(Refusal.REQUEST_URI_NOT_SUPPORTED, "request_uri is not served")
    if parameters.require("response_type") != "code":
        raise OAuthError(Refusal.UNSUPPORTED_RESPONSE_TYPE, "response_type must be code")
    if parameters.get("response_mode") not in {None, "query"}:
        raise OAuthError(Refusal.INVALID_REQUEST, "response_mode must be query")
    client.require_grant(GrantType.CODE)
    nonce = parameters.get("nonce")
    if nonce is not None and len(nonce) > NONCE_CHARS_MAX:
        raise OAuthError(Refusal.INVALID_REQUEST, "nonce is too long")
    return Authorization(
        parameters=parameters,
        client=client,
        redirect_uri=redirect_uri,
        state=state,
        challenge=pkce.require_challenge(
            parameters.get("code_challenge"), parameters.get("code_challenge_method")
        ),
        scopes=scopes_of.parsed(parameters.get("scope"), client.described.scopes),
        resource=resources.requested(parameters.resources, hub.public_url()),
        nonce=nonce,
        prompts=_prompts(parameters.get("prompt")),
        max_age_s=_max_age(parameters.get("max_age")),
    )


def _prompts(text: str | None) -> frozenset[str]:
    prompts = frozenset((text or "").split())
    if prompts - _PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise OAuthError(Refusal.INVALID_REQUEST, "prompt is none, login or consent")
    return prompts


def _max_age(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or int(text[:12]) > MAX_AGE_S_MAX:
        raise OAuthError(Refusal.INVALID_REQUEST, "max_age is a number of seconds")
    return int(text)
