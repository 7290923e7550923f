"""From where a request comes."""

from ipaddress import ip_address, ip_network

from fastapi import Request

_IPV6_PREFIX = 64


def network_of(request: Request) -> str:
    """Return the address that asks; of IPv6 the network that one subscriber has."""
    host = request.client.host if request.client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return str(address)
    return str(ip_network((address, _IPV6_PREFIX), strict=False))
