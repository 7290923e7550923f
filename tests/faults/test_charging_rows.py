"""Each row of the charging table (contract, section 5), whole and streamed, on both databases.

The oracle is the upstream's own count: where it sent usage the charge equals that to the
token, where it did not, what it had produced when it was stopped, within one chunk.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.books import Books, Customer, nano, price
from tests.caller import PROMPT, ask, chat
from tests.conftest import config_for
from tests.faults.raw_client import RawClient
from tests.faults.settled import assert_settled
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

RATES = {"input": "0.150001", "output": "0.600007", "cache_read": "0.075003"}
GRANTED = nano("1000")
INPUT_COUNTED = -(-len(PROMPT) // 4)
WORDS = 40
SILENT = "gpt-silent"
MIDWAY = "gpt-slow:20+long:400"
FLOOD = "gpt-long:60000"


@dataclass(frozen=True, slots=True)
class Row:
    """A way a call can end. `usage` is what the upstream sends of it, as (input, output, cached).

    A caller who leaves does so once `leaves_after` of its answer's content has come: None is
    never, 0 before any of it, and LAST when the upstream has sent all but [DONE].
    """

    outcome: str
    scenario: str
    stream: bool
    status: str = "success"
    source: str | None = "counted"
    usage: tuple[int, int, int] | None = None
    leaves_after: int | None = None
    http: int = 200

    def __str__(self) -> str:
        left = "" if self.leaves_after is None else f", left after {self.leaves_after}"
        return f"{self.outcome}, {'stream' if self.stream else 'whole'}, {self.scenario}{left}"


LAST = WORDS
SENT = (len(PROMPT.split()), WORDS, 0)
REPORTED = "gpt-tokens:123:457+cached:100"
FAILED = {"status": "failed", "source": None}
COMPLETED = [
    row
    for stream in (False, True)
    for row in (
        Row("completed", REPORTED, stream, source="provider", usage=(23, 457, 100)),
        Row("completed", f"gpt-long:{WORDS}+nousage", stream),
    )
]
CANCELLED = [
    Row("client_cancelled", SILENT, stream=False, leaves_after=0),
    Row("client_cancelled", f"gpt-long:{WORDS}+stall:0", stream=False, leaves_after=0),
    Row("client_cancelled", SILENT, stream=True, leaves_after=0),
    Row("client_cancelled", f"gpt-long:{WORDS}+stall:0", stream=True, leaves_after=0),
    Row("client_cancelled", MIDWAY, stream=True, leaves_after=5),
    Row("client_cancelled", f"{MIDWAY}+nousage", stream=True, leaves_after=5),
    Row("client_cancelled", f"gpt-long:{WORDS}+stall:{WORDS}", stream=True, leaves_after=LAST),
    Row(
        "client_cancelled",
        f"gpt-long:{WORDS}+hang",
        stream=True,
        source="provider",
        usage=SENT,
        leaves_after=LAST,
    ),
]
UNDELIVERED = [
    row
    for stream in (False, True)
    for row in (
        Row("upstream_failed", "gpt-503", stream, **FAILED, http=502),
        Row("upstream_failed", "gpt-cut:0", stream, **FAILED, http=502),
        Row("upstream_failed", "gpt-400", stream, **FAILED, http=400),
        Row("upstream_timeout", SILENT, stream, **FAILED, http=504),
    )
] + [Row("upstream_failed", "gpt-long:40+cut:3", stream=False, **FAILED, http=502)]
# A stream that ends without its end has failed, whatever it said of itself before.
DELIVERED = [
    Row("upstream_failed", f"gpt-long:{WORDS}+nodone", stream=True, status="failed"),
    Row("upstream_failed", "gpt-slow:5+long:40+cut:3", stream=True, status="failed"),
    Row("upstream_timeout", "gpt-slow:5+long:40+stall:3", stream=True, status="failed"),
]
SCENARIOS = {row.scenario for row in COMPLETED + CANCELLED + UNDELIVERED + DELIVERED}


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: FakeUpstream,
    database: str,
    database_for: Callable[[str], str | None],
) -> Iterator[HubProcess]:
    config = config_for(
        upstream,
        models=sorted({*SCENARIOS, FLOOD}),
        rates=RATES,
        billing={"enabled": True},
        limits={"stream_idle_s": 1, "upstream_first_byte_s": 1},
    )
    folder = tmp_path_factory.mktemp("rows")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running
        assert_settled(running)
        running.verified()


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


@pytest.mark.parametrize("row", COMPLETED + CANCELLED + UNDELIVERED + DELIVERED, ids=str)
def test_row(hub: HubProcess, books: Books, upstream: FakeUpstream, row: Row):
    customer = books.customer(GRANTED)
    upstream.reset()
    if row.leaves_after is None:
        reply = ask(hub, f"openai/{row.scenario}", key=customer.key, stream=row.stream)
        assert reply.status == row.http
    else:
        leave(hub, customer, upstream, row)
    call = customer.call()
    assert (call["status"], call["outcome"]) == (row.status, row.outcome)
    assert call["usage_source"] == row.source
    (record,) = upstream.log()
    check_tokens(row, call, record)
    assert nano(call["credits"]) == (price(call, RATES) if row.source else 0)
    assert (customer.balance, customer.held) == (GRANTED - nano(call["credits"]), 0)


def check_tokens(row: Row, call: dict[str, Any], record: dict[str, Any]) -> None:
    """Compare a call's tokens with what the upstream says it sent."""
    tokens = call["input_tokens"], call["output_tokens"], call["cache_read_tokens"]
    if row.source is None:
        assert tokens == (0, 0, 0)
    elif row.usage is not None:
        assert tokens == row.usage
    else:
        assert tokens[::2] == (INPUT_COUNTED, 0)
        count = record["chunks_sent"] if row.stream else record["tokens_sent"]
        words = [f"w{number} " for number in range(count)]
        # What is being sent while the caller leaves may have been read or not.
        loose = len(words[-1]) if row.scenario.startswith(MIDWAY) and words else 0
        produced = 0 if not row.stream and row.leaves_after == 0 else sum(map(len, words))
        assert produced - loose <= 4 * tokens[1] <= produced + 3


