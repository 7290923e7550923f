"""Requests that nobody should send, in every format that is translated: refused, never a fault."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.bodies import AIGNE, ANTHROPIC, CHAT, FLAT, GEMINI, RESPONSES, SCHEMA
from tests.hostile import ANY_JSON, BODIES, Path, dumped, nested, put, spoilt, spoilt_often

from aigne_hub.domain.errors import HubError, InvalidRequest, NotFound
from aigne_hub.gateway.dialects import Dialect, EmbeddingForm
from aigne_hub.gateway.dialects.aigne.chat import AigneChat
from aigne_hub.gateway.dialects.aigne.flat import AigneFlat
from aigne_hub.gateway.dialects.anthropic.messages import AnthropicMessages
from aigne_hub.gateway.dialects.gemini.called import Called
from aigne_hub.gateway.dialects.gemini.generate import GeminiGenerate
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat
from aigne_hub.gateway.dialects.responses.create import OpenAIResponses
from aigne_hub.providers.languages import Language, anthropic, converse, gemini, openai
from aigne_hub.providers.profiles import OPENAI

_CALLED = Called("v1beta", "m", "streamGenerateContent", streams=True)
# Every dialect that is translated, and a request with everything in it that its form reads.
DIALECTS: dict[str, tuple[Dialect, dict[str, Any]]] = {
    "openai": (OpenAIChat(), CHAT),
    "responses": (OpenAIResponses(), RESPONSES),
    "anthropic": (AnthropicMessages(), ANTHROPIC),
    "gemini": (GeminiGenerate(_CALLED), GEMINI),
    "aigne": (AigneChat(), AIGNE),
    "aigne-flat": (AigneFlat(), FLAT),
}
LANGUAGES: tuple[Language, ...] = (openai, anthropic, gemini, converse)
every = pytest.mark.parametrize("name", DIALECTS)


def sent(name: str, body: bytes) -> list[HubError]:
    """Ask and translate to every wire as a call does; return why it was refused where it was."""
    dialect, _ = DIALECTS[name]
    form = dialect.form
    assert form is not None
    assert not isinstance(form, EmbeddingForm)
    refused: list[HubError] = []
    try:
        ask = dialect.ask(body)
        request = form.request(dialect.outgoing(ask, "m", "max_tokens", None))
    except (InvalidRequest, NotFound) as error:
        return [error]
    for language in LANGUAGES:
        try:
            orjson.loads(language.outgoing(request, OPENAI).body)
        except InvalidRequest as error:
            refused.append(error)
    return refused


@every
def test_what_is_good_is_sent_to_every_wire_that_has_it(name: str):
    refused = sent(name, dumped(DIALECTS[name][1]))
    assert [str(one) for one in refused] == []


@every
def test_a_request_with_any_member_spoilt_is_refused_or_sent(name: str):
    faults = []
    for done, body in spoilt(DIALECTS[name][1]):
        try:
            sent(name, dumped(body))
        except Exception as error:  # noqa: BLE001 - all of them are told at once
            faults.append(f"{done}: {error!r}"[:200])
    assert faults == []


@every
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_a_request_with_several_members_spoilt_is_refused_or_sent(name: str, data: st.DataObject):
    sent(name, dumped(data.draw(spoilt_often(DIALECTS[name][1]) | ANY_JSON)))


@every
@settings(max_examples=60, derandomize=True)
@given(data=st.data())
def test_a_body_of_any_bytes_is_refused(name: str, data: st.DataObject):
    body = dumped(DIALECTS[name][1])
    at = data.draw(st.integers(0, len(body)))
    more = data.draw(st.binary(min_size=1, max_size=8))
    sent(name, body[:at] + more + body[data.draw(st.integers(0, len(body))) :])
    assert sent(name, body[:at]) if at < len(body) else True


@every
@pytest.mark.parametrize("kind", BODIES)
def test_a_hostile_body_is_refused(name: str, kind: str):
    assert sent(name, BODIES[kind])


@every
def test_a_body_in_which_everything_stands_twice_is_read_once(name: str):
    body = dumped(DIALECTS[name][1])
    assert sent(name, body[:-1] + b"," + body[1:]) == []


WRONG: tuple[tuple[str, Path, Any, str], ...] = (
    ("openai", ("messages", 0, "role"), [], "messages[0].role"),
    ("openai", ("messages", 1, "content", 0, "type"), {}, "messages[1].content[0].type"),
    (
        "openai",
        ("messages", 1, "content", 1, "image_url", "detail"),
        [],
        "messages[1].content[1].image_url.detail",
    ),
    ("openai", ("tools", 0, "type"), ["function"], "tools[0].type"),
    ("responses", ("input", 1, "type"), ["reasoning"], "input[1].type"),
    ("responses", ("input", 0, "role"), {}, "input[0].role"),
    ("responses", ("input", 0, "content", 0, "type"), [], "input[0].content[0].type"),
    ("responses", ("tool_choice", "type"), [], "tool_choice.type"),
    ("anthropic", ("messages", 0, "role"), ["user"], "messages[0].role"),
    ("anthropic", ("system", 0, "type"), [], "system[0].type"),
    (
        "anthropic",
        ("messages", 0, "content", 2, "citations"),
        True,
        "messages[0].content[2].citations",
    ),
    ("anthropic", ("tools", 1, "type"), {}, "tools[1].type"),
    ("anthropic", ("thinking", "type"), [], "thinking.type"),
    ("gemini", ("generationConfig", "topK"), -1e300, "generationConfig.topK"),
    ("gemini", ("generationConfig", "seed"), 2**70, "generationConfig.seed"),
    ("aigne", ("input", "messages", 0, "role"), [], "input.messages[0].role"),
)


@pytest.mark.parametrize(
    ("name", "at", "value", "param"), WRONG, ids=[f"{one[0]}-{one[3]}" for one in WRONG]
)
def test_a_member_of_the_wrong_kind_is_named(name: str, at: Path, value: Any, param: str):
    refused = sent(name, dumped(put(DIALECTS[name][1], at, value)))
    assert [error.param for error in refused] == [param] * len(refused)
    assert refused


TOO_DEEP: tuple[tuple[str, Path], ...] = (
    ("openai", ("tools", 0, "function", "parameters", "not")),
    ("anthropic", ("messages", 1, "content", 2, "input", "city")),
    ("gemini", ("contents", 1, "parts", 2, "functionCall", "args", "city")),
    ("gemini", ("contents", 2, "parts", 0, "functionResponse", "response", "output")),
    ("aigne", ("input", "messages", 2, "toolCalls", 0, "function", "arguments", "city")),
    ("aigne-flat", ("stop",)),
)


@pytest.mark.parametrize(
    ("name", "at"), TOO_DEEP, ids=[f"{one[0]}-{one[1][-1]}" for one in TOO_DEEP]
)
def test_what_is_nested_deeper_than_can_be_written_is_refused(name: str, at: Path):
    good = put(DIALECTS[name][1], at[:-1], {**_at(DIALECTS[name][1], at[:-1]), at[-1]: nested(300)})
    refused = sent(name, dumped(good))
    assert refused
    assert all("nested too deeply" in str(error) for error in refused)


def test_a_schema_that_requires_no_list_is_not_closed():
    strict = {**SCHEMA, "required": 5}
    refused = sent("anthropic", dumped(put(ANTHROPIC, ("tools", 0, "input_schema"), strict)))
    assert refused == []


def test_a_signature_that_is_no_ascii_is_a_signature():
    at = ("contents", 1, "parts", 2, "thoughtSignature")
    assert sent("gemini", dumped(put(GEMINI, at, "é"))) == []


def _at(value: Any, at: Path) -> Any:
    for key in at:
        value = value[key]
    return value
