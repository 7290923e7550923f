"""Secrets at rest: AES-256-GCM envelopes bound to the table, row and column they are kept in.

Every record has its own data-encryption key (DEK), which the key-encryption key (KEK) wraps:

    version 1 | key id length 1 | key id | nonce 12 | wrapped DEK 48 | nonce 12 | ciphertext + 16

What is not encrypted is authenticated: the wrapping covers version, key id, table, row and
column, the payload all of these but the key id, so that a new KEK can take a record over
without touching its payload. Copied to another place, a sealed value does not open.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
KEY_ID_MAX_CHARS = 64
PURPOSE_MAX_CHARS = 64
PLAINTEXT_MAX_BYTES = 65_536
NAME_MAX_BYTES = 255  # of a table, a row or a column

_VERSION = 1
_NONCE_BYTES = 12
_TAG_BYTES = 16
_WRAP_BYTES = _NONCE_BYTES + KEY_BYTES + _TAG_BYTES


class SealBroken(Exception):
    """A sealed value does not open here. The message says why and holds no secret."""


class Keyring:
    """One key-encryption key: seals, opens, and derives keys for other purposes.

    `kek` has 32 bytes. `key_id` (1 to 64 printable ASCII characters) is written into every
    sealed value; None names the key by a fingerprint of itself. `randbytes(n)` returns n bytes
    from a cryptographically secure source. Nonces are random, so one KEK is good for 2**32
    sealed values (NIST SP 800-38D, section 8.3).
    """

    def __init__(
        self, kek: bytes, *, key_id: str | None, randbytes: Callable[[int], bytes]
    ) -> None:
        if len(kek) != KEY_BYTES:
            raise ValueError(f"a key-encryption key has {KEY_BYTES} bytes, got {len(kek)}")
        self.key_id = _hkdf(kek, b"id")[:8].hex() if key_id is None else key_id
        if not _is_label(self.key_id, KEY_ID_MAX_CHARS):
            raise ValueError(f"a key id is 1 to {KEY_ID_MAX_CHARS} printable ASCII characters")
        self._kek = kek
        self._wrapper = AESGCM(_hkdf(kek, b"wrap"))
        self._randbytes = randbytes

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose: the same for the same KEK, unrelated to any other.

        What they protect does not survive a change of the KEK; `rewrap` is for sealed values.
        """
        if not _is_label(purpose, PURPOSE_MAX_CHARS):
            raise ValueError(f"a purpose is 1 to {PURPOSE_MAX_CHARS} printable ASCII characters")
        return _hkdf(self._kek, b"derive:" + purpose.encode())

    def seal(self, plaintext: bytes, *, table: str, row: str, column: str) -> bytes:
        """Encrypt at most PLAINTEXT_MAX_BYTES for one place. Raises ValueError above that."""
        if len(plaintext) > PLAINTEXT_MAX_BYTES:
            raise ValueError(f"at most {PLAINTEXT_MAX_BYTES} bytes can be sealed")
        place = _Place(table, row, column)
        dek, nonce = self._randbytes(KEY_BYTES), self._randbytes(_NONCE_BYTES)
        payload = nonce + AESGCM(dek).encrypt(nonce, plaintext, place.payload_context())
        return _Sealed(self.key_id, self._wrap(dek, place), payload).encode()

    def open(self, sealed: bytes, *, table: str, row: str, column: str) -> bytes:
        """Return what was sealed for this place. Raises SealBroken when anything differs."""
        place = _Place(table, row, column)
        parts = _Sealed.decode(sealed)
        dek = self._unwrap(parts, place)
        nonce, ciphertext = parts.payload[:_NONCE_BYTES], parts.payload[_NONCE_BYTES:]
        try:
            return AESGCM(dek).decrypt(nonce, ciphertext, place.payload_context())
        except InvalidTag:
            raise SealBroken(f"the payload of {place} was tampered with") from None

    def rewrap(self, sealed: bytes, *, to: "Keyring", table: str, row: str, column: str) -> bytes:
        """Return the value wrapped under the keyring `to`, its payload the same bytes.

        The payload is neither decrypted nor checked. Raises SealBroken as `open` does for a
        value that this keyring cannot unwrap, also for one that `to` has wrapped already.
        """
        place = _Place(table, row, column)
        parts = _Sealed.decode(sealed)
        dek = self._unwrap(parts, place)
        wrap = to._wrap(dek, place)  # noqa: SLF001 - `to` is another instance of this class
        return _Sealed(to.key_id, wrap, parts.payload).encode()

    def _wrap(self, dek: bytes, place: "_Place") -> bytes:
        nonce = self._randbytes(_NONCE_BYTES)
        return nonce + self._wrapper.encrypt(nonce, dek, place.wrap_context(self.key_id))

    def _unwrap(self, parts: "_Sealed", place: "_Place") -> bytes:
        if parts.key_id != self.key_id:
            raise SealBroken(
                f"{place} is sealed with key {parts.key_id!r}, and this hub runs with key"
                f" {self.key_id!r}: start it with the key that sealed it, or rewrap first"
            )
        nonce, wrapped = parts.wrap[:_NONCE_BYTES], parts.wrap[_NONCE_BYTES:]
        try:
            return self._wrapper.decrypt(nonce, wrapped, place.wrap_context(self.key_id))
        except InvalidTag:
            raise SealBroken(
                f"{place} was tampered with, moved there from another place, or sealed with"
                f" another key called {self.key_id!r}"
            ) from None


