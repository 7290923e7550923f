"""A caller of another format who leaves a stream, or whose stream breaks: what is charged.

What Anthropic and Gemini tell of caches before an answer ends counts, as it does for callers of
their own formats (test_charging_anthropic.py, test_charging_gemini.py).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.books import Books, nano
from tests.caller import PROMPT, begun, chat, post
from tests.faults.settled import assert_settled
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.domain.pricing import BLOCK

RATES = {"input": "3.000001", "output": "15.000007", "cache_read": "0.300003"}
GRANTED = nano("1000")
INPUT_COUNTED = -(-len(PROMPT) // 4)
LONG = 400
MIDWAY = [
    f"anthropic/claude-slow:20+long:{LONG}+cached:90",
    f"google/gemini-slow:20+long:{LONG}+cached:90",
]
BROKEN = [
    "anthropic/claude-slow:5+long:40+cached:90+cut:9",
    "google/gemini-slow:5+long:40+cached:90+cut:9",
]
# Its last event tells nothing of usage, so what it told at its start is not all.
SILENT_END = "anthropic/claude-long:40+nousage"
SILENT = ["openai/gpt-long:40+nousage", "google/gemini-long:40+nousage"]


@dataclass(frozen=True, slots=True)
class Site:
    hub: HubProcess
    books: Books


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Site]:
    names = [*MIDWAY, *BROKEN, SILENT_END, *SILENT]
    models = [
        {"model": name, "type": "chat", "rates": RATES, "max_output_tokens": 100_000}
        for name in names
    ]
    key = [{"name": "main", "api_key": "sk-ant-good"}]
    providers = [
        {"name": name, "base_url": upstream.base_url, "credentials": key}
        for name in ("anthropic", "google", "openai")
    ]
    config = {
        "providers": providers,
        "models": models,
        "billing": {"enabled": True},
        "limits": {"stream_idle_s": 5, "upstream_first_byte_s": 5},
    }
    with HubProcess(tmp_path_factory.mktemp("translated"), config) as hub, Books(hub) as books:
        yield Site(hub, books)
        assert_settled(hub)


def asking(model: str) -> bytes:
    return json.dumps(chat(model, stream=True, max_tokens=1_000)).encode()


def responding(model: str) -> bytes:
    return json.dumps({"model": model, "input": PROMPT, "stream": True}).encode()


def cost(fresh: int, output: int, read: int) -> int:
    """Return what buckets cost at RATES, in integers alone."""
    amounts = {"input": fresh, "output": output, "cache_read": read}
    whole, rest = divmod(sum(nano(RATES[name]) * n for name, n in amounts.items()), BLOCK)
    return whole + (2 * rest >= BLOCK)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/chat/completions", asking), ("/v1/responses", responding)],
    ids=["chat", "responses"],
)
@pytest.mark.parametrize("model", MIDWAY)
def test_a_caller_who_leaves_pays_what_was_read_from_a_cache_as_that(
    site: Site, upstream: FakeUpstream, model: str, path: str, body: Any
):
    customer = site.books.customer(GRANTED)
    upstream.reset()
    got = b""
    with begun(site.hub, path, body(model), key=customer.key) as answer:
        while b"w5 " not in got:
            got += answer.readline()
    upstream.log_when(lambda log: bool(log) and log[0]["client_gone"])
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    assert call["usage_source"] == "provider"
    assert (call["input_tokens"], call["cache_read_tokens"]) == (4, 90)
    delivered = -(-len("w0 w1 w2 w3 w4 w5 ") // 4)
    assert delivered <= call["output_tokens"] < LONG
    assert nano(call["credits"]) == cost(4, call["output_tokens"], 90)
    assert customer.held == 0


@pytest.mark.parametrize("model", BROKEN)
def test_what_was_delivered_before_a_stream_broke_is_counted(site: Site, model: str):
    customer = site.books.customer(GRANTED)
    with begun(site.hub, "/v1/chat/completions", asking(model), key=customer.key) as answer:
        answer.read()
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("failed", "upstream_failed")
    assert call["usage_source"] == "counted"
    assert (call["input_tokens"], call["cache_read_tokens"]) == (INPUT_COUNTED, 0)
    assert 0 < call["output_tokens"] < 40
    assert nano(call["credits"]) == cost(INPUT_COUNTED, call["output_tokens"], 0)


def test_an_end_that_tells_nothing_does_not_make_an_answer_free(site: Site):
    customer = site.books.customer(GRANTED)
    body = asking(SILENT_END)
    with begun(site.hub, "/v1/chat/completions", body, key=customer.key) as answer:
        text = answer.read()
    assert b"[DONE]" in text
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "completed")
    produced = sum(len(f"w{number} ") for number in range(40))
    assert 4 * call["output_tokens"] >= produced - 4
    assert nano(call["credits"]) == cost(call["input_tokens"], call["output_tokens"], 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", SILENT)
def test_a_message_tells_what_was_counted_where_its_provider_tells_nothing(
    site: Site, model: str, stream: bool
):
    customer = site.books.customer(GRANTED)
    headers = {"Idempotency-Key": f"{model} {stream}"}
    body = json.dumps(chat(model, stream=stream, max_tokens=1_000)).encode()
    reply = post(site.hub, "/v1/messages", body, key=customer.key, headers=headers)
    usage = reply.events[-2]["usage"] if stream else reply.json["usage"]
    call = customer.call()
    assert call["usage_source"] == "counted"
    assert usage["input_tokens"] == call["input_tokens"] == INPUT_COUNTED
    assert usage["output_tokens"] == call["output_tokens"] > 30
    again = post(site.hub, "/v1/messages", body, key=customer.key, headers=headers)
    assert again.body == reply.body
