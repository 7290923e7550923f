"""Where the key-encryption key comes from: a file only we can read, or a text from the operator."""

import base64
import hashlib
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aigne_hub.crypto.envelope import KEY_BYTES

PASSPHRASE_MIN_CHARS = 16
TEXT_MAX_CHARS = 1024

_HEX = re.compile(r"[0-9a-fA-F]{64}")
_BASE64 = re.compile(r"[0-9A-Za-z+/_-]{43}=?")
_SCRYPT_SALT = b"aigne-hub key-encryption key"  # fixed: the same words must give the same key
# 16 MiB and about a fifth of a second, a strength that OWASP lists as sufficient; at start only.
_SCRYPT_N = 2**14
_SCRYPT_R = 8
_SCRYPT_P = 5
_SCRYPT_MEMORY_MAX = 2**25


class KeyFileRefused(Exception):
    """The key file cannot be used. The message says which file, why, and what to do."""


def load_or_create_key(path: Path, randbytes: Callable[[int], bytes]) -> bytes:
    """Return the 32 bytes in the file, which is made with mode 0600 when it does not exist.

    Of processes that race to make it, one wins and all return its key; a crash leaves either
    no file or a whole one. `randbytes(n)` returns n bytes from a cryptographically secure
    source. Raises KeyFileRefused for a file that others may read, is not ours in form, or
    cannot be read or made.
    """
    try:
        if not path.exists():
            _create(path, randbytes)
        return _read(path)
    except OSError as error:
        raise KeyFileRefused(
            f"cannot read or make the key file {path}: {error.strerror}. The hub must own the file;"
            " to make it, its directory must exist, be writable and support hard links. Or set"
            " AIGNE_HUB_SECRET_KEY instead"
        ) from None


def key_from_text(text: str) -> bytes:
    """Return the 32-byte key that AIGNE_HUB_SECRET_KEY stands for; the same text, the same key.

    64 hex digits or the base64 (either alphabet) of 32 bytes are the key itself; any other text
    of at least 16 characters is a passphrase and goes through scrypt (RFC 7914). White space
    around it does not count. Raises ValueError for a shorter or an overlong text.
    """
    text = text.strip()
    if len(text) > TEXT_MAX_CHARS:
        raise ValueError(f"the secret key is longer than {TEXT_MAX_CHARS} characters")
    if len(text) < PASSPHRASE_MIN_CHARS:
        raise ValueError(
            f"the secret key has fewer than {PASSPHRASE_MIN_CHARS} characters: give 64 hex digits"
            " (`openssl rand -hex 32` makes them) or a long passphrase"
        )
    return _from_hex(text) or _from_base64(text) or _from_passphrase(text)


def _create(path: Path, randbytes: Callable[[int], bytes]) -> None:
    """Write a whole file under another name, then claim `path` with a link, which never replaces.

    Opening `path` itself with O_EXCL would let the loser of a race read an empty file.
    """
    draft = path.with_name(f".{path.name}.{randbytes(8).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(randbytes(KEY_BYTES))
            file.flush()
            os.fsync(fd)
        with suppress(FileExistsError):  # another process was first; its key is the key
            path.hardlink_to(draft)
    finally:
        draft.unlink()
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """A name is on disk only when its directory is; a lost key file loses every sealed value."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read(path: Path) -> bytes:
    # O_NONBLOCK: a named pipe in place of the file must be refused, not waited for.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileRefused(f"the key file {path} is not a regular file")
        mode = stat.S_IMODE(status.st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyFileRefused(
                f"the key file {path} is open to others (mode {mode:04o}): run `chmod 600 {path}`,"
                " and replace the key if others may have read it"
            )
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise KeyFileRefused(
            f"the key file {path} has {status.st_size} bytes, not {KEY_BYTES}: restore it from a"
            " backup; without it nothing sealed can be opened"
        )
    return key


def _from_hex(text: str) -> bytes | None:
    return bytes.fromhex(text) if _HEX.fullmatch(text) else None


def _from_base64(text: str) -> bytes | None:
    """Only the canonical spelling counts: fewer passphrases are taken for base64 by chance."""
    if not _BASE64.fullmatch(text):
        return None
    digits = text.removesuffix("=").replace("-", "+").replace("_", "/")
    key = base64.b64decode(digits + "=")
    return key if base64.b64encode(key).decode() == digits + "=" else None


def _from_passphrase(text: str) -> bytes:
    return hashlib.scrypt(
        text.encode("utf-8", "surrogatepass"),
        salt=_SCRYPT_SALT,
        n=_SCRYPT_N,
        r=_SCRYPT_R,
        p=_SCRYPT_P,
        maxmem=_SCRYPT_MEMORY_MAX,
        dklen=KEY_BYTES,
    )
