"""What every route of the control plane asks of its caller, found before it is served."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter

from aigne_hub.web.api.access import authenticated
from aigne_hub.web.declared import Access, Asks, Known, declarations
from aigne_hub.web.session import signed_in

KNOWN: Final[Known] = MappingProxyType(
    {authenticated: Access(Asks.KEY), signed_in: Access(Asks.SESSION)}
)


def guarded(routers: Iterable[APIRouter]) -> Mapping[tuple[str, str], Access]:
    """Return what each method and path asks of its caller. Raises UndeclaredRoute."""
    return declarations(routers, KNOWN)
