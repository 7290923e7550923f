"""Why a caller was refused, and what would be allowed: one document for people and programs.

Nothing is written. The dry run of a call asks what admission asks, in the same functions.
Amounts are decimal credits.
"""

from dataclasses import dataclass
from typing import Any

from aigne_hub.billing.allowance import described, named_in, tightest
from aigne_hub.catalog.snapshot import Snapshot
from aigne_hub.domain.access import DEFAULT_SCOPES, Principal
from aigne_hub.domain.errors import HubError, InsufficientCredits, NoUpstream
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.limits import Limit, Subject
from aigne_hub.domain.lots import Lot
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.operations import Admission
from aigne_hub.gateway.dialects.openai.errors import error_object
from aigne_hub.gateway.preview import Wanted, entry_of, previewed
from aigne_hub.gateway.quoting import Request
from aigne_hub.providers.profiles import is_keyless
from aigne_hub.storage import accounts, calls, keys, limits, prices
from aigne_hub.storage.engine import View
from aigne_hub.storage.rehearsal import rehearse
from aigne_hub.storage.users import User

REFUSALS_SHOWN = 10
LOTS_SHOWN = 20
# Stands for a key where a user is looked at as a whole.
ANY_KEY = "-"


@dataclass(frozen=True, slots=True)
class Hub:
    """What the answer depends on beside the database."""

    snapshot: Snapshot
    billing: bool
    payment_link: str
    now_us: int


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, for which application. `key` is None when a user is looked at as a whole.

    `refusal` is what keeps the key from being used at all, if something does.
    """

    principal: Principal
    application: str
    key: keys.ApiKey | None
    refusal: HubError | None = None

    def limits(self, snapshot: Snapshot) -> tuple[Limit, ...]:
        return self.principal.limits + snapshot.project_limits.get(self.application, ())


def as_a_whole(view: View, user: User) -> Principal:
    """Return who calls when a user is looked at without any of the user's keys."""
    return Principal(
        user_id=user.id,
        user_did=user.did,
        key_id=ANY_KEY,
        app_did=user.did,
        role=user.role,
        scopes=DEFAULT_SCOPES,
        limits=limits.of(view, (Subject.USER, user.id)),
    )


def explain(view: View, hub: Hub, asking: Asking, wanted: Wanted | None) -> dict[str, Any]:
    """Return what binds a caller now, its last refusals, and a dry run of a call if `wanted`."""
    principal = asking.principal
    account = accounts.load(view, principal.user_id, lock=False)
    account.advance(hub.now_us)
    binding = limits.used(view, asking.limits(hub.snapshot), hub.now_us)
    key_id = None if asking.key is None else asking.key.id
    refused = calls.refusals(view, principal.user_id, key_id, REFUSALS_SHOWN)
    return {
        "user": {
            "id": principal.user_id,
            "did": principal.user_did,
            "role": principal.role,
        },
        "key": None if asking.key is None else _key(asking.key),
        "project": asking.application,
        "billing": hub.billing,
        "payment_link": hub.payment_link if hub.billing else None,
        "credit": _credit(account),
        "limits": [usage.document(hub.now_us) for usage in binding],
        "refusals": [_refusal(one) for one in refused],
        "call": None if wanted is None else _dry_run(view, hub, asking, wanted),
    }


def _key(key: keys.ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(scope.value for scope in key.scopes),
        "models": list(key.models),
        "expires_at": None if key.expires_us is None else format_instant(key.expires_us),
        "revoked": key.revoked_us is not None,
    }


def _credit(account: Account) -> dict[str, Any]:
    lots = sorted(account.lots, key=Lot.burn_order)
    live = [_lot(lot) for lot in lots if lot.posted and lot.remaining]
    expiring = sorted(
        (lot for lot in lots if lot.posted and lot.remaining and lot.expires_us is not None),
        key=lambda lot: lot.expires_us or 0,
    )
    return {
        "balance": format_credits(account.balance),
        "held": format_credits(account.held),
        "overdraft": format_credits(account.overdraft),
        "available": format_credits(account.available),
        "next_grant": live[0] if live else None,
        "expiring": [_lot(lot) for lot in expiring[:LOTS_SHOWN]],
        "scheduled": [_lot(lot) for lot in lots if not lot.posted][:LOTS_SHOWN],
    }


