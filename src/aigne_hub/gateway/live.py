"""What there is to see of every target just now: how it is, and what it has to do."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from aigne_hub.domain.faults import Fault
from aigne_hub.domain.health import RAMP_US, Episode, Health, State
from aigne_hub.gateway.candidates import Pool
from aigne_hub.gateway.router import Router

_SEPARATOR = ":"


class Key(NamedTuple):
    """A target: a provider, a credential of it, or a model through one. Empty for none."""

    provider: str
    credential: str = ""
    model: str = ""

    @property
    def target(self) -> str:
        return _SEPARATOR.join(part for part in self if part)

    @classmethod
    def of(cls, target: str) -> "Key":
        return cls(*target.split(_SEPARATOR, 2))


class Seen(NamedTuple):
    """One target. Times are microseconds since 1970, None where they say nothing.

    `percent` is how much of its weight calls see, with what is above it. `since_us` is when
    what `state` says began, and `until_us` when it ends, or a probe is due. `outstanding` and
    `latency_us` are this process's own, None where nothing is measured.
    """

    key: Key
    state: State
    percent: int
    fault: Fault | None
    since_us: int | None
    until_us: int | None
    bars: int
    errors: int
    weight: int | None
    priority: int | None
    outstanding: int | None
    latency_us: int | None


def keys(router: Router, provider: str | None) -> list[Key]:
    """Return every target that is configured, or those of a provider, in a stable order."""
    models: dict[str, list[str]] = {}
    for model in router.snapshot.models.values():
        models.setdefault(model.provider.name, []).append(model.name)
    found = []
    for name in router.snapshot.providers:
        if provider is not None and name != provider:
            continue
        found.append(Key(name))
        pool = router.pools.get(name)
        for credential in pool.credentials if pool else ():
            found.append(Key(name, credential.name))
            found += [Key(name, credential.name, model) for model in models.get(name, ())]
    return sorted(found)


def seen(router: Router, wanted: list[Key], episodes: Mapping[str, Episode]) -> Iterator[Seen]:
    """Yield how targets are. `episodes` is what processes share, by target."""
    now_us = router.clock.now_us()
    for key in wanted:
        known = router.board.known(key.target)
        health = known or Health(key.target)
        above = [router.board.known(key.provider)]
        if key.model:
            above.append(router.board.known(Key(key.provider, key.credential).target))
        percents = [one.percent(now_us) for one in (*above, health) if one is not None]
        pool = router.pools.get(key.provider)
        weight, priority = _shares(pool, key)
        load = pool.load(key.credential, key.model) if pool and key.model else None
        episode = episodes.get(key.target, Episode(None, None))
        state, since_us, until_us = _standing(health, episode, now_us)
        yield Seen(
            key,
            state,
            min(percents),
            health.standing.fault,
            since_us,
            until_us,
            health.standing.bars,
            health.failing,
            weight,
            priority,
            None if load is None else load.outstanding,
            None if load is None else load.latency_us or None,
        )


def _standing(
    health: Health, episode: Episode, now_us: int
) -> tuple[State, int | None, int | None]:
    standing, state = health.standing, health.state(now_us)
    if state is State.HEALTHY:
        return state, None, None
    if state is State.RECOVERING:
        return state, standing.changed_us, standing.changed_us + RAMP_US
    if (episode.probe_until_us or 0) > now_us:
        state = State.PROBING
    return state, episode.since_us or standing.changed_us, standing.until_us


def _shares(pool: Pool | None, key: Key) -> tuple[int | None, int | None]:
    for credential in pool.credentials if pool else ():
        if credential.name == key.credential:
            return credential.weight, credential.priority
    return None, None
