"""Whom a DID wallet lets in that the hub has never seen."""

from dataclasses import dataclass

from aigne_hub.domain.access import Role


@dataclass(frozen=True, slots=True)
class Terms:
    """What a new user agrees to. `sha256` is the digest of the text in hex, or empty."""

    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a new wallet becomes a user, as what, and what it has to bring.

    `issuers` are addresses of those who may have issued a credential of `credential_type`; None
    asks for no credential.
    """

    new_users: bool = True
    role: Role = Role.MEMBER
    terms: Terms | None = None
    credential_type: str | None = None
    issuers: frozenset[str] = frozenset()
