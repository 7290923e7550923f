"""Bytes as ArcBlock's wallets write them: base58 behind a `z`, or hex behind `0x`."""

from aigne_hub.crypto import base58


def encode(data: bytes) -> str:
    return "z" + base58.encode(data)


def decode(text: str) -> bytes:
    """Return the bytes of a text. Raises ValueError, also above base58's limits."""
    if text.startswith("z"):
        return base58.decode(text[1:])
    if text.startswith("0x") and len(text) <= 2 + 2 * base58.BYTES_MAX:
        return bytes.fromhex(text[2:])
    raise ValueError("neither base58 behind a z nor hex behind 0x")
