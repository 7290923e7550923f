"""The health of every target this process calls: noted here, shared with other processes."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from aigne_hub.domain.credential_news import credential_in
from aigne_hub.domain.faults import OF_CREDENTIAL, OF_PROVIDER, Fault
from aigne_hub.domain.health import Health, Standing
from aigne_hub.ports import Clock


class Targets(NamedTuple):
    """What a candidate's calls depend on: each can be barred."""

    provider: Health
    credential: Health
    model: Health

    @property
    def is_barred(self) -> bool:
        return any(health.is_barred for health in self)

    @property
    def barred_until_us(self) -> int:
        return max(health.standing.until_us for health in self)

    def percent(self, now_us: int) -> int:
        """Return how much of its weight a candidate has: none while it is barred."""
        return min(health.percent(now_us) for health in self)

    def may_probe(self, now_us: int) -> bool:
        """Tell whether all that is barred here may be probed."""
        barred = [health for health in self if health.is_barred]
        return bool(barred) and all(health.may_probe(now_us) for health in barred)

    def throttled_us(self, now_us: int) -> int:
        """Return how long a limit on the rate bars this still, 0 where none does."""
        standing = self.model.standing
        return max(standing.until_us - now_us, 0) if standing.fault is Fault.THROTTLED else 0

    def take_permit(self, now_us: int) -> bool:
        """Make the call that asks the probe, if one is permitted."""
        if not self.may_probe(now_us):
            return False
        for health in self:
            health.take_permit()
        return True

    def concerned(self, fault: Fault) -> Health:
        """Return the target that a fault is of."""
        if fault in OF_CREDENTIAL:
            return self.credential
        return self.provider if fault in OF_PROVIDER else self.model


class Board:
    """Who is barred, and what other processes should hear of.

    `troubled` are the targets that bear on the next choice. It is empty while all is well,
    so that a healthy call costs one look. `draw` gives numbers in [0, 1).
    """

    def __init__(self, clock: Clock, draw: Callable[[], float]) -> None:
        self.troubled: set[Health] = set()
        # By provider and fault: how often an attempt failed. By provider: bars.
        self.faults: dict[tuple[str, str], int] = {}
        self.bars: dict[tuple[str, str], int] = {}
        # By provider: calls that were probes.
        self.probes: dict[str, int] = {}
        self._clock = clock
        self._draw = draw
        self._known: dict[str, Health] = {}
        self._noted: dict[str, Standing] = {}

    def targets(self, provider: str, credential: str, model: str) -> Targets:
        """Return the targets of a model of a provider called with a credential, by their names."""
        names = (provider, f"{provider}:{credential}", f"{provider}:{credential}:{model}")
        return Targets(*(self.of(name) for name in names))

    def of(self, target: str) -> Health:
        health = self._known.get(target)
        if health is None:
            health = self._known[target] = Health(target)
        return health

    def known(self, target: str) -> Health | None:
        """Return what is known of a target, None when no call could go to it yet."""
        return self._known.get(target)

    def barred(self) -> dict[str, int]:
        """Return how many targets are barred, by their provider's name."""
        found: dict[str, int] = {}
        for health in self.troubled:
            if health.is_barred:
                provider = health.standing.target.partition(":")[0]
                found[provider] = found.get(provider, 0) + 1
        return found

    def take_permit(self, targets: Targets) -> bool:
        """Make the call that asks the probe, if one is permitted."""
        if not targets.take_permit(self._clock.now_us()):
            return False
        provider = targets.provider.standing.target
        self.probes[provider] = self.probes.get(provider, 0) + 1
        return True

    def standings(self) -> list[Standing]:
        """Return what is known of every target that was ever barred, by its name."""
        found = [health.standing for health in self._known.values()]
        return sorted(standing for standing in found if standing.bars)

    def succeeded(self, targets: Targets, began_us: int) -> None:
        """Note a success while some target is troubled. `began_us` is when the attempt began."""
        now = self._clock.now_us()
        for health in targets:
            if health in self.troubled:
                self._changed(health, health.succeeded(began_us, now), now)

    def failed(
        self, targets: Targets, fault: Fault, *, is_probe: bool, retry_after_s: int = 0
    ) -> None:
        """Note a failed attempt."""
        provider = targets.provider.standing.target
        self.faults[provider, fault] = self.faults.get((provider, fault), 0) + 1
        now = self._clock.now_us()
        concerned = targets.concerned(fault)
        if is_probe:
            # The probe was of whatever was barred, which may be another target than failed.
            for health in targets:
                if health.is_barred and health is not concerned:
                    self._changed(
                        health, health.failed(fault, now, self._draw(), is_probe=True), now
                    )
        changed = concerned.failed(
            fault, now, self._draw(), is_probe=is_probe, retry_after_s=retry_after_s
        )
        if changed and concerned.is_barred:
            self.bars[provider, fault] = self.bars.get((provider, fault), 0) + 1
        self._changed(concerned, changed, now)

    def due(self) -> list[Standing]:
        """Return the targets that are barred and may be probed now."""
        now = self._clock.now_us()
        return [
            health.standing
            for health in self.troubled
            if health.is_due(now) and not health.may_probe(now)
        ]

    def permit(self, target: str, until_us: int) -> None:
        """Let one call through to a barred target: the probe of all processes."""
        self.of(target).permit(until_us)

    def successes(self) -> dict[tuple[str, str], int]:
        """Return how many calls succeeded in this process, by provider and credential."""
        found: dict[tuple[str, str], int] = {}
        for target, health in self._known.items():
            named = credential_in(target)
            if named is not None:
                found[named] = found.get(named, 0) + health.successes
        return found

    def bar_longer(self, target: str) -> None:
        """Keep a target barred whose check failed."""
        health, now = self.of(target), self._clock.now_us()
        fault = health.standing.fault
        if fault is not None:
            health.bar(fault, now, self._draw())
            self._changed(health, changed=True, now=now)

    def bar(self, target: str, fault: Fault) -> None:
        """Bar a target that a check found at fault."""
        health, now = self.of(target), self._clock.now_us()
        if not health.is_barred:
            health.bar(fault, now, self._draw())
            self._changed(health, changed=True, now=now)

    def restore(self, target: str) -> None:
        """Let a target in again: its check succeeded, or it is not what it was any more."""
        health, now = self.of(target), self._clock.now_us()
        if health.is_barred:
            health.restore(now)
            self._changed(health, changed=True, now=now)

    def forget(self, provider: str) -> None:
        """Let in what belongs to a provider whose configuration changed."""
        for target in list(self._known):
            if target == provider or target.startswith(f"{provider}:"):
                self.restore(target)

    def settle(self) -> None:
        """Drop what does not bear on choices any more; called once in a while."""
        now = self._clock.now_us()
        for health in [health for health in self.troubled if health.is_calm(now)]:
            self.troubled.discard(health)

    def taken(self) -> list[Standing]:
        """Return what changed since, for other processes."""
        noted, self._noted = self._noted, {}
        return list(noted.values())

    def give_back(self, standings: Iterable[Standing]) -> None:
        """Keep what could not be told for the next time."""
        for standing in standings:
            self._noted.setdefault(standing.target, standing)

    def learn(self, standings: Iterable[Standing]) -> None:
        """Take over what other processes know."""
        for standing in standings:
            health = self.of(standing.target)
            if health.learn(standing):
                self._noted.pop(standing.target, None)
                self.troubled.add(health)

    def _changed(self, health: Health, changed: bool, now: int) -> None:
        if changed:
            self._noted[health.standing.target] = health.standing
        if health.is_calm(now):
            self.troubled.discard(health)
        else:
            self.troubled.add(health)
