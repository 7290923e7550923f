"""Routing as operators see it, over HTTP and on the command line: what is, and what would be."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from aigne_hub.auth.verifier import Fields
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.health import Episode, State
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.routing import Rules
from aigne_hub.gateway import live
from aigne_hub.gateway.described import described
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.gateway.dialects.openai.errors import error_object
from aigne_hub.gateway.forecast import Forecast, Place, foreseen
from aigne_hub.gateway.live import Key, Seen
from aigne_hub.gateway.router import Router
from aigne_hub.providers.languages.registry import translated_to

TARGETS_MAX = 1_000
MODELS_MAX = 1_000


class Page(NamedTuple):
    """Some of the targets, and what processes share of them; `next` begins the page after it."""

    keys: list[Key]
    episodes: Mapping[str, Episode]
    next: str | None = None


def page_of(
    keys: list[Key], episodes: Mapping[str, Episode], after: str | None, limit: int
) -> Page:
    """Return up to `limit` of the targets after one."""
    if after is not None:
        last = Key.of(after)
        keys = [key for key in keys if key > last]
    shown = keys[:limit]
    return Page(shown, episodes, shown[-1].target if len(keys) > limit else None)


def state_document(router: Router, page: Page, provider: str | None) -> dict[str, Any]:
    """Return the rules in force, how a page's targets are, and models' retry budgets."""
    return {
        "at": format_instant(router.clock.now_us()),
        "rules": rules_document(router.rules),
        "targets": [target_document(one) for one in live.seen(router, *page[:2])],
        "next": page.next,
        "models": _budgets(router, provider),
    }


def rules_document(rules: Rules) -> dict[str, Any]:
    return {
        "policy": rules.policy.value,
        "attempts": rules.attempts,
        "retries": rules.retries,
        "within_s": rules.within_s,
        "attempt_s": rules.attempt_s,
        "affinity": rules.affinity,
        "hints": sorted(rules.hints),
        "hedge_percentile": rules.hedge_percentile,
        "check_every_s": rules.check_every_s,
    }


def target_document(seen: Seen) -> dict[str, Any]:
    return {
        "target": seen.key.target,
        "provider": seen.key.provider,
        "credential": seen.key.credential or None,
        "model": seen.key.model or None,
        "state": seen.state.value,
        "percent": seen.percent,
        "fault": seen.fault,
        "since": _instant(seen.since_us),
        "until": _instant(seen.until_us),
        "bars": seen.bars,
        "errors": seen.errors,
        "weight": seen.weight,
        "priority": seen.priority,
        "outstanding": seen.outstanding,
        "latency_ms": None if seen.latency_us is None else seen.latency_us / 1_000,
    }


def _budgets(router: Router, provider: str | None) -> list[dict[str, Any]]:
    """Return the budgets of models that were called, as their calls name them first."""
    now_us = router.clock.monotonic_us()
    found = []
    for ref, budget in sorted(router.budgets.items()):
        model = router.snapshot.models.get(ref)
        if model is None or (provider is not None and model.provider.name != provider):
            continue
        found.append(
            {
                "model": ref,
                "calls": budget.calls,
                "retries_granted": budget.granted,
                "retries_denied": budget.denied,
                "window": budget.room(now_us)._asdict(),
            }
        )
    return found[:MODELS_MAX]


def explained(
    router: Router,
    principal: Principal,
    fields: Fields,
    model: str,
    *,
    path: str | None,
    body: bytes | Mapping[str, Any] | None,
    input_tokens: int | None,
    billing: bool,
) -> dict[str, Any]:
    """Return what a call would meet; what refuses it is in `error`."""
    document: dict[str, Any] = {
        "model": model,
        "error": None,
        "policy": None,
        "policy_from": None,
        "affinity": None,
        "budget": None,
        "attempts": router.rules.attempts,
        "candidates": [],
        "skipped": [],
    }
    try:
        request, dialect = described(
            router.snapshot,
            principal,
            model,
            path=path,
            body=body,
            input_tokens=input_tokens,
            billing=billing,
        )
        found = foreseen(router, request, dialect, fields, principal.user_id)
    except HubError as error:
        document["error"] = {"status": error.status, **error_object(error)}
        return document
    return {**document, **_foreseen(router, dialect, found)}


def _foreseen(router: Router, dialect: Dialect, found: Forecast) -> dict[str, Any]:
    now_us = router.clock.now_us()
    return {
        "policy": found.policy.value,
        "policy_from": found.origin.value,
        "affinity": found.affinity,
        "budget": found.room._asdict(),
        "candidates": [
            _place(place, position, dialect, now_us)
            for position, place in enumerate(found.places, 1)
        ],
        "skipped": [{"model": one.model.ref, "why": one.why} for one in found.skipped],
    }


def _place(place: Place, position: int, dialect: Dialect, now_us: int) -> dict[str, Any]:
    candidate = place.candidate
    states = {health.state(now_us) for health in candidate.targets}
    worst = next(one for one in reversed(State) if one in states)
    translated = None
    if dialect.language not in candidate.languages:
        translated = translated_to(candidate.model.type, candidate.languages)
    return {
        "position": None if place.reason is None else position,
        "provider": candidate.model.provider.name,
        "credential": candidate.credential,
        "model": candidate.model.ref,
        "reason": place.reason,
        "why": place.why,
        "translated_to": translated,
        "state": worst.value,
        "percent": candidate.targets.percent(now_us),
        "weight": candidate.weight,
        "priority": candidate.priority,
        "outstanding": candidate.load.outstanding,
        "latency_ms": candidate.load.latency_us / 1_000 or None,
    }


def _instant(us: int | None) -> str | None:
    return None if us is None else format_instant(us)
