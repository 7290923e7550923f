"""What a signed request says about itself, and who may have signed it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from aigne_hub.auth.verifier import Fields, Headers
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import Unauthenticated

SECOND_US: Final = 1_000_000
# How far a signer's clock may be ahead of the hub's.
SKEW_S: Final = 60
INSTANT_DIGITS_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body. `path` is decoded and without the mount point.

    `query` is as it was sent, without its question mark.
    """

    method: str
    path: str
    query: bytes
    headers: Headers
    fields: Fields

    def text(self, name: bytes) -> str | None:
        sent = self.fields.get(name)
        return None if sent is None else sent.decode("latin-1").strip()


@dataclass(frozen=True, slots=True)
class Application:
    """Who signs: the key of an application, and what its calls are."""

    public_key: bytes
    principal: Principal


@dataclass(frozen=True, slots=True)
class Proof:
    """A signature that holds. `mark` is what may be seen once until `until_us`."""

    mark: bytes
    until_us: int
    end_user: str | None = None


class Claim(Protocol):
    """What a request's head claims, once it is worth looking at.

    `app_did` is the application that is named, None when any sibling may have signed.
    """

    @property
    def app_did(self) -> str | None: ...

    def proof(self, public_keys: Sequence[bytes], body: bytes) -> tuple[int, Proof] | None:
        """Return which of some keys signed the request, with the proof; None for none of them.

        Raises ValueError for a body that nobody can have signed, Unauthenticated for one that
        is not read for it.
        """
        ...


class Applications(Protocol):
    async def find(self, did: str) -> Application | None:
        """Return a live application; None when unknown, revoked, or its user is disabled."""
        ...

    async def siblings(self) -> Sequence[Application]:
        """Return the live applications whose components may call."""
        ...


class Replays(Protocol):
    async def is_first(self, mark: bytes, until_us: int) -> bool:
        """Tell whether a mark is seen for the first time, in all processes together."""
        ...


def instant_of(text: str | None, header: str) -> int:
    """Return a header's Unix seconds. Raises Unauthenticated."""
    if text is None or not text.isascii() or not text.isdecimal():
        raise Unauthenticated(f"A signed request has {header}: Unix time in whole seconds.")
    if len(text) > INSTANT_DIGITS_MAX:
        raise Unauthenticated(f"{header} is Unix time in seconds, not in smaller units.")
    return int(text)
