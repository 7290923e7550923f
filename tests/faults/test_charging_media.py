"""The charging table for sound: every way a call can end, whole and as events."""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.books import Books, Customer, nano
from tests.caller import Reply, begun, post
from tests.conftest import config_for
from tests.faults.raw_client import RawClient
from tests.faults.settled import assert_settled
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream
from tests.upstream.media import sound

GRANTED = nano("1000")
SPEECH, HEARING = "/v1/audio/speech", "/v1/audio/transcriptions"
RATES = {
    "speech": {"characters": "1000000"},
    "transcription": {"second": "0.1", "output": "1000"},
}
TEXT = "twelve chars"
TYPE = "multipart/form-data; boundary=xYz"
SLOW, SLOWER = "gpt-slow:100", "gpt-slow:400"


@dataclass(frozen=True, slots=True)
class Row:
    """A way a call ends: what it costs in credits, None where that depends on what came."""

    path: str
    scenario: str
    outcome: str
    status: int
    credits: str
    stream: bool = False


FAILED = [
    Row(path, scenario, outcome, status, "0", stream)
    for path in (SPEECH, HEARING)
    for stream in (False, True)
    for scenario, outcome, status in (
        ("gpt-503", "upstream_failed", 502),
        ("gpt-400", "upstream_failed", 400),
        ("gpt-error200", "upstream_failed", 502),
        ("gpt-silent", "upstream_timeout", 504),
    )
] + [Row(HEARING, "gpt-cut:3", "upstream_failed", 502, "0")]
# `one two ` is eight bytes, which is two tokens.
BROKEN = [
    Row(SPEECH, f"{SLOW}+cut:3", "upstream_failed", 200, "12", stream=True),
    Row(SPEECH, f"{SLOW}+errorevent:3", "upstream_failed", 200, "12", stream=True),
    Row(SPEECH, f"{SLOW}+stall:3", "upstream_timeout", 200, "12", stream=True),
    Row(HEARING, f"{SLOW}+cut:2", "upstream_failed", 200, "0.122", stream=True),
    Row(HEARING, f"{SLOW}+errorevent:2", "upstream_failed", 200, "0.122", stream=True),
    Row(HEARING, f"{SLOW}+stall:2", "upstream_timeout", 200, "0.122", stream=True),
]
KINDS = {SPEECH: "speech", HEARING: "transcription"}
NAMES = {row.scenario for row in FAILED + BROKEN} | {SLOWER}


def model(path: str, scenario: str) -> str:
    """Return a scenario's name in the provider that has models of the path's type."""
    return f"{KINDS[path]}/{scenario}"


def request(path: str, scenario: str, *, stream: bool) -> tuple[bytes, str]:
    name = model(path, scenario)
    if path == SPEECH:
        members = {"model": name, "input": TEXT, "voice": "alloy"}
        streaming = {"stream_format": "sse"} if stream else {}
        return json.dumps({**members, **streaming}).encode(), "application/json"
    fields = {"model": name, "stream": str(stream).lower()}
    form = b"".join(
        b'--xYz\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (field.encode(), value.encode())
        for field, value in fields.items()
    )
    file = b'--xYz\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n%b\r\n'
    return form + file % sound(TEXT) + b"--xYz--\r\n", TYPE


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    config = config_for(
        upstream,
        models=[],
        billing={"enabled": True},
        limits={"stream_idle_s": 1, "upstream_first_byte_s": 1},
    )
    (openai,) = config["providers"]
    config["providers"] += [{**openai, "name": kind, "kind": "openai"} for kind in KINDS.values()]
    config["models"] += [
        {"model": model(path, name), "type": kind, "rates": RATES[kind]}
        for path, kind in KINDS.items()
        for name in sorted(NAMES)
    ]
    with HubProcess(tmp_path_factory.mktemp("media"), config) as running:
        yield running
        assert_settled(running)
        running.verified()


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


def ask(hub: HubProcess, customer: Customer, row: Row) -> Reply:
    body, kind = request(row.path, row.scenario, stream=row.stream)
    return post(hub, row.path, body, key=customer.key, headers={"Content-Type": kind})


def check(customer: Customer, outcome: str, charge: int) -> dict[str, Any]:
    call = customer.call()
    assert (call["outcome"], nano(call["credits"])) == (outcome, charge)
    assert (customer.balance, customer.held) == (GRANTED - charge, 0)
    return call


@pytest.mark.parametrize(
    "row", FAILED + BROKEN, ids=lambda row: f"{KINDS[row.path]} {row.scenario} {row.stream}"
)
def test_row(hub: HubProcess, books: Books, row: Row):
    customer = books.customer(GRANTED)
    reply = ask(hub, customer, row)
    assert reply.status == row.status
    call = check(customer, row.outcome, nano(row.credits))
    assert reply.error["code"] in {"upstream_error", "upstream_timeout", "invalid_request"}
    assert call["usage_source"] == ("counted" if row in BROKEN else None)


