"""What is measured when somebody scrapes, beside what is counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Gauge(StrEnum):
    """Measurements read at scrape time. A name ending in `_total` only ever grows."""

    JOURNAL_QUEUE = "journal_queue_operations"
    JOURNAL_BATCHES = "journal_batches_total"
    JOURNAL_OPERATIONS = "journal_operations_total"
    JOURNAL_DEAD_LETTERS = "journal_dead_letters"
    LEDGER_VIOLATIONS = "ledger_violations"
    UPSTREAM_OPEN = "upstream_connections_open"
    UPSTREAM_IDLE = "upstream_connections_idle"
    UPSTREAM_OPENED = "upstream_connections_opened_total"
    UPSTREAM_REUSED = "upstream_connections_reused_total"
    CLIENT_OPEN = "client_connections_open"
    REQUESTS_MALFORMED = "requests_malformed_total"
    LOG_LINES_DROPPED = "log_lines_dropped_total"
    WEBHOOKS_DELIVERED = "webhooks_delivered_total"
    WEBHOOKS_FAILED = "webhooks_failed_total"
    WEBHOOKS_GIVEN_UP = "webhooks_given_up_total"
    METER_DELIVERED = "meter_events_delivered_total"
    METER_REFUSED = "meter_events_refused_total"
    METER_WAITING = "meter_events_waiting"
    GRANTS_MIRRORED = "grants_mirrored_total"
    KIT_FAILURES = "payment_kit_failures"


MEANINGS = {
    Gauge.JOURNAL_QUEUE: "Operations waiting for the journal's next batch.",
    Gauge.JOURNAL_BATCHES: "Batches the journal committed.",
    Gauge.JOURNAL_OPERATIONS: "Operations the journal committed.",
    Gauge.JOURNAL_DEAD_LETTERS: "Operations that could not be committed and wait for a person.",
    Gauge.LEDGER_VIOLATIONS: "Invariants of the ledger that the last hourly check found broken.",
    Gauge.UPSTREAM_OPEN: "Open connections to providers.",
    Gauge.UPSTREAM_IDLE: "Open connections to providers that wait for a call.",
    Gauge.UPSTREAM_OPENED: "Connections to providers that were opened.",
    Gauge.UPSTREAM_REUSED: "Calls that found an open connection to their provider.",
    Gauge.CLIENT_OPEN: "Open connections of clients.",
    Gauge.REQUESTS_MALFORMED: "Requests that were not valid HTTP, or too slow or too large.",
    Gauge.LOG_LINES_DROPPED: "Log lines that could not be kept for the next flush.",
    Gauge.WEBHOOKS_DELIVERED: "Events that a webhook took.",
    Gauge.WEBHOOKS_FAILED: "Attempts to send an event that failed.",
    Gauge.WEBHOOKS_GIVEN_UP: "Events that a webhook never took.",
    Gauge.METER_DELIVERED: "Meter events that Payment Kit took.",
    Gauge.METER_REFUSED: "Times that Payment Kit refused a meter event.",
    Gauge.METER_WAITING: "Meter events that Payment Kit has not taken yet.",
    Gauge.GRANTS_MIRRORED: "Grants of Payment Kit that gave credit here.",
    Gauge.KIT_FAILURES: "Failures to reach Payment Kit since it was reached last.",
}


@dataclass(frozen=True, slots=True)
class Routing:
    """What was seen of upstreams. Names are those of the configuration.

    `faults` and `bars` count by provider and fault, `probes` by provider; `barred` is how many
    targets of a provider are barred now; `retries` counts by model and whether the model's
    budget `granted` or `denied` them.
    """

    faults: Mapping[tuple[str, str], int] = field(default_factory=dict)
    bars: Mapping[tuple[str, str], int] = field(default_factory=dict)
    probes: Mapping[str, int] = field(default_factory=dict)
    barred: Mapping[str, int] = field(default_factory=dict)
    retries: Mapping[tuple[str, str], int] = field(default_factory=dict)
