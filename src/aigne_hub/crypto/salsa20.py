"""XSalsa20, the cipher of NaCl's boxes (D. J. Bernstein, "Extending the Salsa20 nonce").

`cryptography` does not have it. A few thousand times slower than C: for tokens of some hundred
bytes.
"""

import struct

KEY_BYTES = 32
NONCE_BYTES = 24

_BLOCK_BYTES = 64
_MASK = 0xFFFFFFFF
_SIGMA = struct.unpack("<4I", b"expand 32-byte k")
_QUARTERS = (
    (0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11),
    (0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14),
)  # fmt: skip
_DOUBLE_ROUNDS = 10


def keystream(key: bytes, nonce: bytes, size: int) -> bytes:
    """Return the first `size` bytes of the key stream of XSalsa20."""
    subkey = hsalsa20(key, nonce[:16])
    blocks = (
        _block(subkey, nonce[16:] + struct.pack("<Q", counter))
        for counter in range(-(-size // _BLOCK_BYTES))
    )
    return b"".join(blocks)[:size]


def hsalsa20(key: bytes, nonce: bytes) -> bytes:
    """Return the 32-byte key made of a key and 16 bytes."""
    mixed = _mixed(_state(key, nonce))
    return struct.pack("<8I", *(mixed[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))


def _block(key: bytes, nonce: bytes) -> bytes:
    state = _state(key, nonce)
    sums = ((a + b) & _MASK for a, b in zip(_mixed(state), state, strict=True))
    return struct.pack("<16I", *sums)


def _state(key: bytes, nonce: bytes) -> list[int]:
    k, n = struct.unpack("<8I", key), struct.unpack("<4I", nonce)
    s = _SIGMA
    return [s[0], *k[:4], s[1], *n, s[2], *k[4:], s[3]]


def _mixed(state: list[int]) -> list[int]:
    x = list(state)
    for _ in range(_DOUBLE_ROUNDS):
        for a, b, c, d in _QUARTERS:
            x[b] ^= _turned(x[a] + x[d], 7)
            x[c] ^= _turned(x[b] + x[a], 9)
            x[d] ^= _turned(x[c] + x[b], 13)
            x[a] ^= _turned(x[d] + x[c], 18)
    return x


def _turned(word: int, count: int) -> int:
    word &= _MASK
    return ((word << count) | (word >> (32 - count))) & _MASK
