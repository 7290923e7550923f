"""Prometheus' text format over the plain counters.

Names follow the OpenTelemetry conventions for generative AI (gen_ai.*) where they have one,
else begin with aigne_hub_. Every label's values come from configuration or a closed set, so
no request can add a series.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.telemetry import DURATION_BUCKETS_S, Counters, Histogram
from aigne_hub.web.gauges import MEANINGS, Gauge, Routing

_BOUNDS = [*(str(bound) for bound in DURATION_BUCKETS_S), "+Inf"]
_OPERATION = ["gen_ai_operation_name", "gen_ai_provider_name"]
_TOKENS = ("input", "output", "cache_read", "cache_write")


def exposition(counters: Counters, routing: Routing, gauges: Mapping[Gauge, float]) -> bytes:
    """Return all metrics as they are now."""
    registry = CollectorRegistry()
    registry.register(HubCollector(counters, routing, gauges))
    return generate_latest(registry)


class HubCollector(Collector):
    """Reads `counters` when scraped.

    Keys are (operation, provider) for histograms, (operation, provider, token type) for
    tokens and (type, provider, outcome) for calls.
    """

    def __init__(self, counters: Counters, routing: Routing, gauges: Mapping[Gauge, float]) -> None:
        self._counters = counters
        self._routing = routing
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        yield from self._inference()
        yield from self._hub()
        yield from self._upstreams()
        for gauge, value in self._gauges.items():
            family = CounterMetricFamily if gauge.endswith("_total") else GaugeMetricFamily
            yield family(f"aigne_hub_{gauge}", MEANINGS[gauge], value)

    def _inference(self) -> Iterator[Metric]:
        tallies = self._counters.counted().items()
        yield _histogram(
            "gen_ai_server_request_duration_seconds",
            "Time from a call's start to its settlement.",
            ((labels, tally.duration) for labels, tally in tallies),
        )
        yield _histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Time from a call's start to the first byte of its answer.",
            ((labels, tally.first_byte) for labels, tally in tallies),
        )
        yield _counter(
            "gen_ai_client_token_usage",
            "Tokens of settled calls; the types are disjoint.",
            [*_OPERATION, "gen_ai_token_type"],
            (
                ((*labels, kind), getattr(tally, f"{kind}_tokens"))
                for labels, tally in tallies
                for kind in _TOKENS
                if getattr(tally, f"{kind}_tokens")
            ),
        )

    def _hub(self) -> Iterator[Metric]:
        counters = self._counters
        tallies = counters.counted()
        yield _counter(
            "aigne_hub_calls",
            "Settled calls by how they ended.",
            ["type", "provider", "outcome"],
            (
                ((*labels, outcome), count)
                for labels, tally in tallies.items()
                for outcome, count in tally.outcomes.items()
            ),
        )
        yield _counter(
            "aigne_hub_refused",
            "Requests that were answered with an error, by its stable code.",
            ["code"],
            (((code,), count) for code, count in counters.refused.items()),
        )
        for name, documentation, counts in (
            (
                "aigne_hub_usage_unknown_fields",
                "Fields in providers' reports of usage whose meaning is not known.",
                counters.usage_unknown,
            ),
            (
                "aigne_hub_usage_refused",
                "Providers' reports of usage that cannot be true; those calls are counted.",
                counters.usage_refused,
            ),
        ):
            by_provider = (((provider,), count) for provider, count in counts.items())
            yield _counter(name, documentation, ["provider"], by_provider)
        yield CounterMetricFamily(
            "aigne_hub_charged_credits",
            "Credits charged for settled calls.",
            sum(tally.charged_nano for tally in tallies.values()) / NANO_PER_CREDIT,
        )
        yield CounterMetricFamily(
            "aigne_hub_written_off_credits",
            "Credits that settled calls cost beyond what could be charged.",
            sum(tally.written_off_nano for tally in tallies.values()) / NANO_PER_CREDIT,
        )
        yield GaugeMetricFamily(
            "aigne_hub_calls_in_flight", "Calls being served now.", counters.in_flight
        )

    def _upstreams(self) -> Iterator[Metric]:
        routing = self._routing
        yield _counter(
            "aigne_hub_attempts_failed",
            "Attempts at providers that failed, by what that says of the provider.",
            ["provider", "fault"],
            routing.faults.items(),
        )
        yield _counter(
            "aigne_hub_bars",
            "Times that a provider, a credential or a model was barred after a failed attempt.",
            ["provider", "fault"],
            routing.bars.items(),
        )
        yield _counter(
            "aigne_hub_probes",
            "Calls that were let through to what is barred, to see whether it works again.",
            ["provider"],
            (((provider,), count) for provider, count in routing.probes.items()),
        )
        yield _counter(
            "aigne_hub_retries",
            "Further attempts of calls that the retry budget of their model granted or denied.",
            ["model", "verdict"],
            routing.retries.items(),
        )
        barred = GaugeMetricFamily(
            "aigne_hub_targets_barred",
            "Providers, credentials and models that are barred now.",
            labels=["provider"],
        )
        for provider, count in routing.barred.items():
            barred.add_metric([provider], count)
        yield barred


def _counter(
    name: str, documentation: str, labels: list[str], values: Iterable[tuple[Sequence[str], int]]
) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=labels)
    for key, value in values:
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, documentation: str, values: Iterable[tuple[tuple[str, str], Histogram]]
) -> Metric:
    family = HistogramMetricFamily(name, documentation, labels=_OPERATION)
    for key, histogram in values:
        if not any(histogram.counts):
            continue
        buckets = list(zip(_BOUNDS, accumulate(histogram.counts), strict=True))
        family.add_metric(key, buckets, histogram.sum)
    return family
