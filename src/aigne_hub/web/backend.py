"""What the administrative and account routes need of the hub they run in.

Handlers that read or change the database are plain functions: FastAPI runs them in a
thread, so that no stream waits for them.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Annotated, NamedTuple, Protocol

from fastapi import Depends, Request

from aigne_hub.auth.signed.claims import Head
from aigne_hub.auth.verifier import Headers
from aigne_hub.catalog.snapshot import Provider, Snapshot
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.crypto.page_token import PageTokens
from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.admission import Admission
from aigne_hub.domain.model_status import ModelStatus
from aigne_hub.gateway.router import Router
from aigne_hub.payments.cashier import Cashier
from aigne_hub.ports import Clock
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.engine import View
from aigne_hub.web.operations import Operations, operations_of


class KeyCheck(NamedTuple):
    """What a provider answered to one of its keys; `fix` is empty when all is well.

    `credential` is None for a provider that needs no key.
    """

    credential: str | None
    ok: bool
    status: int | None
    latency_ms: float | None
    detail: str
    fix: str


class Backend(Protocol):
    """The running hub's database, clock and configuration, as of now."""

    clock: Clock
    ids: Callable[[], str]
    keyring: Keyring
    pepper: bytes
    randbytes: Callable[[int], bytes]

    @property
    def billing(self) -> bool:
        """Whether calls are charged."""
        ...

    @property
    def oauth_registration(self) -> str:
        """Who may register an OAuth client: `open` everybody, `token` administrators, `off`."""
        ...

    @property
    def payment_link(self) -> str:
        """Where a person buys credit."""
        ...

    @property
    def low_balance(self) -> tuple[int, ...]:
        """Below which nano-credits an account is told, unless it says otherwise."""
        ...

    @property
    def cashier(self) -> Cashier:
        """Where orders are handled."""
        ...

    @property
    def page_tokens(self) -> PageTokens:
        """Makes addresses of payment pages that nobody can guess."""
        ...

    @property
    def admission(self) -> Admission:
        """Whom a DID wallet lets in."""
        ...

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def router(self) -> Router:
        """Where calls go. It belongs to the event loop: threads look at its configuration only."""
        ...

    def status_of(self, model: str) -> ModelStatus | None:
        """Return how the last call of a model went, by its reference."""
        ...

    def public_url(self) -> str: ...

    def reading(self) -> AbstractContextManager[View]:
        """Give one consistent view of the database."""
        ...

    def posting(self) -> AbstractContextManager[View]:
        """Give one write transaction for what programs report: money, not configuration."""
        ...

    def changing(self, actor: str) -> AbstractContextManager[Changes]:
        """Give one administrative change, which every process notices."""
        ...

    def try_key(self, provider: Provider, model: str | None) -> str | None:
        """Ask a provider for its models with the one key it has here; takes up to 20 s.

        Returns what is wrong in words safe to show, None when the key works. Raises
        RateLimited.
        """
        ...

    def check(self, provider: str, credential: str | None, model: str | None) -> list[KeyCheck]:
        """Ask a provider for its models with one of its keys, or each; may take minutes.

        What that shows decides whether calls use the key. Raises NotFound or RateLimited.
        """
        ...

    async def verify(self, headers: Headers, scope: Scope | None) -> Principal:
        """Return who calls. Raises Unauthenticated or Forbidden."""
        ...

    async def verify_signed(self, head: Head, body: Callable[[], Awaitable[bytes]]) -> Principal:
        """Return the application that signed a request. Raises Unauthenticated."""
        ...


def backend_of(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


Hub = Annotated[Backend, Depends(backend_of)]
Process = Annotated[Operations, Depends(operations_of)]