def request(customer: Customer, scenario: str, *, stream: bool) -> bytes:
    body = json.dumps(chat(f"openai/{scenario}", stream=stream)).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer %b\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (customer.key.encode(), len(body), body)
    )


def leave(hub: HubProcess, customer: Customer, upstream: FakeUpstream, row: Row) -> None:
    """Make a call and leave it; returns when the upstream has noticed, which is soon."""
    with RawClient(hub.port) as client:
        client.send(request(customer, row.scenario, stream=row.stream))
        upstream.log_when(lambda records: len(records) == 1)
        if row.leaves_after:
            client.until(f'"content":"w{row.leaves_after - 1} "'.encode())
        else:
            time.sleep(0.1)
        if row.usage is not None:
            time.sleep(0.1)  # the usage is kept back from a caller who did not ask for it
    upstream.log_when(lambda records: records[0]["client_gone"])


def test_cut_off_costs_the_hold(hub: HubProcess, books: Books, upstream: FakeUpstream):
    """Only a stream is cut off: a whole answer is sent on with a limit that can be paid."""
    customer = books.customer(nano("0.0005"))
    upstream.reset()
    reply = ask(hub, f"openai/{FLOOD}", key=customer.key, stream=True)
    assert reply.error["code"] == "insufficient_credits"
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "cut_off")
    assert (call["usage_source"], call["output_tokens"]) == ("counted", -(-len(reply.text) // 4))
    assert nano(call["credits"]) == nano(call["held"]) == nano("0.0005")
    assert (customer.balance, customer.held) == (0, 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_rejected_is_free_and_goes_nowhere(
    hub: HubProcess, books: Books, upstream: FakeUpstream, stream: bool
):
    customer = books.customer()
    upstream.reset()
    assert ask(hub, f"openai/{MIDWAY}", key=customer.key, stream=stream).status == 402
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("failed", "rejected")
    assert (call["usage_source"], call["credits"], call["held"]) == (None, "0", "0")
    assert upstream.log() == []


def test_interrupted_costs_what_its_journal_says(
    hub: HubProcess, books: Books, upstream: FakeUpstream
):
    """Runs last, because the hub dies of it."""
    streaming, waiting = books.customer(GRANTED), books.customer(GRANTED)
    upstream.reset()
    with RawClient(hub.port) as stream, RawClient(hub.port) as whole:
        stream.send(request(streaming, MIDWAY, stream=True))
        whole.send(request(waiting, SILENT, stream=False))
        stream.until(b'"content":"w20 "')
        hub.kill()
    hub.start()
    delivered = sum(len(f"w{number} ") for number in range(21))
    (record,) = (each for each in upstream.log() if each["stream"])
    produced = sum(len(f"w{number} ") for number in range(record["chunks_sent"]))
    call = streaming.call()
    assert (call["status"], call["outcome"]) == ("failed", "interrupted")
    assert (call["usage_source"], call["input_tokens"]) == ("counted", INPUT_COUNTED)
    assert delivered / 2 <= 4 * call["output_tokens"] <= produced + 3
    assert nano(call["credits"]) == price(call, RATES)
    call = waiting.call()
    assert (call["outcome"], call["usage_source"], call["credits"]) == ("interrupted", None, "0")
