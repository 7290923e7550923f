"""What every kind of provider is sent, and what of its answers reaches the caller.

One hub with all of them, and one upstream that answers in each vendor's own shape, as the
pages named in `fixtures/` described it.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.caller import Reply, post
from tests.contract import aws
from tests.contract.scripted import Answer, Scripted, scripted
from tests.contract.shapes import (
    ARGUMENTS,
    SHAPES,
    TEXT,
    TOOL,
    UNASKED,
    Converse,
    Json,
    Shape,
    refused,
)
from tests.hub import HubProcess

from aigne_hub.providers.vendors import VENDORS

SECRET = "sk-contract"
RATES = {"input": "1000", "output": "2000", "cache_read": "100", "cache_write": "1250"}
FIXTURES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "fixtures").glob("*.json"))
}
USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


@dataclass(frozen=True)
class Case:
    """One vendor in one of its formats."""

    name: str
    vendor: Json
    served: Json

    @property
    def shape(self) -> Shape:
        return SHAPES[self.served["language"]](self.vendor)

    @property
    def answers(self) -> Shape | Converse:
        """Return what answers: a shape that no caller asks in, too."""
        return {**SHAPES, **UNASKED}[self.served["language"]](self.vendor)

    @property
    def model(self) -> str:
        return self.served.get("model") or str(self.vendor.get("model", "m"))

    def path(self, *, stream: bool) -> str:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        raw = "streamRawPredict" if stream else "rawPredict"
        action = "invoke-with-response-stream" if stream else "invoke"
        if self.served["language"] == "bedrock-converse":
            action = "converse-stream" if stream else "converse"
        path = str(self.served["path"]).format(
            method=method, raw=raw, action=action, model=self.model
        )
        return f"/{self.name}{path}"


CASES = [
    Case(name, vendor, served) for name, vendor in FIXTURES.items() for served in vendor["serves"]
]
every = pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.served["language"] in SHAPES],
    ids=lambda case: f"{case.name}-{case.served['language']}",
)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(scope="module")
def upstream() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


@contextmanager
def started(folder: Path, upstream: Scripted) -> Iterator[HubProcess]:
    """Run a hub with every vendor, and see that its books are in order at the end."""
    providers = []
    for name, vendor in FIXTURES.items():
        provider = {
            "name": name,
            "kind": vendor["kind"],
            "base_url": f"{upstream.url}/{name}{vendor['mount']}",
        }
        if not vendor.get("keyless"):
            provider["credentials"] = [{"name": "main", "api_key": SECRET}]
        providers.append(provider)
    models = {
        f"{case.name}/{case.model}": {
            "model": f"{case.name}/{case.model}",
            "type": "chat",
            "rates": RATES,
            "max_output_tokens": 100,
        }
        for case in CASES
    }
    picture = {"model": "ideogram/v3", "type": "image", "rates": {"image": "0.06"}}
    config = {
        "providers": providers,
        "models": [*models.values(), picture],
        "billing": {"enabled": True},
    }
    with HubProcess(folder, config) as running:
        running.grant("100000")
        yield running
        assert running.balance()["held"] == "0"
        running.verified()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: Scripted) -> Iterator[HubProcess]:
    with started(tmp_path_factory.mktemp("contract"), upstream) as running:
        yield running


def sent(
    hub: HubProcess, upstream: Scripted, case: Case, answer: Answer, *, stream: bool, **more: Any
) -> Reply:
    upstream.answer = answer
    upstream.seen.clear()
    path, body = case.shape.request(f"{case.name}/{case.model}", stream=stream, **more)
    return post(hub, path, json.dumps(body).encode())


def last(hub: HubProcess) -> dict[str, Any]:
    return hub.calls(limit=1)[0]


def test_every_kind_has_a_vendor_here():
    assert {vendor.kind for vendor in VENDORS} == {vendor["kind"] for vendor in FIXTURES.values()}


@every
@streamed
def test_text(hub: HubProcess, upstream: Scripted, case: Case, stream: bool):
    reply = sent(hub, upstream, case, case.shape.answer(stream=stream), stream=stream)
    assert reply.status == 200
    if stream:
        assert case.shape.streamed_text(reply.events) == TEXT
    else:
        assert case.shape.text(reply.json) == TEXT
    (seen,) = upstream.seen
    assert seen.path == case.path(stream=stream)
    if case.served["key"] is None:
        assert "authorization" not in seen.headers
        assert "x-api-key" not in seen.headers
    else:
        name, value = case.served["key"]
        assert seen.headers[name] == value
    assert hub.key not in str(seen)


@every
@streamed
def test_usage(hub: HubProcess, upstream: Scripted, case: Case, stream: bool):
    sent(hub, upstream, case, case.shape.answer(stream=stream), stream=stream)
    call = last(hub)
    assert (call["outcome"], call["usage_source"]) == ("completed", "provider")
    expected = dict.fromkeys(USAGE, 0) | (case.served.get("expected") or case.shape.expected)
    assert {name: call[name] for name in USAGE} == expected
    if case.served["language"] == "openai" and stream:
        asked = "stream_options" in upstream.seen[0].json
        assert asked is case.vendor.get("takes_stream_options", True)


@every
@streamed
def test_tools(hub: HubProcess, upstream: Scripted, case: Case, stream: bool):
    shape = case.shape
    answer = shape.answer(stream=stream, calls=True)
    reply = sent(hub, upstream, case, answer, stream=stream, **shape.tooled())
    called = shape.streamed_call(reply.events) if stream else shape.called(reply.json)
    assert called == (TOOL, ARGUMENTS)
    assert upstream.seen[0].json["tools"] == shape.tooled()["tools"]


@every
def test_image_in(hub: HubProcess, upstream: Scripted, case: Case):
    pictured = case.shape.pictured()
    reply = sent(hub, upstream, case, case.shape.answer(stream=False), stream=False, **pictured)
    assert reply.status == 200
    ((member, value),) = pictured.items()
    assert upstream.seen[0].json[member] == value


@every
def test_structured_output(hub: HubProcess, upstream: Scripted, case: Case):
    wanted = case.shape.structured()
    reply = sent(hub, upstream, case, case.shape.answer(stream=False), stream=False, **wanted)
    assert reply.status == 200
    ((member, value),) = wanted.items()
    assert upstream.seen[0].json[member] == value


@every
@streamed
def test_a_refused_request_says_why(hub: HubProcess, upstream: Scripted, case: Case, stream: bool):
    refusal = case.vendor["refusal"]
    answer = refused(refusal["status"], refusal["body"])
    reply = sent(hub, upstream, case, answer, stream=stream)
    assert reply.status == refusal["status"]
    assert refusal["words"] in case.shape.error(reply.json)
    call = last(hub)
    assert call["credits"] == "0"
    assert refusal["words"] not in str(call["error"])


@every
@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (403, {"message": "Content violates usage guidelines.", "code": "permission-denied"}, 400),
        (403, {"message": "Not available in your region.", "code": "permission-denied"}, 502),
        (400, {"message": "User location is not supported for the API use."}, 502),
        (429, {"message": f"{SECRET} is over.", "type": "insufficient_quota"}, 502),
    ],
)
def test_what_an_error_means_is_not_its_status_alone(
    hub: HubProcess, upstream: Scripted, case: Case, status: int, error: dict[str, str], told: int
):
    reply = sent(hub, upstream, case, refused(status, {"error": error}), stream=False)
    assert reply.status == told
    assert (error["message"] in case.shape.error(reply.json)) is (told == 400)
    assert error["message"] not in str(last(hub)["error"])


@every
def test_a_limit_says_how_long(hub: HubProcess, upstream: Scripted, case: Case):
    patience = case.vendor["patience"]
    answer = refused(429, {"error": {"message": "Slow down."}}, **patience["headers"])
    reply = sent(hub, upstream, case, answer, stream=False)
    assert reply.status == 429
    assert reply.headers["retry-after"] == patience["seconds"]


@every
@pytest.mark.parametrize("status", [401, 402, 403])
def test_the_hubs_own_account_is_its_own_trouble(
    hub: HubProcess, upstream: Scripted, case: Case, status: int
):
    answer = refused(status, {"error": {"message": f"{SECRET} has no balance"}})
    reply = sent(hub, upstream, case, answer, stream=False)
    assert reply.status == 502
    assert SECRET.encode() not in reply.body
    assert b"balance" not in reply.body


@every
def test_a_proxys_page_is_an_error_of_the_upstream(hub: HubProcess, upstream: Scripted, case: Case):
    page = Answer((b"<html>502 Bad Gateway</html>",), 502, "text/html")
    for stream in (False, True):
        reply = sent(hub, upstream, case, page, stream=stream)
        assert reply.status == 502
        assert b"html" not in reply.body
    page = Answer((b"<html>Sign in</html>",), 200, "text/html")
    for stream in (False, True):
        reply = sent(hub, upstream, case, page, stream=stream)
        assert reply.status == 502
        assert b"html" not in reply.body


@every
def test_a_stream_that_breaks_off_ends_with_an_error(
    hub: HubProcess, upstream: Scripted, case: Case
):
    answer = case.shape.answer(stream=True, is_cut=True)
    reply = sent(hub, upstream, case, answer, stream=True)
    assert case.shape.streamed_text(reply.events[:-1]).startswith("Hello")
    assert "broke off" in case.shape.error(reply.events[-1])
    call = last(hub)
    assert call["outcome"] != "completed"
    assert call["credits"] != "0"


@every
def test_an_error_in_a_stream_ends_it(hub: HubProcess, upstream: Scripted, case: Case):
    broken = case.vendor.get("broken")
    if broken is None or case.served["language"] != "openai":
        broken = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        said = "Overloaded"
    else:
        said = broken["error"]["message"]
    whole = case.shape.answer(stream=True)
    kept = whole.pieces[: len(whole.pieces) // 2 + 1]
    frame = b"event: error\ndata: %b\n\n" % json.dumps(broken).encode()
    if case.vendor.get("framing") == "aws":
        frame = aws.exception("serviceUnavailableException", said)
    answer = Answer((*kept, frame, *whole.pieces[-1:]), content_type=whole.content_type)
    reply = sent(hub, upstream, case, answer, stream=True)
    # What was read at once with the error never left: then it is the whole answer.
    told = reply.events[-1] if reply.streamed else reply.json
    assert said in case.shape.error(told)
    assert last(hub)["outcome"] != "completed"


def test_ideograms_pictures_in_place_of_their_addresses(hub: HubProcess, upstream: Scripted):
    made = FIXTURES["ideogram"]["answer"]["data"][0]
    places = (
        f"{upstream.url}/pictures/1.png?sig=a%2Bb",
        f"{upstream.url}/pictures/gone.png",
        "https://elsewhere.example/1.png",
        "nowhere",
    )
    answer = {"created": "2026-01-01T00:00:00+00:00"}
    answer["data"] = [{**made, "url": place} for place in places]
    upstream.answer = Answer((json.dumps(answer).encode(),))
    upstream.offered["/pictures/1.png"] = "a picture"
    upstream.seen.clear()
    asked = {"model": "ideogram/v3", "prompt": "a cat", "n": 4, "response_format": "b64_json"}
    reply = post(hub, "/v1/images/generations", json.dumps(asked).encode())
    first, *others = reply.json["data"]
    assert base64.b64decode(first["b64_json"]) == b'"a picture"'
    assert "url" not in first
    assert [one["url"] for one in others] == list(places[1:])
    _, fetched, missing = upstream.seen
    assert (fetched.path, missing.path) == (
        "/pictures/1.png?sig=a%2Bb",
        "/pictures/gone.png",
    )
    assert SECRET not in str(fetched)
    assert (last(hub)["credits"], last(hub)["usage_source"]) == ("0.24", "provider")


def test_ideograms_pictures(hub: HubProcess, upstream: Scripted):
    vendor = FIXTURES["ideogram"]
    asked = {"model": "ideogram/v3", "prompt": "a cat", "n": 2, "size": "1024x1024"}
    body = json.dumps(asked).encode()
    upstream.answer = Answer((json.dumps(vendor["answer"]).encode(),))
    upstream.seen.clear()
    reply = post(hub, "/v1/images/generations", body)
    first, withheld = vendor["answer"]["data"]
    assert [one["url"] for one in reply.json["data"]] == [first["url"], withheld["url"]]
    (seen,) = upstream.seen
    assert seen.path == f"/ideogram{vendor['path']}"
    assert seen.headers["api-key"] == SECRET
    assert seen.headers["content-type"].startswith("multipart/form-data; boundary=")
    for name, value in (("prompt", "a cat"), ("num_images", "2"), ("resolution", "1024x1024")):
        assert f'name="{name}"\r\n\r\n{value}\r\n'.encode() in seen.body
    assert (last(hub)["credits"], last(hub)["usage_source"]) == ("0.12", "provider")
    refusal = vendor["refusal"]
    upstream.answer = refused(refusal["status"], refusal["body"])
    reply = post(hub, "/v1/images/generations", body)
    assert reply.status == refusal["status"]
    assert refusal["words"] in reply.json["error"]["message"]
    assert last(hub)["credits"] == "0"