def key_id_of(sealed: bytes) -> str:
    """Return the id of the key that wraps a sealed value, unchecked: to choose a keyring by.

    Raises SealBroken for bytes that are not a sealed value.
    """
    return _Sealed.decode(sealed).key_id


@dataclass(frozen=True, slots=True)
class _Place:
    table: str
    row: str
    column: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column} of row {self.row!r}"

    def wrap_context(self, key_id: str) -> bytes:
        return _context("wrap", key_id, self.table, self.row, self.column)

    def payload_context(self) -> bytes:
        return _context("payload", self.table, self.row, self.column)


@dataclass(frozen=True, slots=True)
class _Sealed:
    key_id: str
    wrap: bytes
    payload: bytes

    def encode(self) -> bytes:
        key_id = self.key_id.encode()
        return bytes([_VERSION, len(key_id)]) + key_id + self.wrap + self.payload

    @classmethod
    def decode(cls, sealed: bytes) -> "_Sealed":
        if sealed[:1] != bytes([_VERSION]):
            raise SealBroken(
                f"the first byte is not {_VERSION}, the only version of sealed values known here"
            )
        wrap_at = 2 + int.from_bytes(sealed[1:2])
        payload_at = wrap_at + _WRAP_BYTES
        if len(sealed) < payload_at + _NONCE_BYTES + _TAG_BYTES:
            raise SealBroken(f"{len(sealed)} bytes are too short for a sealed value")
        key_id = sealed[2:wrap_at].decode("ascii", "replace")
        if not _is_label(key_id, KEY_ID_MAX_CHARS):
            raise SealBroken("the key id of the sealed value is not printable ASCII")
        return cls(key_id, sealed[wrap_at:payload_at], sealed[payload_at:])


def _context(*fields: str) -> bytes:
    """Version and fields, each behind its length: no two lists of fields give equal bytes."""
    parts = [bytes([_VERSION])]
    for text in fields:
        field = text.encode()
        if not 0 < len(field) <= NAME_MAX_BYTES:
            raise ValueError(f"table, row and column have 1 to {NAME_MAX_BYTES} bytes each")
        parts += (bytes([len(field)]), field)
    return b"".join(parts)


def _is_label(text: str, max_chars: int) -> bool:
    return 0 < len(text) <= max_chars and text.isascii() and text.isprintable()


def _hkdf(kek: bytes, info: bytes) -> bytes:
    """RFC 5869 without salt: the KEK is uniformly random or comes from scrypt."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"aigne-hub:" + info).derive(kek)
