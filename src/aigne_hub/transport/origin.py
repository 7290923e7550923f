import ipaddress
import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, urlsplit

HOST_MAX = 253  # RFC 1035, 2.3.4, as text without the root's dot
DEFAULT_PORTS = {"http": 80, "https": 443}

_PRINTABLE = re.compile(r"[!-~]+")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_PATH = re.compile(r"(/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)?")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a provider is reached, parsed once from its base URL.

    `host` is lower case, without brackets or a trailing dot. `host_header` carries the port
    only when it is not the scheme's own. `base_path` is "" or begins with a slash and does
    not end with one. `trusted` says that the operator declared the URL: such an origin may
    be a private address. `key` tells connections apart that must not be shared.
    """

    scheme: str
    host: str
    port: int
    base_path: str = ""
    trusted: bool = False
    host_header: bytes = field(init=False)
    key: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        name = f"[{self.host}]" if ":" in self.host else self.host
        shown = name if self.port == DEFAULT_PORTS[self.scheme] else f"{name}:{self.port}"
        object.__setattr__(self, "host_header", shown.encode("ascii"))
        # A connection the guard never checked must not serve an origin it has to check.
        trust = "trusted" if self.trusted else "guarded"
        object.__setattr__(self, "key", f"{trust} {self.scheme}://{name}:{self.port}")

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Return host and port, as a CONNECT request and an error message name them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str, *, trusted: bool = False) -> Self:
        """Return the origin of a base URL such as "https://api.example.com/v1".

        Raises ValueError, without repeating credentials, for anything but an http or https
        URL made of a host, an optional port and an optional path.
        """
        if not _PRINTABLE.fullmatch(url):
            raise ValueError("a base URL is printable ASCII without spaces")
        if "?" in url or "#" in url:
            raise ValueError("a base URL has no query and no fragment")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("the base URL's host or port is malformed") from None
        if parts.scheme not in DEFAULT_PORTS:
            raise ValueError("a base URL begins with http:// or https://")
        if "@" in parts.netloc:
            raise ValueError("a base URL contains no user name or password")
        if port == 0 or parts.netloc.endswith(":"):
            raise ValueError("the base URL's port is not between 1 and 65535")
        if not _PATH.fullmatch(parts.path):
            raise ValueError("the base URL's path has a character that must be percent-encoded")
        return cls(
            scheme=parts.scheme,
            host=_host(parts),
            port=port or DEFAULT_PORTS[parts.scheme],
            base_path=parts.path.rstrip("/"),
            trusted=trusted,
        )


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").removesuffix(".")
    if not host:
        raise ValueError("the base URL names no host")
    if "[" in parts.netloc:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError("the base URL's host is not an IPv6 address") from None
        if address.scope_id:
            raise ValueError("the base URL's host has a zone, which is local to one machine")
        return address.compressed
    if len(host) > HOST_MAX or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise ValueError("the base URL's host is not a host name; write it in its ASCII form")
    return host
