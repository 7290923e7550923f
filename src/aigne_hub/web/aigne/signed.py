"""Routes that applications call with a signature."""

from dataclasses import dataclass

from fastapi import Request

from aigne_hub.auth.signed.claims import Head
from aigne_hub.auth.verifier import fields_of
from aigne_hub.domain.access import Principal
from aigne_hub.web.backend import Hub
from aigne_hub.web.declared import Access, Asks, Declares

# What a request that is signed in any way has.
_SIGNS = ("x-app-id", "x-component-sig", "signature-input")


def is_signed(request: Request) -> bool:
    """Tell whether a request says that it is signed, rightly or not."""
    return any(name in request.headers for name in _SIGNS)


@dataclass(frozen=True, slots=True)
class Signed(Declares):
    """Lets in an application that signed the request."""

    @property
    def access(self) -> Access:
        return Access(Asks.SIGNATURE)

    async def __call__(self, request: Request, hub: Hub) -> Principal:
        """Return the application. Raises Unauthenticated for everybody else."""
        scope, headers = request.scope, request.headers.raw
        head = Head(
            request.method, scope["path"], scope["query_string"], headers, fields_of(headers)
        )
        return await hub.verify_signed(head, request.body)
