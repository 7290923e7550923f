"""What the data plane asks of the database about callers, read in threads."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from aigne_hub.auth.signed.claims import Application
from aigne_hub.auth.signed.verifier import SignatureVerifier
from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import Overloaded
from aigne_hub.domain.oauth.external import ExternalIdentity
from aigne_hub.ports import Clock
from aigne_hub.storage import applications, keys, oauth_bearers, used_signatures
from aigne_hub.storage.engine import reading, writing

Found = TypeVar("Found")


async def looked_up(query: Callable[[], Found]) -> Found:
    """Read in a thread. A database that is away is the hub's trouble: Overloaded, 503."""
    try:
        return await asyncio.to_thread(query)
    except SQLAlchemyError as error:
        raise Overloaded("The hub cannot look this up right now. Retry shortly.") from error


class StoredKeys:
    """auth.verifier.KeyDirectory over the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find(self, digest: bytes) -> Principal | None:
        return await looked_up(lambda: self._find(digest))

    def _find(self, digest: bytes) -> Principal | None:
        with reading(self._engine) as connection:
            holder = keys.find_by_digest(connection, digest)
        if holder is None or holder.revoked or holder.disabled:
            return None
        return holder.principal


class OtherIssuers(Protocol):
    """Verifies tokens that the hub did not make."""

    def is_theirs(self, token: str) -> bool: ...

    async def identity(self, token: str) -> ExternalIdentity | None:
        """Return whom a token means; None for one that is not sound. Raises a HubError."""
        ...


class StoredTokens:
    """auth.verifier.TokenDirectory over the database: the hub's own tokens, and `others`'."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        issuer: Callable[[], str],
        others: OtherIssuers | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._issuer = issuer
        self._others = others

    async def find(self, token: str) -> Principal | None:
        if self._others is None or not self._others.is_theirs(token):
            return await looked_up(lambda: self._find(token))
        identity = await self._others.identity(token)
        if identity is None:
            return None
        return await looked_up(lambda: self._known(identity))

    def _known(self, identity: ExternalIdentity) -> Principal | None:
        with reading(self._engine) as connection:
            return oauth_bearers.of_identity(connection, identity)

    def _find(self, token: str) -> Principal | None:
        with reading(self._engine) as connection:
            now = self._clock.now_us()
            return oauth_bearers.principal_of(connection, now, self._issuer(), token)


class StoredApplications:
    """auth.signed.claims.Applications over the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find(self, did: str) -> Application | None:
        return await looked_up(lambda: self._find(did))

    async def siblings(self) -> Sequence[Application]:
        return await looked_up(self._siblings)

    def _find(self, did: str) -> Application | None:
        with reading(self._engine) as connection:
            return applications.caller(connection, did)

    def _siblings(self) -> Sequence[Application]:
        with reading(self._engine) as connection:
            return applications.siblings(connection)


class StoredMarks:
    """auth.signed.claims.Replays over the database, which all processes share."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def is_first(self, mark: bytes, until_us: int) -> bool:
        return await looked_up(lambda: self._is_first(mark, until_us))

    def _is_first(self, mark: bytes, until_us: int) -> bool:
        with writing(self._engine) as connection:
            return used_signatures.use(connection, mark, until_us)


def signatures(
    engine: Engine, clock: Clock, public_url: Callable[[], str], mounts: Sequence[str]
) -> SignatureVerifier:
    """Return what verifies signed requests, over the database."""
    return SignatureVerifier(
        StoredApplications(engine),
        StoredMarks(engine),
        clock.now_us,
        public_url=public_url,
        mounts=mounts,
    )
