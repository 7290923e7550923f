"""Ideogram: OpenAI's request for pictures as a form, and its answer as OpenAI's."""

import asyncio
import json
from email import message_from_bytes
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.providers.connecting import connected
from aigne_hub.providers.ideogram import form_of, pictures_of


def fields(body: dict[str, Any]) -> dict[str, str]:
    kind, form, _ = form_of(json.dumps(body).encode())
    parsed = message_from_bytes(f"content-type: {kind}\r\n\r\n".encode() + form)
    assert not parsed.defects
    found = {}
    for part in parsed.get_payload():
        assert isinstance(part, type(parsed))
        name = part.get_param("name", header="content-disposition")
        found[str(name)] = bytes(part.get_payload(decode=True)).decode()
    return found


def test_a_request_is_a_form_in_ideograms_words():
    asked = {
        "model": "m",
        "prompt": "a cät",
        "n": 2,
        "size": "1024x1024",
        "quality": "high",
        "style_type": "DESIGN",
        "seed": 7,
        "user": "u",
    }
    assert fields(asked) == {
        "prompt": "a cät",
        "num_images": "2",
        "resolution": "1024x1024",
        "rendering_speed": "QUALITY",
        "style_type": "DESIGN",
        "seed": "7",
    }


def test_what_the_provider_may_choose_is_not_said():
    asked = {"prompt": "p", "size": "auto", "quality": "auto", "n": None, "seed": None}
    assert fields(asked) == {"prompt": "p", "num_images": "1"}


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")))
def test_any_prompt_arrives(prompt: str):
    assert form_of(json.dumps({"prompt": prompt}).encode())[1].count(
        f"\r\n\r\n{prompt}\r\n".encode()
    )


def test_a_prompt_cannot_end_its_part():
    prompt = 'a\r\n--x\r\ncontent-disposition: form-data; name="num_images"\r\n\r\n9'
    assert fields({"prompt": prompt})["num_images"] == "1"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"quality": "best"}, "quality"),
        ({"seed": [1]}, "seed"),
        ({"style_type": True}, "style_type"),
        ({"size": {}}, "resolution"),
    ],
)
def test_what_cannot_be_said_is_refused(more: dict[str, Any], param: str):
    with pytest.raises(InvalidRequest) as caught:
        form_of(json.dumps({"prompt": "p", **more}).encode())
    assert caught.value.param == param


def test_an_answer_is_openais():
    one = {"prompt": "x", "resolution": "1280x800", "is_image_safe": True, "url": "https://e/1"}
    held = {"prompt": "x", "is_image_safe": False, "url": ""}
    answer = {"created": "2026-01-01T00:00:00+00:00", "data": [one, held]}
    found = json.loads(pictures_of(json.dumps(answer).encode()))
    assert found["created"] == 1_767_225_600
    assert [picture["url"] for picture in found["data"]] == ["https://e/1", None]
    assert found["data"][0]["revised_prompt"] == "x"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"data":1}', b'{"data":[1],"created":"x"}'])
def test_what_is_no_answer_stays_as_it_is(body: bytes):
    assert pictures_of(body) == body


def test_nothing_but_pictures_is_asked_for():
    provider = Provider("id", "p", "ideogram", None, trusted=True, credentials=())
    client: Any = None
    clock: Any = None
    credential = Credential("id", "main", 1, secret="K")
    upstream = connected(client, provider, credential, "openai", clock)
    with pytest.raises(InvalidRequest, match="nothing else"):
        asyncio.run(upstream.serving("m").send("chat/completions", b"{}"))
