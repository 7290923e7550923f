"""The `did` part of hub.yaml: whom a DID wallet lets in."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool

from aigne_hub.config_values import Frozen, WebUrl, listed, matching
from aigne_hub.crypto.did import InvalidDid, parse
from aigne_hub.domain.access import Role
from aigne_hub.domain.admission import Admission, Terms

ISSUERS_MAX: Final = 32
CREDENTIAL_TYPE_MAX: Final = 100
DID_LENGTH_MAX: Final = 100


def _address(text: str) -> str:
    try:
        return parse(text).address
    except InvalidDid as error:
        raise ValueError(f"is not a DID: {error.cause}") from None


Issuer = Annotated[str, Field(max_length=DID_LENGTH_MAX), AfterValidator(_address)]


class DidSettings(Frozen):
    """What a wallet that the hub does not know must bring. Issuers are kept as addresses.

    A credential type without issuers keeps everybody new out: nobody is trusted.
    """

    new_users: StrictBool = True
    new_user_role: Literal["member", "guest"] = "member"
    terms_url: WebUrl | None = None
    terms_sha256: (
        Annotated[str, matching(r"[0-9a-f]{64}", "must be 64 lower-case hex digits")] | None
    ) = None
    credential_type: str | None = Field(default=None, min_length=1, max_length=CREDENTIAL_TYPE_MAX)
    credential_issuers: Annotated[tuple[Issuer, ...], BeforeValidator(listed)] = Field(
        default=(), max_length=ISSUERS_MAX
    )

    @property
    def admission(self) -> Admission:
        url = self.terms_url
        terms = None if url is None else Terms(url, self.terms_sha256 or "")
        return Admission(
            new_users=self.new_users,
            role=Role(self.new_user_role),
            terms=terms,
            credential_type=self.credential_type,
            issuers=frozenset(self.credential_issuers),
        )
