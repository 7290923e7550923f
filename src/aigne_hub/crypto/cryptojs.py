"""Texts encrypted as CryptoJS does with a passphrase, which is how the stock CLI gets its key.

The passphrase stands beside the cipher text in the same answer, so this hides nothing from who
can read the answer: TLS is the protection. Source: wire/aigne.md, section 9.4, measured.
"""

import base64
import hashlib

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

SALT_BYTES = 8

_MARK = b"Salted__"
_KEY_BYTES = 32
_IV_BYTES = 16
_BLOCK_BITS = 128
_ROUNDS = 256


def passphrase(challenge: str, key_id: str) -> str:
    """Return what the CLI decrypts with: PBKDF2-HMAC-SHA512 of the challenge, salted, in hex."""
    made = hashlib.pbkdf2_hmac("sha512", challenge.encode(), key_id.encode(), _ROUNDS, _KEY_BYTES)
    return made.hex()


def encrypt(text: str, phrase: str, salt: bytes) -> str:
    """Return the base64 of mark, salt and AES-256-CBC cipher text. `salt` has SALT_BYTES."""
    assert len(salt) == SALT_BYTES
    material = _key_material(phrase.encode(), salt)
    key, iv = material[:_KEY_BYTES], material[_KEY_BYTES:]
    padder = PKCS7(_BLOCK_BITS).padder()
    encryptor = Cipher(AES256(key), CBC(iv)).encryptor()
    padded = padder.update(text.encode()) + padder.finalize()
    secret = encryptor.update(padded) + encryptor.finalize()
    return base64.b64encode(_MARK + salt + secret).decode("ascii")


def _key_material(phrase: bytes, salt: bytes) -> bytes:
    """Return key and IV: EVP_BytesToKey with MD5 and one round, each block of the one before."""
    made = block = b""
    while len(made) < _KEY_BYTES + _IV_BYTES:
        block = hashlib.md5(block + phrase + salt, usedforsecurity=False).digest()
        made += block
    return made