def _lot(lot: Lot) -> dict[str, object]:
    return {
        "grant_id": lot.id,
        "remaining": format_credits(lot.remaining),
        "category": lot.category.value,
        "priority": lot.priority,
        "effective_at": None if lot.effective_us is None else format_instant(lot.effective_us),
        "expires_at": None if lot.expires_us is None else format_instant(lot.expires_us),
    }


def _refusal(refused: calls.Refusal) -> dict[str, object]:
    return {
        "at": format_instant(refused.started_us),
        "call_id": refused.call_id,
        "model": refused.model,
        "code": refused.code,
        "message": refused.message,
        "limit": named_in(refused.message),
    }


def _dry_run(view: View, hub: Hub, asking: Asking, wanted: Wanted) -> dict[str, Any]:
    request, admission, refusal = None, None, None
    try:
        if asking.refusal is not None:
            raise asking.refusal
        request = previewed(hub.snapshot, asking.principal, wanted, billing=hub.billing)
        admission = _admission(view, hub, asking, request)
        _require_upstream(request)
    except HubError as error:
        if isinstance(error, InsufficientCredits):
            error.link = hub.payment_link
        refusal = error
    return {
        "admitted": refusal is None,
        "status": 200 if refusal is None else refusal.status,
        "error": refusal and error_object(refusal, hub.now_us // 1000),
        **_asked(request),
        **_held(view, hub, asking, request, admission),
        "price": _price(view, request),
    }


def _admission(view: View, hub: Hub, asking: Asking, request: Request) -> Admission:
    binding = asking.limits(hub.snapshot)
    entry = entry_of(request, asking.principal, asking.application, binding, hub.now_us)
    return rehearse(view, entry, hub.now_us)


def _require_upstream(request: Request) -> None:
    providers = [model.provider for model in request.models]
    if not any(one.credentials or is_keyless(one.kind) for one in providers):
        raise NoUpstream(f"{request.models[0].ref} has no credential to call its provider with.")


def _asked(request: Request | None) -> dict[str, object]:
    """Say what was understood of the request, and who may serve it, best first."""
    if request is None:
        return {"models": [], "stream": None, "n": None, "input_bound": None, "max_tokens": None}
    ask, first = request.ask, request.models[0]
    return {
        "models": [model.ref for model in request.models],
        "stream": ask.stream,
        "n": ask.n,
        "input_bound": min(request.size.tokens_bound, first.context_tokens),
        "max_tokens": ask.output_limit,
    }


def _held(
    view: View, hub: Hub, asking: Asking, request: Request | None, admission: Admission | None
) -> dict[str, object]:
    """Say what is set aside for the call, what it could have at most, and what bounds that."""
    quote = None if request is None else request.quote
    shown: dict[str, object] = {
        "hold": None if admission is None else format_credits(admission.held),
        "tokens_held": None,
        "tokens_reserved": None if admission is None else admission.tokens_reserved,
        "affordable_tokens": None,
        "bound_by": None,
    }
    if request is None or quote is None:
        return shown
    account = accounts.load(view, asking.principal.user_id, lock=False)
    account.advance(hub.now_us)
    room, bound_by = account.available, "balance"
    usages = limits.used(view, asking.limits(hub.snapshot), hub.now_us)
    limited = tightest([(usage.limit, usage.counter) for usage in usages])
    if limited is not None and limited[1].room < room:
        room, bound_by = limited[1].room, described(*limited, hub.now_us).limit
    largest = max(model.max_output_tokens for model in request.models)
    whole = quote._replace(tokens_wanted=largest if quote.per_token else 0)
    shown["bound_by"] = bound_by
    if quote.per_token:
        shown["tokens_held"] = None if admission is None else admission.tokens
        shown["affordable_tokens"] = whole.affordable(room) or 0
    return shown


def _price(view: View, request: Request | None) -> dict[str, object] | None:
    if request is None or request.rates is None:
        return None
    version = prices.by_id(view, request.rates.id)
    if version is None:
        return None
    shown = prices.document(version)
    shown.pop("cost")
    return {"id": version.id, **shown, "effective_at": format_instant(version.effective_us)}
