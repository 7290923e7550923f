"""Where pictures are fetched from, and what keeps its address."""

import asyncio
import base64
import json
from typing import Any

import pytest

from aigne_hub.providers import ideogram_pictures
from aigne_hub.providers.ideogram_pictures import Inlined
from aigne_hub.transport import ConnectionCut, Origin

OWN = Origin.parse("https://proxy.example/v1", trusted=True)


class Answer:
    def __init__(self, *pieces: bytes, status: int = 200, error: Exception | None = None) -> None:
        self.status = status
        self.is_closed = False
        self._pieces = list(pieces)
        self._error = error

    def header(self, _name: bytes) -> bytes | None:
        return None

    async def read(self) -> bytes:
        return b"".join(self._pieces)

    async def chunk(self) -> bytes | None:
        if not self._pieces and self._error is not None:
            raise self._error
        return self._pieces.pop(0) if self._pieces else None

    async def pour(self, sink: Any) -> bool:
        return all(sink(piece) for piece in self._pieces)

    def close(self) -> None:
        self.is_closed = True


class Client:
    """Answers one request after the other."""

    def __init__(self, *answers: Answer) -> None:
        self.asked: list[tuple[Origin, str]] = []
        self.answers = list(answers)

    async def send(self, origin: Origin, head: bytes) -> Answer:
        self.asked.append((origin, head.decode().split("\r\n")[0]))
        return self.answers[len(self.asked) - 1]


def inlined(client: Any, *urls: object, status: int = 200) -> Inlined:
    body = json.dumps({"data": [{"url": url} for url in urls]}).encode()
    return Inlined(Answer(body, status=status), client, OWN, lambda made: made)


def read(client: Client, *urls: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(asyncio.run(inlined(client, *urls).read()))["data"]
    return found


def test_pictures_are_fetched_at_the_vendors_hosts_without_trust():
    client = Client(Answer(b"a", b"b"), Answer(b"c"), Answer(b"d"))
    urls = (
        "https://ideogram.ai/api/images/ephemeral/1.png?exp=1&sig=x",
        "https://img.ideogram.ai/2.png",
        "https://proxy.example/3.png",
    )
    pictures = read(client, *urls, None)
    found = [base64.b64decode(one["b64_json"]) for one in pictures[:3]]
    assert found == [b"ab", b"c", b"d"]
    assert pictures[3] == {"url": None}
    assert [origin.trusted for origin, _ in client.asked] == [False, False, True]
    assert client.asked[0][1] == "GET /api/images/ephemeral/1.png?exp=1&sig=x HTTP/1.1"
    assert all(answer.is_closed for answer in client.answers)


@pytest.mark.parametrize(
    "url",
    [
        "http://ideogram.ai/1.png",
        "https://ideogram.ai.example/1.png",
        "https://ideogram.ai:22/1.png",
        "https://notideogram.ai/1.png",
        "https://169.254.169.254/latest",
        "http://proxy.example/1.png",
        "https://proxy.example:8443/1.png",
        "https://user@ideogram.ai/1.png",
        "https://ideogram.ai/a b",
        "file:///etc/passwd",
        "https://[",
    ],
)
def test_nothing_is_fetched_elsewhere(url: str):
    client = Client()
    assert read(client, url) == [{"url": url}]
    assert client.asked == []


def test_what_cannot_be_had_keeps_its_address(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ideogram_pictures, "PICTURES_BYTES_MAX", 5)
    client = Client(
        Answer(b"moved", status=302),
        Answer(b"a", error=ConnectionCut("cut", sent=True)),
        Answer(b""),
        Answer(b"abc"),
        Answer(b"abc"),
        Answer(b"ab"),
    )
    url = "https://ideogram.ai/1.png"
    had = ["b64_json" in one for one in read(client, *[url] * 6)]
    assert had == [False, False, False, True, False, True]


def test_nothing_is_fetched_for_a_caller_who_left_or_was_refused():
    client = Client()
    answer = inlined(client, "https://ideogram.ai/1.png")
    answer.close()
    asyncio.run(answer.read())
    asyncio.run(inlined(client, "https://ideogram.ai/1.png", status=400).read())
    assert client.asked == []


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data":1}', b'{"data":[1]}'])
def test_what_is_no_answer_stays_as_it_is(body: bytes):
    client: Any = Client()
    assert asyncio.run(Inlined(Answer(body), client, OWN, lambda made: made).read()) == body
