"""Sealed boxes of NaCl: for whoever holds a Curve25519 key, from nobody in particular.

ephemeral public key 32 | Poly1305 16 | ciphertext. The nonce is BLAKE2b-192 of both public keys,
as in libsodium's crypto_box_seal and tweetnacl-sealedbox-js.
"""

import hashlib
from collections.abc import Callable

from aigne_hub.crypto import salsa20

KEY_BYTES = 32
PLAINTEXT_MAX_BYTES = 8_192

_TAG_KEY_BYTES = 32
_NO_NONCE = bytes(16)


def seal(plaintext: bytes, public_key: bytes, randbytes: Callable[[int], bytes]) -> bytes:
    """Return a box for the holder of a public key.

    Raises ValueError for a text over PLAINTEXT_MAX_BYTES, and for bytes that are no public key
    with which something can be kept secret.
    """
    # Few hubs ever seal for a wallet.
    from cryptography.hazmat.primitives.asymmetric.x25519 import (  # noqa: PLC0415 - as above
        X25519PrivateKey,
        X25519PublicKey,
    )
    from cryptography.hazmat.primitives.poly1305 import Poly1305  # noqa: PLC0415 - as above

    if len(plaintext) > PLAINTEXT_MAX_BYTES:
        raise ValueError(f"at most {PLAINTEXT_MAX_BYTES} bytes go into a sealed box")
    ephemeral = X25519PrivateKey.from_private_bytes(randbytes(KEY_BYTES))
    ours = ephemeral.public_key().public_bytes_raw()
    # Raises ValueError for another length, and for points of small order.
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public_key))
    nonce = hashlib.blake2b(ours + public_key, digest_size=salsa20.NONCE_BYTES).digest()
    key = salsa20.hsalsa20(shared, _NO_NONCE)
    stream = salsa20.keystream(key, nonce, _TAG_KEY_BYTES + len(plaintext))
    ciphertext = bytes(a ^ b for a, b in zip(plaintext, stream[_TAG_KEY_BYTES:], strict=True))
    return ours + Poly1305.generate_tag(stream[:_TAG_KEY_BYTES], ciphertext) + ciphertext
