"""Models of every wire in the formats of callers that their providers do not speak."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.caller import Reply, post
from tests.contract.scripted import Scripted, scripted
from tests.contract.shapes import ARGUMENTS, SHAPES, TEXT, TOOL, refused
from tests.contract.test_providers import CASES, Case, started
from tests.hub import HubProcess

from aigne_hub.providers.profiles import languages_of

# One of each wire: their providers speak one format each, or it is their model that does.
WIRES = ("anthropic", "bedrock", "cohere", "google", "vertex")
PAIRS = [
    (case, language)
    for case in CASES
    if case.name in WIRES
    for language in SHAPES
    if language not in languages_of(case.vendor["kind"], case.model)
]
every = pytest.mark.parametrize(
    ("case", "language"),
    PAIRS,
    ids=lambda one: one if isinstance(one, str) else f"{one.name}-{one.served['language']}",
)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def upstream() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: Scripted) -> Iterator[HubProcess]:
    with started(tmp_path_factory.mktemp("formats"), upstream) as running:
        yield running


def asked(hub: HubProcess, case: Case, language: str, *, stream: bool, **more: Any) -> Reply:
    shape = SHAPES[language](case.vendor)
    path, body = shape.request(f"{case.name}/{case.model}", stream=stream, **more)
    return post(hub, path, json.dumps(body).encode())


@every
@streamed
def test_text_and_usage(
    hub: HubProcess, upstream: Scripted, case: Case, language: str, stream: bool
):
    upstream.answer = case.answers.answer(stream=stream)
    upstream.seen.clear()
    reply = asked(hub, case, language, stream=stream)
    assert reply.status == 200, reply.body
    shape = SHAPES[language](case.vendor)
    said = shape.streamed_text(reply.events) if stream else shape.text(reply.json)
    assert said == TEXT
    (seen,) = upstream.seen
    assert seen.path == case.path(stream=stream)
    call = hub.calls(limit=1)[0]
    assert (call["outcome"], call["usage_source"]) == ("completed", "provider")
    expected = case.served.get("expected") or case.answers.expected
    assert {name: call[name] for name in expected} == expected


@every
@streamed
def test_tools(hub: HubProcess, upstream: Scripted, case: Case, language: str, stream: bool):
    upstream.answer = case.answers.answer(stream=stream, calls=True)
    shape = SHAPES[language](case.vendor)
    reply = asked(hub, case, language, stream=stream, **shape.tooled())
    called = shape.streamed_call(reply.events) if stream else shape.called(reply.json)
    assert called == (TOOL, ARGUMENTS)


@every
def test_a_refused_request_says_why(hub: HubProcess, upstream: Scripted, case: Case, language: str):
    refusal = case.vendor["refusal"]
    upstream.answer = refused(refusal["status"], refusal["body"])
    reply = asked(hub, case, language, stream=False)
    assert reply.status == refusal["status"]
    assert refusal["words"] in SHAPES[language](case.vendor).error(reply.json)


@every
def test_a_stream_that_breaks_off_ends_with_an_error(
    hub: HubProcess, upstream: Scripted, case: Case, language: str
):
    upstream.answer = case.answers.answer(stream=True, is_cut=True)
    reply = asked(hub, case, language, stream=True)
    assert "broke off" in SHAPES[language](case.vendor).error(reply.events[-1])
    assert hub.calls(limit=1)[0]["outcome"] != "completed"