@pytest.mark.parametrize(("path", "charge"), [(SPEECH, "12"), (HEARING, "0.12")])
def test_a_caller_who_leaves_a_whole_answer_pays_what_was_read(
    hub: HubProcess, books: Books, upstream: FakeUpstream, path: str, charge: str
):
    customer = books.customer(GRANTED)
    upstream.reset()
    body, kind = request(path, "gpt-silent", stream=False)
    headers = {"Content-Type": kind, "Authorization": f"Bearer {customer.key}"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = f"POST {path} HTTP/1.1\r\nHost: hub\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
    with RawClient(hub.port) as client:
        client.send(start.encode() + body)
        upstream.log_when(lambda log: len(log) == 1)
    check(customer, "client_cancelled", nano(charge))


@pytest.mark.parametrize(("path", "charge"), [(SPEECH, "12"), (HEARING, "0.12")])
def test_a_caller_who_leaves_events_pays_what_was_read_and_made(
    hub: HubProcess, books: Books, upstream: FakeUpstream, path: str, charge: str
):
    customer = books.customer(GRANTED)
    upstream.reset()
    body, kind = request(path, f"{SLOW}+stall:2", stream=True)
    headers = {"Content-Type": kind}
    with begun(hub, path, body, key=customer.key, headers=headers) as answer:
        assert b"delta" in answer.readline()
    upstream.log_when(lambda log: bool(log) and log[0]["client_gone"])
    call = customer.call()
    assert (call["outcome"], call["usage_source"]) == ("client_cancelled", "counted")
    made = call["output_tokens"] * nano("0.001") if path == HEARING else 0
    assert nano(call["credits"]) == nano(charge) + made
    assert customer.held == 0


def test_sound_leaves_as_it_comes_where_its_length_changes_no_price(hub: HubProcess, books: Books):
    """Its charge is in its head; what breaks off, or is left, has been charged by then."""
    body, _ = request(SPEECH, f"{SLOW}+stall:2", stream=False)
    patient, hasty = books.customer(GRANTED), books.customer(GRANTED)
    half = len(sound(TEXT)) // 2
    with begun(hub, SPEECH, body, key=patient.key) as answer:
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.headers["x-aigne-hub-credits"] == "12"
        assert answer.read(half) == sound(TEXT)[:half]
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
    with begun(hub, SPEECH, body, key=hasty.key) as answer:
        answer.read(half)
    check(patient, "upstream_timeout", nano("12"))
    check(hasty, "client_cancelled", nano("12"))


HOSTILE = {
    "no form": (b'{"model":"transcription/gpt-503"}', "application/json"),
    "no boundary": (b"--xYz--\r\n", "multipart/form-data"),
    "no model": (b"--xYz--\r\n", TYPE),
    "broken off": (request(HEARING, "gpt-503", stream=False)[0][:-20], TYPE),
    "two models": (request(HEARING, "gpt-503", stream=False)[0].replace(b"stream", b"model"), TYPE),
    "a hundred thousand parts": (
        b'--xYz\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 100_000 + b"--xYz--",
        TYPE,
    ),
    "a huge header": (b"--xYz\r\nX-A: " + b"a" * 1_000_000 + b"\r\n\r\n\r\n--xYz--", TYPE),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("path", [HEARING, "/v1/images/edits", "/v1/videos"])
def test_a_malformed_form_is_the_callers_mistake(
    hub: HubProcess, books: Books, upstream: FakeUpstream, path: str, name: str
):
    upstream.reset()
    body, kind = HOSTILE[name]
    customer = books.customer()
    reply = post(hub, path, body, key=customer.key, headers={"Content-Type": kind})
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert (customer.call()["outcome"], upstream.log()) == ("rejected", [])


def test_a_hub_that_dies_charges_what_was_read_and_delivered(
    hub: HubProcess, books: Books, upstream: FakeUpstream
):
    """Runs last, because the hub dies of it."""
    speaking, hearing = books.customer(GRANTED), books.customer(GRANTED)
    upstream.reset()
    streams = []
    for path, customer in ((SPEECH, speaking), (HEARING, hearing)):
        body, kind = request(path, SLOWER, stream=True)
        streams.append(begun(hub, path, body, key=customer.key, headers={"Content-Type": kind}))
    with streams[0] as one, streams[1] as other:
        assert b"delta" in one.readline()
        assert b"delta" in other.readline()
        hub.kill()
    hub.start()
    call = speaking.call()
    # By fours, and never more than there are.
    assert (call["outcome"], call["credits"]) == ("interrupted", "9")
    call = hearing.call()
    assert (call["outcome"], call["usage_source"]) == ("interrupted", "counted")
    assert nano(call["credits"]) == nano("0.12") + call["output_tokens"] * nano("0.001")
