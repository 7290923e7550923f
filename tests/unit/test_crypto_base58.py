import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.crypto import base58


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\0", "1"),
        (b"\0\0\x01", "112"),
        (b"a", "2g"),
        (b"abc", "ZiCa"),
        (b"\xff" * 4, "7YXq9G"),
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (
            bytes.fromhex("0000287fb4cd"),
            "11233QC4",
        ),
    ],
)
def test_known_texts(data, text):
    assert base58.encode(data) == text
    assert base58.decode(text) == data


@given(st.binary(max_size=80))
def test_bytes_survive_a_round_trip(data):
    assert base58.decode(base58.encode(data)) == data


@given(st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", max_size=80))
def test_every_text_that_decodes_is_the_canonical_one(text):
    assert base58.encode(base58.decode(text)) == text


@pytest.mark.parametrize("digit", ["0", "O", "I", "l", "+", " ", "\n", "é", "\uff11", "\ud800"])
def test_a_foreign_character_is_refused_by_position_and_not_repeated(digit):
    with pytest.raises(ValueError, match="character 3 is not in the base58 alphabet"):
        base58.decode("ab" + digit + "c")


def test_the_limits_are_exact():
    largest = b"\xff" * base58.BYTES_MAX
    text = base58.encode(largest)
    assert len(text) == base58.TEXT_MAX
    assert base58.decode(text) == largest
    with pytest.raises(ValueError, match="limited to 512 bytes, got 513"):
        base58.encode(largest + b"\0")
    with pytest.raises(ValueError, match="limited to 700 characters, got 701"):
        base58.decode(text + "1")
    with pytest.raises(ValueError, match="limited to 512 bytes"):
        base58.decode("z" * base58.TEXT_MAX)
    with pytest.raises(ValueError, match="limited to 512 bytes, got 513"):
        base58.decode("1" * (base58.BYTES_MAX + 1))
