import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aigne_hub.crypto import keccak

SHA3_PADDING = 0x06


@pytest.mark.parametrize(
    ("data", "bits", "digest"),
    [
        (b"", 256, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", 256, "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        (
            b"",
            384,
            (
                "2c23146a63a29acf99e73b88f8c24eaa7dc60aa771780ccc006afbfa8fe2479b"
                "2dd2b21362337441ac12b515911957ff"
            ),
        ),
        (
            b"",
            512,
            (
                "0eab42de4c3ceb9235fc91acffe746b29c29a8c366b7c60e4e67c466f36a4304"
                "c00fa9caf9d87976ba469bcbe06713b435f091ef2769fb160cdab33d3670680e"
            ),
        ),
    ],
)
def test_published_digests(data, bits, digest):
    assert keccak.digest(data, bits).hex() == digest


# One byte less than a block needs a padding of a single byte, 0x86; a whole block needs another.
@settings(max_examples=40, deadline=None)
@given(st.sampled_from([256, 384, 512]), st.binary(max_size=300))
@example(256, b"x" * 135)
@example(256, b"x" * 136)
@example(384, b"x" * 103)
@example(384, b"x" * 104)
@example(512, b"x" * 71)
@example(512, b"x" * 72)
def test_with_the_padding_of_sha3_the_sponge_is_the_sha3_of_openssl(bits, data):
    expected = hashlib.new(f"sha3_{bits}", data).digest()
    assert keccak._sponge(data, bits, SHA3_PADDING) == expected
    assert keccak.digest(data, bits) != expected
