"""Raw HTTP messages: each gets the one status it deserves, and none a second answer."""

import json
import time
from collections.abc import Iterator

import pytest
from tests.conftest import config_for
from tests.faults.messages import BODY, CASES, CHUNKED, KEY, MODELS, TE, WEBSOCKET, call, get
from tests.faults.raw_client import Conversation, RawClient, converse
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

# So long after its head a body comes: longer than the hub needs to answer without it.
LATER_S = 0.1


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    limits = {"header_timeout_s": 5, "request_body_mib": 1}
    config = config_for(upstream, limits=limits)
    with HubProcess(tmp_path_factory.mktemp("edge") / "hub", config) as running:
        yield running
        assert "Traceback" not in running.log()


def assert_well_formed(got: Conversation) -> None:
    """Assert that every error is OpenAI's object and that nothing was cut off."""
    for response in got.responses:
        assert response.status < 500
        assert response.whole
        if response.status >= 400:
            assert response.headers["content-type"] == "application/json"
            error = json.loads(response.body)["error"]
            assert error["message"]
            expected = {401: "unauthenticated", 404: "not_found", 413: "payload_too_large"}
            assert error["code"] == expected.get(response.status, "invalid_request")


def test_the_corpus_is_large():
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_message(hub: HubProcess, upstream: FakeUpstream, name: str):
    """A message deserves the same on a new connection and behind calls that it resembles."""
    case = CASES[name]
    for calls_before in (0, 1, 2):
        with RawClient(hub.port) as client:
            for _ in range(calls_before):
                client.send(call().replace(b"{key}", hub.key.encode()))
                assert client.answer().status == 200
            upstream.reset()
            client.send(case.message.replace(b"{key}", hub.key.encode()))
            got = client.rest()
        assert got.statuses == list(case.statuses), got.raw[-500:]
        assert got.end == case.end
        assert_well_formed(got)
        if case.end == "closed":
            assert got.responses[-1].headers.get("connection") == "close"
        assert len(upstream.log()) == case.served
    good = converse(hub.port, get(b"Connection: close\r\n"))
    assert good.statuses == [200]


def test_continue_is_sent_before_the_body_and_once(hub: HubProcess):
    head = call(b"Expect: 100-continue\r\n").replace(b"{key}", hub.key.encode())[: -len(BODY)]
    with RawClient(hub.port) as client:
        client.send(head)
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(BODY)
        assert client.rest().statuses == [200]


def test_a_body_that_ends_early_is_nobodys_call(hub: HubProcess, upstream: FakeUpstream):
    upstream.reset()
    before = len(hub.calls())
    with RawClient(hub.port) as client:
        client.send(call().replace(b"{key}", hub.key.encode())[:-5])
    assert converse(hub.port, get(b"Connection: close\r\n")).statuses == [200]
    assert upstream.log() == []
    assert len(hub.calls()) == before


def test_requests_in_turn_share_a_connection(hub: HubProcess, upstream: FakeUpstream):
    upstream.reset()
    turns = [call(), get(), call(WEBSOCKET), get(KEY, line=MODELS), call(TE, CHUNKED), get()]
    with RawClient(hub.port) as client:
        for message in turns:
            client.send(message.replace(b"{key}", hub.key.encode()))
            got = client.rest()
            assert (got.statuses, got.end) == ([200], "open")
    assert len(upstream.log()) == 3


def test_a_connection_is_kept_whose_body_comes_after_its_head(hub: HubProcess):
    """What is asked of a stored object needs no body, and reads it all the same."""
    head = b"POST /v1/responses/resp_0/cancel HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
    with RawClient(hub.port) as client:
        client.send(head + KEY.replace(b"{key}", hub.key.encode()) + b"\r\n")
        time.sleep(LATER_S)
        client.send(b"{}")
        got = client.rest()
    assert (got.statuses, got.end) == ([404], "open")


@pytest.mark.parametrize("calls_before", [1, 2])
def test_a_head_that_comes_again(hub: HubProcess, upstream: FakeUpstream, calls_before: int):
    """Whatever the length of the body and however it arrives, nobody's body is another's."""
    message = call().replace(b"{key}", hub.key.encode())
    padded = BODY[:-1] + b" " * 1000 + b"}"
    other = call(body=padded).replace(b"{key}", hub.key.encode())
    pieces = [
        [message],
        [other],
        [other[: -len(padded)], padded],
        [message[: -len(BODY)], BODY[:10], BODY[10:]],
        [other[:-1], other[-1:]],
        [message[:40], message[40:]],
        [message[: -len(BODY) - 2], b"\r\n" + BODY],
    ]
    with RawClient(hub.port) as client:
        for _ in range(calls_before):
            client.send(message)
            assert client.answer().status == 200
        upstream.reset()
        for sent in pieces:
            for piece in sent:
                client.send(piece)
                time.sleep(LATER_S / 10)
            assert client.answer().status == 200
    short = upstream.log()[0]["body_bytes"]
    lengths = [request["body_bytes"] for request in upstream.log()]
    assert lengths == [short + 1000 * longer for longer in (0, 1, 1, 0, 1, 0, 0)]


def test_a_request_behind_a_head_that_comes_again(hub: HubProcess, upstream: FakeUpstream):
    message = call().replace(b"{key}", hub.key.encode())
    for surplus in (message, message[:50], b"x"):
        with RawClient(hub.port) as client:
            for _ in range(2):
                client.send(message)
                assert client.answer().status == 200
            upstream.reset()
            client.send(message + surplus)
            got = client.rest()
        assert got.statuses[0] == 200
        assert len(upstream.log()) == 1


def test_a_body_that_ends_early_behind_a_head_that_comes_again(
    hub: HubProcess, upstream: FakeUpstream
):
    message = call().replace(b"{key}", hub.key.encode())
    before = len(hub.calls())
    with RawClient(hub.port) as client:
        client.send(message)
        assert client.answer().status == 200
        upstream.reset()
        client.send(message[:-5])
    assert converse(hub.port, get(b"Connection: close\r\n")).statuses == [200]
    assert upstream.log() == []
    assert len(hub.calls()) == before + 1


def test_a_head_in_single_bytes(hub: HubProcess):
    message = call(b"Connection: close\r\n").replace(b"{key}", hub.key.encode())
    with RawClient(hub.port) as client:
        for position in range(len(message)):
            client.send(message[position : position + 1])
        assert client.rest().statuses == [200]


def test_head_has_no_content(hub: HubProcess):
    line = b"HEAD /v1/models HTTP/1.1\r\n"
    message = get(KEY, line=line).replace(b"{key}", hub.key.encode())
    got = converse(hub.port, message, head=True)
    assert (got.statuses, got.end) == ([200], "open")
    assert int(got.responses[0].headers["content-length"]) > 0
