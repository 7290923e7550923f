"""What the process tells about itself.

The rest of the web layer knows the running hub only through `Operations`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from aigne_hub.storage.users import User
from aigne_hub.telemetry import Counters
from aigne_hub.web.gauges import Gauge, Routing


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the hub depends on. `detail` is shown to anyone: no secret, no address."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether calls can be served now: `ok` when nothing that is needed is missing."""

    ok: bool
    checks: tuple[Check, ...]


class Operations(Protocol):
    """What the web layer needs of the process it runs in."""

    @property
    def counters(self) -> Counters: ...

    @property
    def demo(self) -> bool:
        """Whether the built-in provider `demo` is offered."""
        ...

    @property
    def billing(self) -> bool: ...

    async def ready(self) -> Readiness:
        """Try what a call needs, the database's commit first. Never raises."""
        ...

    def may_claim(self, token: str) -> str | None:
        """Return the id of the owner while a set-up token opens the page, None afterwards."""
        ...

    def claim(self, token: str, email: str, password_hash: str | None) -> tuple[User, str] | None:
        """Name the owner, return them and an API key, once; None when the token is used.

        Raises InvalidRequest or Conflict for the e-mail.
        """
        ...

    def gauges(self) -> Mapping[Gauge, float]:
        """Return the measurements this process has; others are left out of `/metrics`."""
        ...

    def routing(self) -> Routing:
        """Return what this process saw of upstreams; called on its event loop."""
        ...

    def public_url(self) -> str:
        """Return the address clients reach the hub at, without a trailing slash."""
        ...


def operations_of(request: Request) -> Operations:
    operations: Operations = request.app.state.operations
    return operations
