"""Providers' reports of usage, in their real shapes, as the hub's buckets.

tests/golden/usage has a file a provider: the page its shapes were taken from and when, and calls
with their whole answer, their stream, or both. What is expected was written by hand.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from genai_prices.data import providers

from aigne_hub.domain.usage import BUCKETS, REFINEMENTS, Report, Usage
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat
from aigne_hub.gateway.dialects.openai.stream import OpenAIStreamMeter
from aigne_hub.providers.usage import WIRES, Wire
from aigne_hub.providers.usage.stream import UsageStream

FOLDER = Path(__file__).parents[1] / "golden" / "usage"
PAYLOADS_MIN = 400
READERS = {provider.id: provider for provider in providers}
CHAT = {"openai", "perplexity", "google-compatible"}


@dataclass(frozen=True)
class Call:
    provider: str
    wire: Wire
    oracle: list[str] | None
    facts: dict[str, Any]

    @property
    def expected(self) -> Report:
        usage = self.facts.get("usage")
        return Report(
            None if usage is None else Usage(**usage),
            self.facts.get("refused"),
            tuple(self.facts.get("unread", ())),
        )


def _calls() -> dict[str, Call]:
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        file = json.loads(path.read_text(encoding="utf-8"))
        assert file["provider"] == path.stem
        assert file["source"].startswith("https://")
        assert file["checked"] == "2026-11"
        for facts in file["calls"]:
            name = f"{path.stem}: {facts['name']}"
            assert name not in found
            oracle = file.get("oracle") if facts.get("oracle", True) else None
            wire = WIRES[facts.get("wire", file["wire"])]
            found[name] = Call(path.stem, wire, oracle, facts)
    return found


CALLS = _calls()
WHOLE = {name: call for name, call in CALLS.items() if "whole" in call.facts}
STREAMS = {name: call for name, call in CALLS.items() if "stream" in call.facts}


def sse(events: list[Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def test_the_corpus_is_as_large_as_it_is_said_to_be():
    assert len(WHOLE) + len(STREAMS) >= PAYLOADS_MIN
    assert {call.wire.name for call in CALLS.values()} == set(WIRES)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_read(name: str):
    call = WHOLE[name]
    assert call.wire.read(call.facts["whole"]) == call.expected


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says_what_the_whole_answer_would(name: str):
    call = STREAMS[name]
    stream = UsageStream(call.wire)
    for event in call.facts["stream"]:
        stream.add(event)
    assert stream.report == call.expected


@pytest.mark.parametrize("name", CALLS)
def test_buckets_are_disjoint_and_add_up_to_the_providers_own_total(name: str):
    usage, facts = CALLS[name].expected.usage, CALLS[name].facts
    if usage is None:
        return
    assert usage.checked() is usage
    within = dict.fromkeys(BUCKETS, 0)
    for part, bucket in REFINEMENTS.items():
        within[bucket] += getattr(usage, part)
    assert all(within[bucket] <= getattr(usage, bucket) for bucket in BUCKETS)
    if "total" in facts:
        assert sum(getattr(usage, bucket) for bucket in BUCKETS) == facts["total"]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, call in WHOLE.items()
        if call.wire.name in CHAT and call.facts["whole"].get("object") == "chat.completion"
    ],
)
def test_the_chat_dialect_reads_the_same_however_it_arrives(name: str):
    call = WHOLE[name]
    dialect = OpenAIChat()
    ask = dialect.ask(b'{"model":"m","messages":[]}')
    body = json.dumps(call.facts["whole"]).encode()
    assert dialect.usage(ask, body, call.wire) == call.expected
    if "stream" in call.facts:
        assert metered(call) == call.expected


def metered(call: Call) -> Report:
    meter = OpenAIStreamMeter(call.wire, shows_usage=False)
    data = sse(call.facts["stream"]) + b"data: [DONE]\n\n"
    for start in range(0, len(data), 97):
        meter.feed(data[start : start + 97])
    meter.end()
    assert meter.complete
    return meter.report


@pytest.mark.parametrize(
    "name", [name for name, call in WHOLE.items() if call.oracle and call.expected.usage]
)
def test_another_reader_of_the_same_answer_agrees(name: str):
    """The prices' package reads usage too; where it knows a figure, it says the same."""
    call = WHOLE[name]
    assert call.oracle is not None
    usage = call.expected.usage
    assert usage is not None
    provider, flavor = call.oracle
    _, theirs = READERS[provider].extract_usage(
        {"model": "m", **call.facts["whole"]}, api_flavor=flavor
    )
    assert (theirs.input_tokens or 0) == usage.context_tokens
    assert (theirs.output_tokens or 0) == usage.output_tokens
    assert (theirs.cache_read_tokens or 0) == usage.cache_read_tokens
    assert (theirs.cache_write_tokens or 0) == usage.cache_write_tokens
