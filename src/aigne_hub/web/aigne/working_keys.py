"""Does a key work? Its provider is asked for its models, which costs nothing."""

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.storage.declarations import Origin
from aigne_hub.storage.vendors import Vendor
from aigne_hub.web.backend import Backend


def require_working(hub: Backend, vendor: Vendor, secret: str, model: str | None) -> None:
    """Raise InvalidRequest for a key that its provider does not answer; takes up to 20 s."""
    problem = hub.try_key(_with_key(vendor, secret), model)
    if problem is not None:
        raise InvalidRequest(f"The key does not work: {problem}", param="value")


def _with_key(vendor: Vendor, secret: str) -> Provider:
    return Provider(
        id=vendor.id,
        name=vendor.name,
        kind=vendor.kind,
        base_url=vendor.base_url,
        trusted=vendor.origin == Origin.FILE,
        credentials=(Credential("", "test", 1, secret),),
    )
