"""The fault server itself: what other tests rely on."""

import http.client
import json
from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit

import pytest
from tests.faults.server import FAULTS, RIGHT, FaultServer
from tests.faults.server.fault import Place
from tests.faults.server.right import INPUT_TOKENS, OUTPUT_TOKENS, PATHS, WIRES, WORDS
from tests.patience import until

WAIT_S = 60


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


class Caller:
    """A connection to a scenario's address."""

    def __init__(self, faults: FaultServer, scenario: str, key: str) -> None:
        where = urlsplit(faults.base_url(scenario))
        self.connection = http.client.HTTPConnection(where.hostname, where.port, timeout=WAIT_S)
        self._path = where.path
        self._key = key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(self, wire: str = "chat", *, stream: bool = False) -> tuple[int, bytes]:
        body = json.dumps({"stream": stream, "model": "any"}, separators=(",", ": "))
        headers = {"Authorization": f"Bearer {self._key}"}
        self.connection.request("POST", f"{self._path}{PATHS[wire]}", body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", WIRES)
def test_a_right_answer_says_and_reports_what_it_should(
    faults: FaultServer, wire: str, stream: bool
):
    key = f"sk-{wire}-{stream}"
    with Caller(faults, RIGHT, key) as caller:
        status, body = caller.ask(wire, stream=stream)
        assert status == 200
        assert all(word.encode() in body for word in WORDS)
        assert b'tokens":%d' % INPUT_TOKENS in body
        assert b'tokens":%d' % OUTPUT_TOKENS in body
        counts = faults.counts(key)
        assert (counts.connections, counts.open, counts.requests) == (1, 1, 1)
        assert counts.tokens == len(WORDS)
        assert counts.bytes_sent > len(body)
        assert counts.bytes_received > 0
    until(lambda: faults.counts(key).open == 0)


def test_a_fault_follows_a_credential_until_it_is_lifted(faults: FaultServer):
    with Caller(faults, RIGHT, "sk-one") as one, Caller(faults, RIGHT, "sk-other") as other:
        faults.set("sk-one", "F15-503")
        assert [one.ask()[0], other.ask()[0], one.ask()[0]] == [503, 200, 503]
        faults.set("sk-one", "F14-seconds")
        assert one.ask()[0] == 429
        faults.lift("sk-one")
        assert [one.ask()[0], other.ask()[0]] == [200, 200]
        assert (faults.counts("sk-one").requests, faults.counts("sk-other").requests) == (4, 2)
        assert faults.counts("sk-one").connections == 1
        assert [asked.line.is_open for asked in faults.asked("sk-one")] == [True] * 4


def test_a_scenario_is_off_until_it_is_on_again(faults: FaultServer):
    with Caller(faults, "F15-500", "sk-off") as caller:
        assert caller.ask()[0] == 500
        faults.off("F15-500")
        assert caller.ask()[0] == 200
        faults.on("F15-500")
        assert caller.ask()[0] == 500
    assert faults.counts("F15-500").requests == 3


def test_every_family_is_there_and_only_answers_can_follow_a_credential(faults: FaultServer):
    assert {name[:3] for name in FAULTS} == {f"F{number:02}" for number in range(1, 29)}
    early = [name for name, fault in FAULTS.items() if fault.place is not Place.HTTP]
    assert len(early) > 10
    for name in early:
        with pytest.raises(AssertionError, match="before any key"):
            faults.set("sk-early", name)
