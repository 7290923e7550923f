"""Addresses that nobody can guess: what a page shows, and a proof that the hub named it.

The proof is HMAC-SHA256 (RFC 2104), cut to 128 bits, over purpose and subject. It needs no row
in a database and lives as long as the key it is made with.
"""

import hmac

from aigne_hub.crypto import base58

_PROOF_BYTES = 16


class PageTokens:
    """Makes and opens tokens `subject.proof`. A subject has no full stop."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, purpose: str, subject: str) -> str:
        return f"{subject}.{self._proof(purpose, subject)}"

    def subject(self, purpose: str, token: str) -> str | None:
        """Return what a token names; None when the hub did not make it for this purpose."""
        subject, _, proof = token.partition(".")
        genuine = hmac.compare_digest(proof.encode(), self._proof(purpose, subject).encode())
        return subject if genuine else None

    def _proof(self, purpose: str, subject: str) -> str:
        message = f"{purpose}\0{subject}".encode()
        return base58.encode(hmac.new(self._key, message, "sha256").digest()[:_PROOF_BYTES])
