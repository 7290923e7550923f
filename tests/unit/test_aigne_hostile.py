"""Whatever stands where in AIGNE's bodies: it is read, or it is the caller's mistake."""

import copy
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects import Ask, Served
from aigne_hub.gateway.dialects.aigne.chat import AigneChat
from aigne_hub.gateway.dialects.aigne.flat import AigneFlat, AigneFlatEvents
from aigne_hub.gateway.dialects.aigne.video import AigneVideos
from aigne_hub.gateway.dialects.aigne.whole import AigneEmbeddings, AigneFlatImages, AigneImages
from aigne_hub.providers.usage import OPENAI as OPENAI_USAGE

SERVED = Served("c", "p/m", "0.1", Usage())
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
ENVELOPE: dict[str, Any] = {
    "model": "p/m",
    "input": {
        "model": "p/m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "s"}]},
            {
                "role": "user",
                "name": "n",
                "content": [
                    {"type": "text", "text": "t", "cacheControl": {"type": "ephemeral"}},
                    {"type": "url", "url": "https://x.test/a.png", "mimeType": "image/png"},
                    {"type": "file", "data": "aGk=", "filename": "a.pdf"},
                ],
            },
            {"role": "agent", "content": "a", "toolCalls": [{**CALL, "metadata": {"k": 1}}]},
            {"role": "tool", "content": "r", "toolCallId": "c"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "toolChoice": {"type": "function", "function": {"name": "f"}},
        "responseFormat": {"type": "json_schema", "jsonSchema": {"name": "j", "schema": {}}},
        "modelOptions": {
            "model": "p/m",
            "temperature": 1,
            "topP": 1,
            "stop": ["x"],
            "seed": 1,
            "maxTokens": 5,
            "modalities": ["text"],
            "reasoningEffort": "low",
            "parallelToolCalls": True,
            "cacheConfig": {"enabled": True, "autoBreakpoints": {"lastMessage": True}},
        },
    },
    "options": {"streaming": True},
}
FLAT: dict[str, Any] = {
    "model": "p/m",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "t"},
                {"type": "image_url", "imageUrl": {"url": "https://x.test/a.png"}},
            ],
        },
        {
            "role": "assistant",
            "toolCalls": [{**CALL, "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "r", "toolCallId": "c"},
    ],
    "stream": True,
    "temperature": 1,
    "topP": 1,
    "maxTokens": 5,
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "toolChoice": {"type": "function", "function": {"name": "f"}},
    "responseFormat": {"type": "json_schema", "jsonSchema": {"name": "j", "schema": {}}},
}
PICTURE = {
    "model": "p/m",
    "input": {
        "prompt": "p",
        "n": 1,
        "seconds": "4",
        "image": [{"type": "file", "data": "aGk=", "mimeType": "image/png"}, "https://x.test"],
        "input": ["a", "b"],
        "modelOptions": {"model": "p/m", "size": "1x1", "outputFormat": "png"},
    },
}
BODIES: list[tuple[Any, dict[str, Any]]] = [
    (AigneChat, ENVELOPE),
    (AigneFlat, FLAT),
    (AigneFlatEvents, FLAT),
    (AigneImages, PICTURE),
    (AigneFlatImages, {"model": "p/m", **PICTURE["input"]}),  # type: ignore[dict-item] # it is one
    (AigneVideos, PICTURE),
    (AigneEmbeddings, PICTURE),
    (AigneEmbeddings, {"model": "p/m", "input": ["a"]}),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "model", "url", "a"]), inner, max_size=3)
    ),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for name, one in inside:
            found += places(one, (*path, name))
    return found


def put(body: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    at: Any = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return changed


@pytest.mark.parametrize(("dialect", "body"), BODIES)
def test_a_good_body_is_read(dialect: Any, body: dict[str, Any]):
    if dialect is AigneVideos:
        body = put(body, ("input", "image"), None)
    ask = dialect().ask(orjson.dumps(body))
    assert ask.model == "p/m"
    if dialect.form is not None and dialect.type == "chat":
        sent = dialect().outgoing(ask, "m", "max_tokens", None)
        assert dialect.form.request(sent).model == "m"


@pytest.mark.parametrize(("dialect", "body"), BODIES)
@settings(max_examples=150)
@given(data=st.data())
def test_any_value_anywhere_is_read_or_refused(dialect: Any, body: dict[str, Any], data: Any):
    path = data.draw(st.sampled_from(places(body)))
    try:
        sent = orjson.dumps(put(body, path, data.draw(JSON)), option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a number or text that no JSON has
        return
    one = dialect()
    with suppress(InvalidRequest):
        ask = one.ask(sent)
        assert isinstance(ask, Ask)
        passed = one.outgoing(ask, "m", "max_tokens", None)
        if dialect.form is not None and dialect.type == "chat":
            dialect.form.request(passed)


ANSWERS = [
    (AigneImages, PICTURE, {"data": [{"b64_json": "aGk="}, {"url": "x"}], "output_format": "png"}),
    (AigneFlatImages, {"model": "p/m", "prompt": "p"}, {"data": [{"b64_json": "aGk="}]}),
    (AigneEmbeddings, PICTURE, {"data": [{"embedding": [1.0]}], "usage": {"prompt_tokens": 1}}),
    (AigneEmbeddings, {"model": "p/m", "input": "a"}, {"data": [{"embedding": [1.0]}]}),
    (AigneVideos, put(PICTURE, ("input", "image"), None), {"id": "v", "status": "queued"}),
]


@pytest.mark.parametrize(("dialect", "body", "answer"), ANSWERS)
@settings(max_examples=150)
@given(data=st.data())
def test_any_answer_is_told_or_the_upstreams_mistake(
    dialect: Any, body: dict[str, Any], answer: dict[str, Any], data: Any
):
    """What passes must be told at settlement, where nothing may fail any more."""
    path = data.draw(st.sampled_from([*places(answer), ("more",)]))
    try:
        sent = orjson.dumps(put(answer, path, data.draw(JSON)))
    except TypeError:  # a number or text that no JSON has
        return
    one = dialect()
    ask = one.ask(orjson.dumps(body))
    with suppress(UpstreamError):
        one.usage(ask, sent, OPENAI_USAGE)
        assert orjson.loads(ask.presented(sent, SERVED))


@pytest.mark.parametrize(("dialect", "body", "answer"), ANSWERS)
@pytest.mark.parametrize("sent", [b"", b"[]", b"{", b'"x"', b'{"data":["\\ud800"]}'])
def test_what_is_no_answer_is_the_upstreams_mistake(
    dialect: Any, body: dict[str, Any], answer: dict[str, Any], sent: bytes
):
    one = dialect()
    ask = one.ask(orjson.dumps(body))
    with pytest.raises(UpstreamError):
        one.usage(ask, sent, OPENAI_USAGE)
    one.usage(ask, orjson.dumps(answer), OPENAI_USAGE)
