"""What the data plane works with: one object per process, its snapshot swapped on change."""

from collections.abc import Callable
from dataclasses import dataclass

from aigne_hub.auth.signed.verifier import SignatureVerifier
from aigne_hub.auth.verifier import Verifier
from aigne_hub.catalog.snapshot import Snapshot
from aigne_hub.domain.errors import (
    HubError,
    InsufficientCredits,
    Overloaded,
    Unauthenticated,
)
from aigne_hub.domain.oauth.challenge import challenge
from aigne_hub.domain.routing import Rules
from aigne_hub.gateway.candidates import Connect
from aigne_hub.gateway.health import Board
from aigne_hub.gateway.idempotency import Answers
from aigne_hub.gateway.objects import Objects
from aigne_hub.gateway.router import Router
from aigne_hub.ports import Clock
from aigne_hub.telemetry import CallLog, CallObserver, Counters, UsageAlarms
from aigne_hub.usage.tracker import Tracker


@dataclass(frozen=True, slots=True)
class PlaneSettings:
    """What the data plane is told of the configuration.

    `public_url` is where the hub is reached; `payment_link` is where a caller buys credit;
    `in_flight_max` calls run at once;
    `head_within_s` is how long callers that would give up wait for the head of an answer;
    `routing` is how candidates are chosen and tried.
    """

    billing: bool
    payment_link: str
    public_url: str
    in_flight_max: int
    head_within_s: float
    routing: Rules


class Plane:
    """The process-wide state of the data plane."""

    def __init__(
        self,
        *,
        settings: PlaneSettings,
        snapshot: Snapshot,
        connect: Connect,
        verifier: Verifier,
        signatures: SignatureVerifier,
        tracker: Tracker,
        answers: Answers,
        objects: Objects,
        clock: Clock,
        new_id: Callable[[], str],
        draw: Callable[[], float],
        counters: Counters,
    ) -> None:
        self.settings = settings
        self.verifier = verifier
        self.signatures = signatures
        self.tracker = tracker
        self.answers = answers
        self.objects = objects
        self.clock = clock
        self.new_id = new_id
        self.counters = counters
        self.draw = draw
        self.board = Board(clock, draw)
        self.alarms = UsageAlarms(counters)
        self._connect = connect
        self.router = self._routed(snapshot)

    def observe(self, log: CallLog) -> None:
        """Count and log every call that ends from now on."""
        self.tracker.observer = CallObserver(self.counters, log, self.alarms)

    def swap(self, snapshot: Snapshot) -> None:
        """Read another version of the configuration from the next call on."""
        self.router = self._routed(snapshot, self.router)
        self.verifier.forget()
        self.signatures.forget()

    def use(self, settings: PlaneSettings) -> None:
        """Follow other settings from the next call on."""
        is_routed_anew = settings.routing != self.settings.routing
        self.settings = settings
        if is_routed_anew:
            self.router = self._routed(self.router.snapshot, self.router)

    def _routed(self, snapshot: Snapshot, previous: Router | None = None) -> Router:
        rules = self.settings.routing
        return Router(snapshot, rules, self._connect, self.board, self.clock, self.draw, previous)

    def admit(self) -> None:
        """Raise Overloaded when as many calls run as may."""
        if self.counters.in_flight > self.settings.in_flight_max:
            raise Overloaded("The hub is at its limit of concurrent calls. Retry shortly.")

    def explained(self, error: HubError) -> HubError:
        """Complete an error with what only the hub knows: where to buy credit, or get a token."""
        if isinstance(error, Unauthenticated):
            error.challenge = challenge(self.settings.public_url)
        if isinstance(error, InsufficientCredits) and error.link is None:
            error.link = self.settings.payment_link
        return error
