"""Bedrock: where calls go, how they are signed, and the events of Claude's stream."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract import aws

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.crypto import sigv4
from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.faults import Fault
from aigne_hub.providers.bedrock import Events
from aigne_hub.providers.bedrock_runtime import AccessKey
from aigne_hub.providers.connecting import connected, misfit
from aigne_hub.providers.profiles import languages_of

BASE = "https://bedrock-runtime.us-east-1.amazonaws.com"
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PATH = "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"
# The keys of AWS's own examples.
PAIR = {
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
}
NOW_US = 1_440_938_160_000_000  # 2015-08-30T12:36:00Z


class Clock:
    def now_us(self) -> int:
        return NOW_US

    def monotonic_us(self) -> int:
        return 0


class Answer:
    """What the upstream answers, in pieces."""

    def __init__(self, *pieces: bytes, status: int = 200) -> None:
        self.status = status
        self._pieces = list(pieces)

    def header(self, name: bytes) -> bytes | None:
        return b"application/vnd.amazon.eventstream" if name == b"content-type" else None

    async def read(self) -> bytes:
        return b"".join(self._pieces)

    async def chunk(self) -> bytes | None:
        return self._pieces.pop(0) if self._pieces else None

    async def pour(self, sink: Callable[[bytes], bool]) -> bool:
        return all(sink(piece) for piece in self._pieces)

    def close(self) -> None:
        pass


class Client:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def send(self, _origin: Any, head: bytes, body: bytes) -> Answer:
        self.head = head.decode().split("\r\n")[:-1]
        self.body = json.loads(body)
        return self._answer


def sent(
    body: dict[str, Any],
    answer: Answer | None = None,
    *,
    operation: str = "messages",
    secret: str = "ABSK-key",
    headers: bytes = b"",
    language: str = "anthropic",
    model: str = MODEL,
) -> tuple[Client, Any]:
    client: Any = Client(answer or Answer(b"{}"))
    provider = Provider("id", "p", "bedrock", BASE, trusted=True, credentials=())
    credential = Credential("id", "main", 1, secret=secret)
    upstream = connected(client, provider, credential, language, Clock()).serving(model)
    return client, asyncio.run(upstream.send(operation, json.dumps(body).encode(), headers))


def test_a_model_is_invoked_with_a_key():
    client, _ = sent({"model": "m", "max_tokens": 1, "stream": False})
    assert client.head[0] == f"POST {PATH}/invoke HTTP/1.1"
    assert "authorization: Bearer ABSK-key" in client.head
    assert client.body == {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1}


def test_betas_of_the_call_stand_in_the_body():
    headers = b"anthropic-version: 2023-06-01\r\nAnthropic-Beta: a,b\r\nanthropic-beta: c\r\n"
    client, _ = sent({"model": "m"}, headers=headers)
    assert client.body["anthropic_beta"] == ["a", "b", "c"]
    assert not any(line.lower().startswith("anthropic") for line in client.head)


def test_tokens_are_counted():
    answer = Answer(b'{"inputTokens":42}')
    client, found = sent({"model": "m"}, answer, operation="messages/count_tokens")
    assert client.head[0] == f"POST {PATH}/count-tokens HTTP/1.1"
    given_ = json.loads(base64.b64decode(client.body["input"]["invokeModel"]["body"]))
    assert given_ == {"anthropic_version": "bedrock-2023-05-31"}
    assert asyncio.run(found.read()) == b'{"input_tokens":42}'


@pytest.mark.parametrize(("body", "status"), [(b"<html>", 200), (b"[]", 200), (b'{"a":1}', 400)])
def test_an_answer_that_counts_nothing_stays_as_it_is(body: bytes, status: int):
    answer = Answer(body, status=status)
    _, found = sent({"model": "m"}, answer, operation="messages/count_tokens")
    assert asyncio.run(found.read()) == body


PROFILE = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"
PROFILE_PATH = "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fabc"


@pytest.mark.parametrize(
    ("model", "language"),
    [
        (MODEL, "anthropic"),
        (f"arn:aws:bedrock:us-east-1:1:inference-profile/{MODEL}", "anthropic"),
        ("amazon.nova-lite-v1:0", "bedrock-converse"),
        (PROFILE, "bedrock-converse"),
    ],
)
def test_a_models_name_tells_how_it_is_called(model: str, language: str):
    assert languages_of("bedrock", model) == {language}


@pytest.mark.parametrize("operation", ["converse", "converse-stream"])
def test_other_models_are_called_by_converse_as_it_is(operation: str):
    body = {"messages": [], "stream": True}
    client, answer = sent(
        body, Answer(b"x"), operation=operation, language="bedrock-converse", model=PROFILE
    )
    assert client.head[0] == f"POST /model/{PROFILE_PATH}/{operation} HTTP/1.1"
    assert "authorization: Bearer ABSK-key" in client.head
    assert client.body == body
    assert asyncio.run(answer.read()) == b"x"


def test_a_signature_is_of_the_path_encoded_once_more():
    client, _ = sent(
        {},
        operation="converse",
        language="bedrock-converse",
        model=PROFILE,
        secret=json.dumps(PAIR),
    )
    lines = dict(line.split(": ", 1) for line in client.head[1:])
    signed = {name: lines[name] for name in ("content-type", "host", "x-amz-date")}
    expected = _signature(f"/model/{PROFILE_PATH.replace('%', '%25')}/converse", signed, b"{}")
    assert lines["authorization"].endswith(f"Signature={expected}")


def _signature(canonical_path: str, headers: dict[str, str], body: bytes) -> str:
    """Return a signature written down from AWS's own description, step by step."""
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    digest = hashlib.sha256(body).hexdigest()
    request = f"POST\n{canonical_path}\n\n{lines}\n{';'.join(sorted(headers))}\n{digest}"
    date = headers["x-amz-date"]
    scope = f"{date[:8]}/us-east-1/bedrock/aws4_request"
    hashed = hashlib.sha256(request.encode()).hexdigest()
    key = b"AWS4" + PAIR["secret_access_key"].encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}"
    return hmac.digest(key, text.encode(), "sha256").hex()


