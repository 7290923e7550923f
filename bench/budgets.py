"""What a call may cost, and what it costs in a run: each budget with its figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.footprint import Footprint
from bench.table import Row

HUB = "hub"
PEERS = frozenset({"tensorzero", "portkey", "litellm"})


@dataclass(frozen=True)
class Budget:
    """A figure that is to be at most `limit`, in `unit`; `figure` is None where not measured."""

    name: str
    limit: float
    unit: str
    figure: float | None

    @property
    def verdict(self) -> str:
        if self.figure is None:
            return "not measured"
        return "met" if self.figure <= self.limit else "missed"


def budgets(found: Sequence[Row], lives: Sequence[Footprint]) -> list[Budget]:
    """Return the budgets of a run, in the order in which the design states them."""

    def of(load: str, connections: int, figure: Callable[[Row], float | None]) -> float | None:
        return next(
            (
                figure(row)
                for row in found
                if (row.load, row.connections, row.target) == (load, connections, HUB)
            ),
            None,
        )

    def ratio(load: str, other: str) -> float | None:
        mine, base = (of(name, 32, lambda row: row.cpu_us_per_call) for name in (load, other))
        return mine / base if mine and base else None

    peers = [
        row.cpu_us_per_call
        for row in found
        if (row.load, row.connections) == ("chat", 32) and row.target in PEERS
    ]
    cheapest = min((cpu for cpu in peers if cpu is not None), default=None)
    life = next((life for life in lives if life.target == HUB), None)
    chat = of("chat", 32, lambda row: row.cpu_us_per_call)
    return [
        Budget("a call", 9, "x nginx", of("chat", 32, lambda row: row.times_nginx)),
        Budget("a call, aim", 6, "x nginx", of("chat", 32, lambda row: row.times_nginx)),
        *(
            []
            if cheapest is None
            else [Budget("a call, the cheapest peer's", cheapest, "µs", chat)]
        ),
        Budget("a chunk", 2.5, "x nginx", of("stream 40", 32, lambda row: row.times_nginx)),
        Budget("a chunk, aim", 1.7, "x nginx", of("stream 40", 32, lambda row: row.times_nginx)),
        Budget(
            "a chunk, TLS upstream",
            30,
            "µs",
            of("stream 40 TLS", 32, lambda row: row.cpu_us_per_chunk),
        ),
        Budget("added p50, one connection", 1, "ms", of("chat", 1, lambda row: row.added_p50_ms)),
        Budget("a translated call", 4, "x a relayed one", ratio("chat translated", "chat")),
        Budget(
            "a translated chunk", 4, "x a relayed one", ratio("stream 40 translated", "stream 40")
        ),
        Budget("memory at rest", 90, "MiB", life and life.rest_mib),
        Budget("memory of an idle stream", 60, "KiB", life and life.idle_stream_kib),
        Budget("start on an existing database", 1_500, "ms", life and life.start_ms),
    ]
