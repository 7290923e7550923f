"""What providers and their credentials may be called, wherever they are declared."""

from typing import Final

PROVIDER: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
CREDENTIAL: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
CREDENTIAL_WEIGHT_MAX: Final = 1_000
CREDENTIAL_PRIORITY_MAX: Final = 100
PROVIDER_KEY_CHARS_MAX: Final = 16_384  # a service account's JSON is a few KiB


def is_key(text: str) -> bool:
    """Tell whether a text can be sent as a key: printable ASCII, no spaces at its ends."""
    return text == text.strip() and text.isascii() and text.isprintable()