# -- the stream -----------------------------------------------------------------------------

EVENTS = [{"type": "message_start", "message": {"text": "é"}}, {"type": "message_stop"}]
STREAM = b"".join(aws.chunk(event) for event in EVENTS)
SAID = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in EVENTS).encode()


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_a_stream_is_anthropics_events_however_it_is_cut(cuts: list[int]):
    points = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(points)]
    client, answer = sent({"model": "m", "stream": True}, Answer(*pieces))
    assert client.head[0] == f"POST {PATH}/invoke-with-response-stream HTTP/1.1"
    assert "stream" not in client.body
    assert answer.header(b"content-type").startswith(b"text/event-stream")
    poured: list[bytes] = []
    assert asyncio.run(answer.pour(lambda data: poured.append(data) is None))
    assert b"".join(poured) == SAID


async def test_a_stream_is_read_piece_by_piece():
    events = Events()
    assert [events.written(bytes([byte])) for byte in STREAM[:-1]][-1] == b""
    assert events.written(STREAM[-1:]).startswith(b"event: message_stop\n")


def test_a_refused_stream_is_the_providers_own_words():
    _, answer = sent({"model": "m", "stream": True}, Answer(b'{"message":"No."}', status=400))
    assert answer.status == 400
    assert answer.header(b"content-type") == b"application/vnd.amazon.eventstream"
    assert asyncio.run(answer.read()) == b'{"message":"No."}'


def told(data: bytes) -> dict[str, Any]:
    lines = Events().written(data).split(b"\n")
    assert lines[0] == b"event: error"
    found: dict[str, Any] = json.loads(lines[1].removeprefix(b"data: "))
    assert found["type"] == "error"
    return found["error"]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("throttlingException", "rate_limit_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("modelTimeoutException", "timeout_error"),
        ("validationException", "invalid_request_error"),
        ("modelStreamErrorException", "api_error"),
        ("newException", "api_error"),
    ],
)
def test_an_exception_in_a_stream_is_an_error(kind: str, said: str):
    assert told(aws.exception(kind, "Slow down.")) == {"type": said, "message": "Slow down."}


