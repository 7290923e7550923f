"""Mistakes in a provider's base URL that can be seen without calling it."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

# Ends of an endpoint's own path, which the hub appends itself.
_ENDPOINTS: Final = (
    "/chat/completions",
    "/completions",
    "/embeddings",
    "/images/generations",
    "/messages",
    "/models",
    "/responses",
)
# Vendors whose OpenAI-compatible address is the host alone.
_WITHOUT_PATH: Final = frozenset({"api.deepseek.com"})


def mistake(url: str) -> tuple[str, str] | None:
    """Return what is wrong with a base URL and the remedy, None when it looks right."""
    parts = urlsplit(url)
    path, host = parts.path.rstrip("/"), parts.hostname or ""
    for ending in _ENDPOINTS:
        if path.endswith(ending):
            right = url.rstrip("/").removesuffix(ending)
            return f"ends with {ending}, which the hub adds itself", f"write {right}"
    if "/v1/v1" in path:
        return "has /v1 twice", f"write {url.replace('/v1/v1', '/v1')}"
    if not path and host not in _WITHOUT_PATH:
        return "has no path", f"OpenAI-compatible servers answer below /v1: write {url}/v1"
    inside = _is_inside(host)
    if parts.scheme == "https" and _is_loopback(host):
        return (
            "is https on this machine, where servers rarely speak TLS",
            f"write http{url.removeprefix('https')} unless it has a certificate",
        )
    if parts.scheme == "http" and not inside:
        return (
            "is http: keys and prompts cross the network in clear",
            f"write https{url.removeprefix('http')}",
        )
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_inside(host: str) -> bool:
    """Tell whether a host is this machine or a private network, as far as its name shows."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return _is_loopback(host) or "." not in host or host.endswith((".internal", ".local"))
