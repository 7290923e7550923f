"""What vendors' errors mean, by their real shapes: for the caller, the record and the health."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.errors import HubError, RateLimited, UpstreamError
from aigne_hub.domain.faults import Fault
from aigne_hub.gateway.clean_words import without_keys
from aigne_hub.gateway.dialects.responses.response import failure_of
from aigne_hub.gateway.patience import RETRY_AFTER_MAX_S
from aigne_hub.gateway.verdicts import refused, without_words
from aigne_hub.providers.complaints import reported

SECRET = "in-house-secret-0123456789"
PROMPT = "my unspeakable prompt"
GOLDEN = Path(__file__).parent.parent / "golden" / "refusals"
VENDORS = {path.stem: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}


class Answer:
    """An upstream's answer that is all there."""

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status = status
        self._body = body
        self._headers = {name.encode(): value.encode("latin-1") for name, value in headers.items()}

    def header(self, name: bytes) -> bytes | None:
        return self._headers.get(name)

    async def read(self) -> bytes:
        return self._body


class Case(NamedTuple):
    vendor: str
    said: dict[str, Any]


def cases(kind: str) -> list[Any]:
    return [
        pytest.param(Case(vendor, said), id=f"{vendor}: {said['name']}")
        for vendor, golden in VENDORS.items()
        for said in golden[kind]
    ]


def verdict(status: int, body: object, headers: dict[str, str], secret: str = SECRET) -> HubError:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return asyncio.run(refused(Answer(status, data, headers), secret))  # type: ignore[arg-type] # all of an Answer that is asked


def words_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from words_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from words_in(one)


def spoilt(value: Any) -> Any:
    """Return an error in which every sentence quotes the prompt and repeats the key."""
    if isinstance(value, str):
        return f"{value} {PROMPT} {SECRET}" if " " in value else value
    if isinstance(value, dict):
        return {name: spoilt(one) for name, one in value.items()}
    return [spoilt(one) for one in value] if isinstance(value, list) else value


def test_the_corpus_has_every_vendor_and_names_its_source():
    assert sum(len(golden["answers"]) for golden in VENDORS.values()) >= 180
    for golden in VENDORS.values():
        assert golden["source"].startswith("https://")
        for kind in ("answers", "in_band"):
            names = {said["name"] for said in golden[kind]}
            assert len(names) == len(golden[kind])


@pytest.mark.parametrize("case", cases("answers"))
def test_an_answer_means_what_its_vendor_says(case: Case):
    said = case.said
    error = verdict(said["status"], said["body"], said["headers"])
    assert error.fault == (said["fault"] and Fault(said["fault"]))
    assert [error.status, error.code] == said["told"]
    assert error.patience_s == said["patience"]
    if isinstance(error, RateLimited):
        assert error.retry_after_s == max(said["patience"], 1)
    if type(error) is UpstreamError:
        assert not [one for one in words_in(said["body"]) if " " in one and one in error.message]


@pytest.mark.parametrize("case", cases("answers"))
def test_neither_prompt_nor_key_is_recorded(case: Case):
    said = case.said
    error = verdict(said["status"], spoilt(said["body"]), said["headers"])
    assert PROMPT not in error.recorded
    assert SECRET not in error.recorded + error.message + str(error.param)
    assert not [one for one in words_in(said["body"]) if " " in one and one in error.recorded]


@pytest.mark.parametrize("case", cases("in_band"))
def test_an_error_inside_an_answer_means_the_same(case: Case):
    error = reported(case.said["error"], case.said["called"])
    assert error.fault == (case.said["fault"] and Fault(case.said["fault"]))
    assert (error.status, error.code) == (502, "upstream_error")
    assert error.is_overload == (case.said["fault"] in {"overloaded", "throttled"})


@pytest.mark.parametrize("case", cases("in_band"))
def test_responses_tell_a_limit_as_one(case: Case):
    error = failure_of(case.said["error"])
    assert isinstance(error, RateLimited) == (error.fault is Fault.THROTTLED)


MEMBERS = (
    *("error", "message", "type", "code", "status", "param", "details", "detail"),
    *("metadata", "innererror", "reason", "retryDelay", "limit_source"),
)
HEADER_NAMES = (
    *("retry-after", "retry-after-ms", "date", "x-amzn-errortype", "x-ratelimit-remaining"),
    *("x-ratelimit-reset", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(SECRET),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(MEMBERS) | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
HEADERS = st.dictionaries(
    st.sampled_from(HEADER_NAMES),
    st.text(st.characters(max_codepoint=255), max_size=30)
    | st.sampled_from(["0", "9" * 15, "1e9", "6m0s", "999999999h", "2026-11-26T03:00:40", SECRET]),
)


@given(
    st.sampled_from([204, 302, *range(400, 430), 451, 498, 500, 502, 503, 504, 524, 529]),
    st.binary(max_size=80) | ANYTHING.map(lambda value: json.dumps(value).encode()),
    HEADERS,
)
def test_nothing_an_upstream_says_raises_or_shows_the_key(status: int, body: bytes, headers: Any):
    error = asyncio.run(refused(Answer(status, body, headers), SECRET))  # type: ignore[arg-type] # all of an Answer that is asked
    assert error.message
    assert SECRET not in error.message + error.recorded + str(error.param)
    assert 0 <= error.patience_s <= RETRY_AFTER_MAX_S
    assert error.status in {400, 404, 413, 422, 429, 502, 504}


@given(ANYTHING, st.text(max_size=20))
def test_nothing_inside_an_answer_raises_or_shows_the_key(error: Any, name: str):
    failure = without_words(reported(error, name), SECRET)
    assert SECRET not in failure.message + failure.recorded
    assert 0 <= failure.patience_s <= RETRY_AFTER_MAX_S


def test_a_body_nested_deeper_than_can_be_written_is_no_defect():
    for depth in (200, 300, 900, 2_000):
        deep = '{"error":{"message":' + "[" * depth + "]" * depth + "}}"
        assert verdict(400, deep, {}).status == 400


@pytest.mark.parametrize("length", range(8, len(SECRET) + 1))
def test_a_key_that_was_cut_at_the_end_of_a_message_is_not_shown(length: int):
    assert without_keys(f"no {SECRET[:length]}", SECRET) == "no [key]"


def test_the_parts_of_a_credential_that_is_json_are_not_shown():
    pair = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPx"}
    shown = without_keys(f"Signed with {pair['secret_access_key']}.", json.dumps(pair))
    assert shown == "Signed with [key]."
    assert without_keys("{odd", "{odd") == "{odd"
    assert without_keys("x {not json}", "{not json}") == "x [key]"
