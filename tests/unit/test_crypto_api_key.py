import hashlib
import hmac
import os
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.crypto import base58
from aigne_hub.crypto.api_key import digest, is_well_formed, looks_like_jwt, new_key, prefix_of

KEY = new_key(lambda size: bytes(range(1, size + 1)))


@given(st.binary(min_size=32, max_size=32))
def test_every_new_key_is_well_formed(secret):
    key = new_key(lambda size: secret[:size])
    assert is_well_formed(key)
    assert key.startswith("blocklet-")
    assert "." not in key
    assert base58.decode(key.removeprefix("blocklet-")) == secret + crc32(secret).to_bytes(4)


def test_new_keys_differ():
    assert len({new_key(os.urandom) for _ in range(100)}) == 100


@pytest.mark.parametrize("position", range(len("blocklet-"), len(KEY)))
def test_a_typing_error_anywhere_is_noticed(position):
    for wrong in "z2":
        if KEY[position] != wrong:
            assert not is_well_formed(KEY[:position] + wrong + KEY[position + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "blocklet-",
        KEY + "1",
        KEY[:-1],
        KEY + "\n",
        " " + KEY,
        KEY.upper(),
        KEY.removeprefix("blocklet-"),
        "blocklet-1" + KEY.removeprefix("blocklet-"),
        "blocklet-" + "0OIl",
        "blocklet-" + "z" * 100_000,
        "blocklet-" + base58.encode(bytes(35)),
    ],
)
def test_other_texts_are_not_well_formed(text):
    assert not is_well_formed(text)


def test_the_digest_is_hmac_sha256():
    assert digest(KEY, b"pepper") == hmac.new(b"pepper", KEY.encode(), hashlib.sha256).digest()
    assert len(digest(KEY, b"pepper")) == 32
    assert digest(KEY, b"pepper") != digest(KEY, b"salt")
    assert digest(KEY, b"pepper") != digest(KEY + "1", b"pepper")


@given(st.text())
def test_any_text_has_a_digest(text):
    assert len(digest(text, b"pepper")) == 32


def test_the_prefix_shows_four_characters_of_the_secret():
    assert prefix_of(KEY) == KEY[:13]
    assert len(prefix_of(KEY).removeprefix("blocklet-")) == 4


def test_there_is_no_prefix_of_something_else():
    with pytest.raises(ValueError, match="not an API key") as caught:
        prefix_of("hunter2hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "jwt"),
    [("a.b.c", True), ("..", True), (KEY, False), ("a.b", False), ("a.b.c.d", False)],
)
def test_two_dots_are_a_jwt(text, jwt):
    assert looks_like_jwt(text) is jwt