def test_an_error_message_in_a_stream_is_an_error():
    headers = {":message-type": "error", ":error-code": "500", ":error-message": "Broken."}
    assert told(aws.message(headers, b""))["message"] == "Broken."


def chunk_of(payload: bytes) -> bytes:
    headers = {":event-type": "chunk", ":message-type": "event"}
    return aws.message(headers, payload)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK",
        chunk_of(b"{"),
        chunk_of(b"{}"),
        chunk_of(b"[]"),
        chunk_of(b'{"bytes":1}'),
        chunk_of(b'{"bytes":"***"}'),
        chunk_of(b'{"bytes":"e30="}'),
        chunk_of(b'{"bytes":"W10="}'),
        aws.message({":message-type": "exception", ":exception-type": "x"}, b"[]"),
    ],
)
def test_a_damaged_stream_ends_with_one_error(data: bytes):
    events = Events()
    written = events.written(STREAM + data)
    assert written.startswith(SAID)
    assert b"is damaged" in written
    assert events.written(STREAM) == b""


def test_other_events_are_passed_over():
    other = aws.message({":event-type": "initial-response", ":message-type": "event"}, b"{}")
    assert Events().written(other) == b""


def test_an_event_of_several_lines_is_one():
    data = base64.b64encode(b'{"type":"ping",\n"a":1}').decode()
    written = Events().written(chunk_of(json.dumps({"bytes": data}).encode()))
    assert written == b'event: ping\ndata: {"type":"ping","a":1}\n\n'


# -- signatures -----------------------------------------------------------------------------


# Of AWS's public suite for signatures: get-vanilla, post-vanilla and post-x-www-form-urlencoded.
@pytest.mark.parametrize(
    ("method", "more", "body", "signature"),
    [
        ("GET", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "POST",
            {"content-type": "application/x-www-form-urlencoded"},
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ],
)
def test_signatures_are_those_of_aws(
    method: str, more: dict[str, str], body: bytes, signature: str
):
    headers = {"host": "example.amazonaws.com", "x-amz-date": sigv4.stamp(NOW_US), **more}
    said = sigv4.authorisation(
        method,
        "/",
        headers,
        body,
        key_id=PAIR["access_key_id"],
        secret=PAIR["secret_access_key"],
        scope=sigv4.Scope("us-east-1", "service"),
    )
    signed = ";".join(sorted(headers))
    assert said == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={signed}, Signature={signature}"
    )


def test_a_pair_of_keys_signs_the_call():
    client, _ = sent({"model": "m"}, secret=json.dumps({**PAIR, "session_token": "t"}))
    (said,) = (line for line in client.head if line.startswith("authorization"))
    assert "Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request" in said
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token" in said
    assert "x-amz-date: 20150830T123600Z" in client.head
    assert "x-amz-security-token: t" in client.head


@pytest.mark.parametrize(
    ("secret", "base_url", "said"),
    [
        ("{}", BASE, "without access_key_id"),
        (json.dumps({"access_key_id": "a"}), BASE, "without access_key_id"),
        (json.dumps(PAIR), "https://bedrock.example.com", "needs a region"),
    ],
)
def test_a_bad_pair_is_found_before_any_call(secret: str, base_url: str, said: str):
    found = misfit("bedrock", base_url, ["ABSK", secret])
    assert found is not None
    assert found[0] == "credentials[1].api_key"
    assert said in found[1]
    assert misfit("bedrock", BASE, [json.dumps(PAIR)]) is None


def test_a_region_is_named_where_the_address_does_not_tell():
    keys = AccessKey.parse(json.dumps({**PAIR, "region": "eu-west-1"}), "bedrock.example.com")
    assert keys.region == "eu-west-1"
    assert PAIR["secret_access_key"] not in repr(keys)
    gov = "bedrock-runtime.us-gov-west-1.amazonaws.com"
    assert AccessKey.parse(json.dumps(PAIR), gov).region == "us-gov-west-1"


def test_a_bad_pair_that_was_stored_fails_its_calls_alone():
    with pytest.raises(UpstreamError, match="own credential is JSON without") as caught:
        sent({"model": "m"}, secret="{}")
    assert caught.value.fault is Fault.REFUSED
