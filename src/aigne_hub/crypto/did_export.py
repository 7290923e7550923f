"""A custodial identity on its way to its person's own wallet.

The content is what `@ocap/wallet` reads as JSON. Under a passphrase it is sealed by AES-256-GCM
with a key that scrypt makes (RFC 7914), as docs/did.md tells whoever wants to open it.
"""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aigne_hub.crypto.did import KeyType, RoleType, parse

PASSPHRASE_BYTES_MIN: Final = 12
PASSPHRASE_BYTES_MAX: Final = 1_024
FORMAT: Final = "aigne-hub-did-1"

_N, _R, _P = 2**15, 8, 1
_MEMORY: Final = 64 * 1024 * 1024
_KEY_BYTES, _SALT_BYTES, _NONCE_BYTES = 32, 16, 12


def wallet_json(did: str, secret_key: bytes) -> dict[str, Any]:
    """Return an Ed25519 identity as a wallet reads it; whoever has it is that DID."""
    found = parse(did)
    role = found.type.role
    return {
        "type": {
            "role": f"ROLE_{RoleType(role).name}",
            "pk": KeyType(found.type.key).name,
            "hash": found.type.hash.name,
            "address": "BASE58",
        },
        "sk": f"0x{secret_key.hex()}",
        "pk": f"0x{secret_key[32:].hex()}",
        "address": found.address,
    }


def sealed(
    did: str, secret_key: bytes, passphrase: bytes, randbytes: Callable[[int], bytes]
) -> dict[str, Any]:
    """Return an identity under a passphrase. Raises ValueError for one too short or too long."""
    if not PASSPHRASE_BYTES_MIN <= len(passphrase) <= PASSPHRASE_BYTES_MAX:
        raise ValueError(f"a passphrase has {PASSPHRASE_BYTES_MIN} to {PASSPHRASE_BYTES_MAX} bytes")
    salt, nonce = randbytes(_SALT_BYTES), randbytes(_NONCE_BYTES)
    key = hashlib.scrypt(passphrase, salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY, dklen=_KEY_BYTES)
    content = json.dumps(wallet_json(did, secret_key)).encode()
    return {
        "format": FORMAT,
        "did": did,
        "kdf": {"name": "scrypt", "n": _N, "r": _R, "p": _P, "salt": _text(salt)},
        "cipher": {"name": "AES-256-GCM", "nonce": _text(nonce)},
        "sealed": _text(AESGCM(key).encrypt(nonce, content, did.encode())),
    }


def _text(data: bytes) -> str:
    return b64encode(data).decode()
