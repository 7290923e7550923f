"""Ids, times and signatures of webhook messages."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from aigne_hub.crypto.webhook_signature import SECRET_BYTES, new_secret, sign
from aigne_hub.domain.events import (
    ATTEMPTS_MAX,
    JITTER_PERCENT_MAX,
    MEANINGS,
    EventType,
    event_id,
    retry_after_us,
)
from aigne_hub.domain.limits import Counter
from aigne_hub.transport import Target

MANUAL = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")


@given(st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES), st.text(), st.integers(0, 4 << 30))
def test_a_signature_is_the_official_packages(secret, body, at_s):
    text = new_secret(lambda _: secret)
    mine = sign(text, "evt_1", at_s, body.encode("utf-8", "replace"))
    body = body.encode("utf-8", "replace").decode()
    assert mine == Webhook(text).sign("evt_1", datetime.fromtimestamp(at_s, UTC), body)


def test_a_signature_covers_id_time_and_body():
    secret = new_secret(Random(1).randbytes)
    signatures = {
        sign(secret, "evt_1", 1, b"{}"),
        sign(secret, "evt_2", 1, b"{}"),
        sign(secret, "evt_1", 2, b"{}"),
        sign(secret, "evt_1", 1, b"{ }"),
        sign(new_secret(Random(2).randbytes), "evt_1", 1, b"{}"),
    }
    assert len(signatures) == 5


@pytest.mark.parametrize("secret", ["", "AAAA", "whsec_!!", "WHSEC_AAAA"])
def test_what_is_no_secret_signs_nothing(secret):
    with pytest.raises(ValueError, match=r"whsec|base64|padding"):
        sign(secret, "evt_1", 1, b"{}")


@given(st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_an_events_id_is_that_of_its_words(one, other):
    made = event_id(*one)
    assert re.fullmatch(r"evt_[0-9a-f]{32}", made)
    same = "\0".join(one) == "\0".join(other)
    assert (made == event_id(*other)) is same


def test_retries_wait_longer_each_time_and_end():
    waits = [retry_after_us(attempts, 0) for attempts in range(1, ATTEMPTS_MAX)]
    assert waits == sorted(set(waits))
    assert waits[0] == 5_000_000
    assert sum(waits) < 4 * 24 * 3600 * 1_000_000
    assert retry_after_us(ATTEMPTS_MAX, 0) is None
    assert retry_after_us(1, JITTER_PERCENT_MAX) == 6_000_000


def test_every_type_of_event_is_explained():
    assert set(MEANINGS) == set(EventType)


def test_a_limit_that_is_raised_is_told_again_as_it_fills():
    counter = Counter("key:k/credits/total@0", used=10)
    counter.limit_to(10)
    assert counter.crossed() == 100
    counter.limit_to(16)  # 62 %: only the first is still passed
    assert counter.crossed() is None
    counter.used = 13
    assert counter.crossed() == 80
    counter.limit_to(12)
    assert counter.crossed() == 100
    counter.limit_to(12)
    assert counter.crossed() is None


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://example.com", "/"),
        ("https://example.com/a/b/", "/a/b/"),
        ("https://example.com?x=1&y=%20", "/?x=1&y=%20"),
        ("https://[2606:4700::1]:8443/h", "/h"),
    ],
)
def test_a_target_keeps_path_and_query(url, path):
    assert Target.parse(url).path == path
    assert Target.parse(url).origin.base_path == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/#f",
        "https://example.com/?a=b#f",
        "https://ada:s3cret@example.com/",
        "https://example.com/?a=b c",
        "https://example.com/\r\nx: y",
        "https://example.com/?a=\r\nx: y",
        "https://example.com:0/",
        "https://",
        "javascript:alert(1)",
        "https://example.com/" + "x" * 2048,
        "https://exämple.com/",
    ],
)
def test_what_is_no_target_is_refused_without_being_repeated(url):
    with pytest.raises(ValueError, match="URL") as refused:
        Target.parse(url)
    assert "s3cret" not in str(refused.value)


def test_the_manual_names_every_type_of_event():
    rows = re.findall(r"^\| `([a-z._]+)` \| ([^|]+) \|", MANUAL, re.MULTILINE)
    assert dict(rows) == {kind.value: meaning for kind, meaning in MEANINGS.items()}


def test_the_manuals_receiver_takes_a_message_once_and_refuses_a_forged_one(capsys):
    (program,) = re.findall(r"^```python\n(.*?)^```", MANUAL, re.MULTILINE | re.DOTALL)
    secret = new_secret(Random(1).randbytes)
    names: dict[str, object] = {}
    exec(program.replace("whsec_…", secret), names)
    body = b'{"type":"webhook.test","data":{}}'
    now = int(time.time())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(secret, "evt_1", now, body),
    }
    names["receive"](body, headers)
    names["receive"](body, headers)
    assert capsys.readouterr().out == "webhook.test {}\n"
    with pytest.raises(WebhookVerificationError):
        names["receive"](body + b" ", headers)
