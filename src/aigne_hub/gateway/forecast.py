"""Who would be asked for a call just now, in which order and why, without asking anybody.

The order comes from the route that a call takes. No turn, no permit and no budget is taken.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from aigne_hub.auth.verifier import Fields
from aigne_hub.catalog.snapshot import Model
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.health import Health
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.operations import Reason
from aigne_hub.domain.retry_budget import Room
from aigne_hub.domain.routing import Origin, Policy
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.health import Targets
from aigne_hub.gateway.needs import session_of
from aigne_hub.gateway.offers import is_reached
from aigne_hub.gateway.quoting import Request
from aigne_hub.gateway.route import Route
from aigne_hub.gateway.router import Router
from aigne_hub.gateway.wishes import HEADER, NONE, read_wishes

_FIRST: Final = {
    Policy.ORDER: "it is its turn by weight, among those of the model declared first",
    Policy.WEIGHTED: "it is its turn by weight",
    Policy.PRICE: "it has the lowest price",
    Policy.LATENCY: "it is the quicker of two that were drawn",
    Policy.LEAST_OUTSTANDING: "it has the fewest calls under way for its weight",
}
_FIRST_OF_CONVERSATION: Final = {
    Policy.ORDER: "its conversation belongs there, among those of the model declared first",
    Policy.WEIGHTED: "its conversation belongs there",
    Policy.PRICE: "it has the lowest price, and among equals its conversation belongs there",
    Policy.LATENCY: "its conversation belongs there, or another one is much quicker",
    Policy.LEAST_OUTSTANDING: "its conversation belongs there, or another one is much freer",
}
_LATER: Final = {
    Reason.FAILOVER: "it is asked when those before it fail",
    Reason.PROBE: "it is barred, and this call may show whether it works again",
    Reason.LAST_RESORT: "it is barred, as are all others that fit",
}
_LEVELS: Final = ("its provider", "its credential", "its model")


class Place(NamedTuple):
    """A candidate's place. `reason` is None for one that is passed over."""

    candidate: Candidate
    reason: Reason | None
    why: str


class Skipped(NamedTuple):
    """A model behind the reference that has no candidate for this call."""

    model: Model
    why: str


class Forecast(NamedTuple):
    """What a call would meet. `affinity` is what its conversation is known by, None for none.

    `places` are those that are asked, best first, then those that are passed over.
    """

    policy: Policy
    origin: Origin
    affinity: str | None
    room: Room
    places: list[Place]
    skipped: list[Skipped]


def foreseen(
    router: Router, request: Request, dialect: Dialect, fields: Fields, account: str
) -> Forecast:
    """Return what a call would meet just now. Raises what `Router.ways` does."""
    if request.ask.follows is not None:
        raise InvalidRequest(
            "This request follows an object, so it goes to the credential that made it: "
            "nothing is chosen."
        )
    route = router.route(request, dialect.language, fields, account)
    wishes = read_wishes(fields[HEADER], router.rules.hints) if HEADER in fields else NONE
    policy, origin = router.policy_for(wishes, request.ask.model)
    affinity = None
    if route.is_sticky:
        affinity = "prefix" if session_of(fields, request.ask.body) is None else "session"
    return Forecast(
        policy,
        origin,
        affinity,
        route.budget.room(router.clock.monotonic_us()),
        list(_places(router, route, policy)),
        list(_skipped(router, request, dialect, route)),
    )


def _places(router: Router, route: Route, policy: Policy) -> Iterator[Place]:
    now_us, tries = router.clock.now_us(), router.rules.attempts
    spent: set[Health] = set()
    asked: list[Candidate] = []
    for candidate in route.rehearsed():
        if len(asked) == tries:
            break
        reason = _reason(candidate.targets, spent, now_us, is_first=not asked)
        asked.append(candidate)
        if reason is Reason.CHOSEN:
            why = (_FIRST_OF_CONVERSATION if route.is_sticky else _FIRST)[policy]
        else:
            why = _LATER[reason]
        yield Place(candidate, reason, why)
    for candidate in route.candidates:
        if candidate not in asked:
            passed = route.misfit(candidate) or _barred(candidate.targets, now_us)
            yield Place(candidate, None, passed or f"a call is tried {tries} times at most")


def _reason(targets: Targets, spent: set[Health], now_us: int, *, is_first: bool) -> Reason:
    """Return why a candidate is asked, as the call says it; a permit is good for one probe."""
    if targets.may_probe(now_us) and spent.isdisjoint(h for h in targets if h.is_barred):
        spent.update(targets)
        return Reason.PROBE
    if targets.is_barred:
        return Reason.LAST_RESORT
    return Reason.CHOSEN if is_first else Reason.FAILOVER


def _barred(targets: Targets, now_us: int) -> str | None:
    """Say what bars a candidate and until when, the narrowest target last."""
    said = [
        f"{level} is barred ({health.standing.fault}) until "
        f"{format_instant(health.standing.until_us)}"
        for level, health in zip(_LEVELS, targets, strict=True)
        if health.is_barred
    ]
    if not said:
        return None
    if targets.may_probe(now_us):
        said.append("one call at a time may probe")
    return "; ".join(said)


def _skipped(router: Router, request: Request, dialect: Dialect, route: Route) -> Iterator[Skipped]:
    served = {candidate.model.ref for candidate in route.candidates}
    offered = {model.ref for model in request.models}
    for model in router.snapshot.resolve(request.ask.model):
        if model.ref in served:
            continue
        if model.type != dialect.type:
            why = f"it is of type {model.type}; this path serves {dialect.type} models"
        elif not is_reached(model, dialect):
            why = "its provider does not speak this path's format, and it is not translated"
        elif model.ref not in offered:
            why = "it has no price, or the key may not use it"
        elif model.provider.name not in router.pools:
            why = "its provider has no credential"
        else:
            why = "the caller wishes for other providers"
        yield Skipped(model, why)
