"""The CLI's own steps, done by other means, get the text back (wire/aigne.md, section 9.4)."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from aigne_hub.crypto import cryptojs


def decrypt(cipher_text: str, key_id: str, challenge: str) -> str:
    """Read what the CLI reads. The key derivation is written out block by block."""
    data = base64.b64decode(cipher_text, validate=True)
    assert data[:8] == b"Salted__"
    salt, secret = data[8:16], data[16:]
    derived = PBKDF2HMAC(SHA512(), 32, key_id.encode(), 256).derive(challenge.encode())
    phrase = derived.hex().encode()
    first = hashlib.md5(phrase + salt).digest()
    second = hashlib.md5(first + phrase + salt).digest()
    third = hashlib.md5(second + phrase + salt).digest()
    reader = Cipher(algorithms.AES(first + second), modes.CBC(third)).decryptor()
    padded = reader.update(secret) + reader.finalize()
    count = padded[-1]
    assert 1 <= count <= 16
    assert padded[-count:] == bytes([count]) * count
    return padded[:-count].decode()


@pytest.mark.parametrize("text", ["", "x" * 15, "x" * 16, "blocklet-ключ"])
def test_the_cli_reads_what_was_encrypted(text: str):
    secret = cryptojs.encrypt(text, cryptojs.passphrase("challenge", "key"), b"12345678")
    assert decrypt(secret, "key", "challenge") == text


def test_a_known_cipher_text():
    """As `openssl enc -aes-256-cbc -md md5 -S 0001020304050607` makes it of the passphrase."""
    assert cryptojs.encrypt("blocklet-test", "secret", bytes(range(8))) == (
        "U2FsdGVkX18AAQIDBAUGB77M9LLx0gYv67Ym1fiyjQY="
    )


def test_the_salt_changes_everything_after_it():
    one, two = (cryptojs.encrypt("text", "phrase", salt * 8) for salt in (b"a", b"b"))
    assert base64.b64decode(one)[16:] != base64.b64decode(two)[16:]
