"""Images: what kind of picture is held for and charged, and what is counted without a report."""

import json
from typing import Any

import pytest

from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.openai.images import TOKENS_PER_IMAGE, OpenAIImages
from aigne_hub.providers.usage import OPENAI

IMAGES = OpenAIImages()
CARD = RateCard.of("r", {"images": {"1024x1024/low": 1, "1024x1024/high": 7, "1024x1024": 5}})


def asked(**members: Any) -> Ask:
    return IMAGES.ask(json.dumps({"model": "m", "prompt": "a fox", **members}).encode())


def answered(count: int = 1, **members: Any) -> bytes:
    return json.dumps({"data": [{"url": "https://example.com/"}] * count, **members}).encode()


def held(ask: Ask) -> int:
    return IMAGES.quote(ask, CARD, input_tokens=0, output_max=0).amount(0)


@pytest.mark.parametrize(
    ("request_", "answer", "kind"),
    [
        ({}, {"size": "1024x1024", "quality": "high"}, "1024x1024/high"),
        ({"size": "1024x1024", "quality": "low"}, {}, "1024x1024/low"),
        ({"size": "auto", "quality": "auto"}, {}, ""),
        ({"size": "1024x1024"}, {}, "1024x1024"),
        ({"size": "512x512", "quality": "low"}, {"quality": "medium"}, "512x512/medium"),
        ({"size": {"width": 4}}, {"size": 7}, ""),
    ],
)
def test_the_kind_is_what_was_made_or_else_what_was_asked_for(request_, answer, kind):
    report = IMAGES.usage(asked(**request_), answered(2, **answer), OPENAI)
    assert report.usage == Usage(images=2, image_kind=kind)


def test_a_kind_that_was_asked_for_is_held_for_and_else_the_dearest():
    assert held(asked(size="1024x1024", quality="low")) == 1
    assert held(asked(size="1024x1024", quality="low", n=3)) == 3
    for open_ in ({}, {"size": "1024x1024"}, {"size": "auto", "quality": "low"}):
        assert held(asked(**open_)) == 7


def test_what_is_held_covers_every_answer_to_an_open_question():
    ask = asked(size="1024x1024")
    for quality in ("low", "high", "unheard of"):
        usage = IMAGES.usage(ask, answered(quality=quality), OPENAI).usage
        assert usage is not None
        assert CARD.cost(usage) <= held(ask)


def test_larger_pictures_are_held_for_in_proportion():
    card = RateCard.of("r", {"output": 1_000_000})
    quoted = [
        IMAGES.quote(asked(size=size), card, input_tokens=0, output_max=0).amount(0)
        for size in ("auto", "1024x1024", "1536x1024", "3072x1024", "3840x2160")
    ]
    assert quoted[:4] == [TOKENS_PER_IMAGE] * 3 + [2 * TOKENS_PER_IMAGE]
    assert quoted[4] == -(-3840 * 2160 * TOKENS_PER_IMAGE // (1536 * 1024))


def test_tokens_and_pictures_are_both_reported():
    usage = {
        "input_tokens": 50,
        "output_tokens": 1056,
        "total_tokens": 1106,
        "input_tokens_details": {"text_tokens": 20, "image_tokens": 30},
    }
    body = answered(usage=usage, size="1024x1024", quality="medium")
    assert IMAGES.usage(asked(), body, OPENAI).usage == Usage(
        input_tokens=50,
        output_tokens=1056,
        image_input_tokens=30,
        image_output_tokens=1056,
        images=1,
        image_kind="1024x1024/medium",
    )


def test_a_report_that_cannot_be_true_is_counted_by_the_pictures():
    ask = asked(size="1024x1024", quality="high")
    body = answered(2, usage={"input_tokens": -1, "output_tokens": 5})
    report = IMAGES.usage(ask, body, OPENAI)
    assert report.usage is None
    assert report.refused == "input_tokens is negative"
    assert IMAGES.output_of(body) == 2
    counted = IMAGES.counted(ask, 3, IMAGES.output_of(body))
    assert counted == Usage(input_tokens=3, images=2, image_kind="1024x1024/high")
    assert IMAGES.counted(ask, 3, 0) == Usage(input_tokens=3)


def test_a_member_given_twice_cannot_be_held_for_as_one_and_sent_as_the_other():
    body = b'{"model":"m","prompt":"x","quality":"low","size":"1024x1024","quality":"high"}'
    ask = IMAGES.ask(body)
    assert json.loads(IMAGES.outgoing(ask, "m"))["quality"] == ask.image_quality == "high"
    assert IMAGES.outgoing(ask, "m").count(b'"quality"') == 1


def test_an_answer_without_pictures_reports_nothing():
    assert IMAGES.usage(asked(), answered(0), OPENAI).usage is None
