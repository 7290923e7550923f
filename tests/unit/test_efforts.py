"""Efforts that models of OpenAI's formats take, and the nearest to one they do not."""

import orjson
import pytest

from aigne_hub.domain.inference import (
    Effort,
    InferenceRequest,
    Media,
    Message,
    Text,
    Thinking,
    ToolResult,
)
from aigne_hub.providers.languages import openai
from aigne_hub.providers.languages.efforts import efforts_of, nearest
from aigne_hub.providers.profiles import OPENAI


@pytest.mark.parametrize(
    ("model", "efforts"),
    [
        ("o4-mini", "low medium high"),
        ("openai/gpt-oss-120b", "low medium high"),
        ("gpt-5-mini-2025-08-07", "minimal low medium high"),
        ("gpt-5-pro", "high"),
        ("gpt-5-codex", "low medium high"),
        ("gpt-5-chat-latest", ""),
        ("gpt-5.1", "none low medium high"),
        ("gpt-5.1-codex-max", "low medium high xhigh"),
        ("gpt-5.2", "none low medium high xhigh"),
        ("gpt-5.2-pro", "medium high xhigh"),
        ("gpt-6", "none low medium high xhigh"),
        ("gpt-4.1", ""),
        ("gpt-4o-mini", ""),
        ("llama-3", ""),
    ],
)
def test_efforts(model: str, efforts: str):
    assert " ".join(efforts_of(model)) == efforts


@pytest.mark.parametrize(
    ("model", "wanted", "asked", "noted"),
    [
        ("gpt-5.1", "none", "none", False),
        ("gpt-5", "none", "minimal", True),
        ("o3", "none", "low", True),
        ("o3", "minimal", "low", False),
        ("gpt-5.1", "minimal", "low", False),
        ("gpt-5", "max", "high", False),
        ("gpt-5.2", "max", "xhigh", False),
        ("gpt-5-pro", "low", "high", False),
        ("gpt-4o", "low", None, True),
        ("gpt-4o", "none", None, False),
    ],
)
def test_the_nearest_effort_is_asked_for(
    model: str, wanted: Effort, asked: str | None, noted: bool
):
    said = Message("user", (Text("hi"),))
    request = InferenceRequest(model, (said,), thinking=Thinking(wanted))
    sent = openai.outgoing(request, OPENAI)
    assert orjson.loads(sent.body).get("reasoning_effort") == asked
    assert sent.not_carried == (("thinking",) if noted else ())
    if asked is not None:
        assert nearest(wanted, efforts_of(model)) == asked


def test_pictures_that_a_tool_returned_are_shown_by_the_user():
    picture = Media("image", data="aGk=", mime_type="image/png")
    results = (
        ToolResult("a", (Text("rain"), picture)),
        ToolResult("b", (picture,)),
        Text("so?"),
    )
    request = InferenceRequest("gpt-5", (Message("user", results),))
    first, second, user = orjson.loads(openai.outgoing(request, OPENAI).body)["messages"]
    below = "(What this returned is shown in the next message.)"
    assert [part["text"] for part in first["content"]] == ["rain", below]
    assert (second["tool_call_id"], second["content"]) == ("b", below)
    assert [part["type"] for part in user["content"]] == ["image_url", "image_url", "text"]
