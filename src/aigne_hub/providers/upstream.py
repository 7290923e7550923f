"""What the gateway asks of anything it can proxy a call to."""

from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from aigne_hub.providers.usage import Wire


class Answer(Protocol):
    """A response under way; transport.Answer is the real one."""

    @property
    def status(self) -> int: ...

    def header(self, name: bytes) -> bytes | None: ...

    async def read(self) -> bytes: ...

    async def chunk(self) -> bytes | None: ...

    async def pour(self, sink: Callable[[bytes], bool]) -> bool:
        """Hand the body to `sink` as it arrives until that says False; tell if it ended."""
        ...

    def close(self) -> None:
        """Stop the provider: nobody wants the rest."""
        ...

    def leave(self) -> None:
        """Want no more of an answer that is over, whose last bytes may be on their way."""
        ...


class Upstream(Protocol):
    """One provider with one credential, speaking a wire the caller speaks.

    `wire` is how it reports usage.
    """

    limit_field: str
    wire: Wire

    def serving(self, model: str, /) -> "Upstream":
        """Return what sends the calls of one model: another where its name is in their path."""
        ...

    def send(self, operation: str, body: bytes, headers: bytes = b"", /) -> Awaitable[Answer]:
        """Send a request; returns when the response head arrived. Raises TransportError.

        `headers` are lines of the call's own, each ending CRLF, that a caller may choose.
        """
        ...


@runtime_checkable
class Keeper(Protocol):
    """An upstream that keeps what calls made, to be asked about it by its id."""

    def fetch(self, method: str, path: str, /) -> Awaitable[Answer]:
        """Ask for a path below the base URL, without a body. Raises TransportError.

        `path` begins with a slash, is percent-encoded and may have a query.
        """
        ...
