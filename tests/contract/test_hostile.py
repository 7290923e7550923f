"""Requests and answers that nobody should send, through a hub: every format, every wire.

What no reader or writer may do is in tests/unit/test_hostile_*; here is what the caller gets.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.books import Books
from tests.caller import Reply, post
from tests.contract.callers import CALLERS
from tests.contract.scripted import SSE_TYPE, Answer, Scripted, scripted
from tests.contract.test_translations import SAID, WIRES
from tests.contract.wires import running
from tests.hostile import BODIES
from tests.hub import HubProcess

PIECE = 1024 * 1024
LINE_BYTES = 50 * PIECE
WORD = "H\N{LATIN SMALL LETTER E WITH ACUTE}llo"
every = pytest.mark.parametrize("wire", WIRES)
each = pytest.mark.parametrize("caller", CALLERS)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: Scripted) -> Iterator[HubProcess]:
    with running(tmp_path_factory.mktemp("hostile"), upstream) as hub:
        yield hub


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


def ask(hub: HubProcess, caller: str, wire: str, *, stream: bool) -> Reply:
    path, body = CALLERS[caller].ask(f"{wire}/m", stream=stream)
    return post(hub, path, json.dumps(body).encode())


@each
@every
def test_a_hostile_request_is_the_callers_mistake(
    hub: HubProcess, upstream: Scripted, caller: str, wire: str
):
    upstream.answer = WIRES[wire].answer(stream=False)
    path, body = CALLERS[caller].ask(f"{wire}/m", stream=False)
    good = json.dumps(body).encode()
    spoilt = {
        **BODIES,
        "a message of the wrong kind": good.replace(b'[{"role"', b'[[{"role"', 1).replace(
            b"}]", b"}]]", 1
        ),
        "cut off": good[:-2],
        "a byte order mark before it": b"\xef\xbb\xbf" + good,
        "no UTF-8 in it": good.replace(b"How is it?", b"\xff\xfe"),
        "a lone surrogate in it": good.replace(b"How is it?", b"\\ud800"),
    }
    for kind, sent in spoilt.items():
        reply = post(hub, path, sent)
        assert reply.status == 400 or (kind in PASSED and reply.status == 200), (kind, reply.body)
        if reply.status != 200:
            assert CALLERS[caller].error(reply), kind
    assert reply.headers["content-type"].startswith("application/json")


# What is relayed and not read to its end: its provider has to refuse it.
PASSED = {"a message of the wrong kind", "no UTF-8 in it", "a number without end"}
# What is relayed, and found good without being read to its end.
RELAYED = {
    ("chat", "plain", "no UTF-8"),
    ("messages", "anthropic", "no UTF-8"),
    ("chat", "plain", "another wire's"),
    ("messages", "anthropic", "another wire's"),
    ("gemini", "google", "another wire's"),
}
ANSWERS = {
    "empty": (b"",),
    "no JSON": (b"{",),
    "a list": (b"[1]",),
    "no UTF-8": (b'{"choices": "\xff", "content": "\xff", "candidates": "\xff"}',),
    "nested without end": (b'{"choices":' * 100_000,),
    "a lone surrogate": (b'{"choices":["\\ud800"],"content":["\\ud800"]}',),
    "another wire's": (b'{"output": "hello"}',),
}


@each
@every
def test_a_hostile_answer_is_an_error_of_the_upstream(
    hub: HubProcess, books: Books, upstream: Scripted, caller: str, wire: str
):
    for kind, pieces in ANSWERS.items():
        upstream.answer = Answer(pieces)
        reply = ask(hub, caller, wire, stream=False)
        if (caller, wire, kind) in RELAYED:
            continue
        assert reply.status == 502, (kind, reply.body)
        assert CALLERS[caller].error(reply), kind
        upstream.answer = Answer((b"data: ", *pieces, b"\n\n"), content_type=SSE_TYPE)
        reply = ask(hub, caller, wire, stream=True)
        assert reply.status == 502 or reply.streamed, (kind, reply.body)
        assert books.call(reply.call_id)["outcome"] == "upstream_failed", kind


@each
@every
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_a_stream_that_comes_byte_by_byte(
    hub: HubProcess, books: Books, upstream: Scripted, caller: str, wire: str, end: bytes
):
    data = b"".join(WIRES[wire].answer(stream=True).pieces).replace(b"\n", end)
    data = data.replace(b"Hello", WORD.encode())
    pieces = tuple(data[at : at + 1] for at in range(len(data)))
    upstream.answer = Answer(pieces, content_type=SSE_TYPE)
    reply = ask(hub, caller, wire, stream=True)
    assert reply.status == 200
    call = books.call(reply.call_id)
    assert (call["outcome"], call["usage_source"]) == ("completed", "provider")
    assert WORD.encode() in reply.body


@pytest.mark.parametrize(
    ("caller", "wire"), [("chat", "plain"), ("messages", "google"), ("aigne", "anthropic")]
)
def test_a_line_without_end(
    hub: HubProcess, books: Books, upstream: Scripted, caller: str, wire: str
):
    pieces = (b"data: " + b"x" * PIECE, *((b"x" * PIECE,) * (LINE_BYTES // PIECE)))
    upstream.answer = Answer(pieces, content_type=SSE_TYPE)
    reply = ask(hub, caller, wire, stream=True)
    assert len(reply.body) < PIECE
    assert CALLERS[caller].error(reply)
    assert books.call(reply.call_id)["outcome"] == "upstream_failed"
    assert ask_well(hub, upstream, caller, wire) == SAID


def ask_well(hub: HubProcess, upstream: Scripted, caller: str, wire: str) -> str:
    upstream.answer = WIRES[wire].answer(stream=True)
    text: Any = CALLERS[caller].text(ask(hub, caller, wire, stream=True))
    return str(text)
