"""What is measured: the upstream itself, nginx as a bare proxy, and the interface of the rest."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from bench import nginx
from bench.installed import Installed, of_program
from bench.load import Request, Result
from bench.loads import Load, Route
from bench.process import Process, free_port
from bench.upstreams import Upstreams

UPSTREAM_KEY = "sk-bench"
JSON_HEADERS = {"content-type": "application/json"}


class UnavailableError(RuntimeError):
    """The target is not installed here; the message says what is missing."""


class Target(ABC):
    """A way to the upstream. One life is start, requests, stop; a folder serves one life."""

    name: str
    bare = False  # the upstream itself
    ours = True  # a peer's failures are its own and do not void the run
    workers = 1
    footprint = True  # whether its memory under load is measured too
    process: Process | None = None
    start_ms: float | None = None

    def __init__(self, upstreams: Upstreams) -> None:
        self.upstreams = upstreams

    @abstractmethod
    def start(self, folder: Path) -> None:
        """Come up and accept calls, with everything the target writes below `folder`."""

    @abstractmethod
    def request(self, load: Load) -> Request:
        """Return the call as this target takes it."""

    def takes(self, load: Load) -> bool:  # noqa: ARG002 - what a target takes depends on the load
        """Tell, before it is started, whether it is measured with this load."""
        return True

    def note(self, result: Result) -> None:  # noqa: B027 - only a target with records needs it
        """Take down what clients saw, for a target whose records are checked."""

    def problems(self) -> list[str]:
        """Return what is wrong with the target's records, in sentences."""
        return []

    def beside_s(self) -> float:
        """Return the CPU seconds of a server that it needs and that is not counted as its own."""
        return 0.0

    def shares(self) -> Mapping[str, int]:
        """Return how many calls each of its processes has begun; {} where that is not known."""
        return {}

    def installed_size(self) -> Installed | None:
        """Return what it puts on the disk."""
        return None

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()
            self.process = None

    def _started(self, process: Process) -> None:
        """Note that `process` is ready now."""
        self.process = process
        self.start_ms = 1000 * (time.monotonic() - process.started_at)


class Direct(Target):
    """The upstream without anything in between: what a latency is compared with."""

    name = "direct"
    bare = True

    def start(self, folder: Path) -> None:
        """Do nothing: the upstream runs already."""

    def takes(self, load: Load) -> bool:
        # The load generators speak plain HTTP to every target; only a hub has a ledger, and
        # another language than its upstream.
        return not (load.route.tls or load.accounts or load.is_translated)

    def request(self, load: Load) -> Request:
        headers = {**JSON_HEADERS, "authorization": f"Bearer {UPSTREAM_KEY}"}
        port = self.upstreams.ports[load.route]
        return Request(port, load.path, headers, load.body(load.model))


class Nginx(Target):
    """The floor: one nginx worker that proxies the same bytes over kept connections."""

    name = "nginx"

    def start(self, folder: Path) -> None:
        self._ports = {route: free_port() for route in Route}
        routes = {route: (self._ports[route], self.upstreams.ports[route]) for route in Route}
        self._started(nginx.start_proxy(folder / "proxy", routes, self.upstreams.trust))

    def takes(self, load: Load) -> bool:
        return not load.is_translated

    def installed_size(self) -> Installed:
        return of_program(nginx.BINARY)

    def request(self, load: Load) -> Request:
        headers = {**JSON_HEADERS, "authorization": f"Bearer {UPSTREAM_KEY}"}
        return Request(self._ports[load.route], load.path, headers, load.body(load.model))
