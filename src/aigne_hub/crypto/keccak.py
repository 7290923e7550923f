"""Keccak as submitted to NIST (version 3.0), which Ethereum uses: SHA-3 with another padding.

hashlib has only SHA-3 (FIPS 202). This is a few thousand times slower than C and meant for
what is hashed once per login: public keys and short messages.
"""

from typing import Literal

KeccakBits = Literal[256, 384, 512]

_LANE = 0xFFFFFFFFFFFFFFFF
_STATE_BYTES = 200
_PADDING = 0x01  # FIPS 202 put two more bits in front of it (0x06) and called the result SHA-3

_ROUND_CONSTANTS = (
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000,
    0x000000000000808B, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008A, 0x0000000000000088, 0x0000000080008009, 0x000000008000000A,
    0x000000008000808B, 0x800000000000008B, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
)  # fmt: skip

# Lane (x, y) is at index x + 5y.
_ROTATIONS = (
    0, 1, 62, 28, 27,
    36, 44, 6, 55, 20,
    3, 10, 43, 25, 39,
    41, 45, 15, 21, 8,
    18, 2, 61, 56, 14,
)  # fmt: skip
_PI_TARGETS = tuple(y + 5 * ((2 * x + 3 * y) % 5) for y in range(5) for x in range(5))


def digest(data: bytes, bits: KeccakBits) -> bytes:
    """Return the Keccak digest of `data`, `bits` / 8 bytes long."""
    return _sponge(data, bits, _PADDING)


def _sponge(data: bytes, bits: KeccakBits, padding: int) -> bytes:
    rate = _STATE_BYTES - bits // 4
    padded = bytearray(data)
    padded.append(padding)
    padded.extend(bytes(-len(padded) % rate))
    padded[-1] |= 0x80
    state = [0] * 25
    for block in range(0, len(padded), rate):
        for lane in range(rate // 8):
            start = block + 8 * lane
            state[lane] ^= int.from_bytes(padded[start : start + 8], "little")
        state = _permute(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state)[: bits // 8]


def _permute(state: list[int]) -> list[int]:
    """Keccak-f[1600]: 24 rounds of theta, rho and pi, chi, iota (FIPS 202, section 3.2)."""
    for constant in _ROUND_CONSTANTS:
        columns = [
            state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20]
            for x in range(5)
        ]
        parities = [columns[x - 1] ^ _rotate(columns[(x + 1) % 5], 1) for x in range(5)]
        moved = [0] * 25
        for i, lane in enumerate(state):
            moved[_PI_TARGETS[i]] = _rotate(lane ^ parities[i % 5], _ROTATIONS[i])
        state = [
            moved[row + x] ^ (~moved[row + (x + 1) % 5] & moved[row + (x + 2) % 5])
            for row in range(0, 25, 5)
            for x in range(5)
        ]
        state[0] ^= constant
    return state


def _rotate(lane: int, count: int) -> int:
    return ((lane << count) | (lane >> (64 - count))) & _LANE
