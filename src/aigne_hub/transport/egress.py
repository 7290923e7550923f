"""Which addresses a URL that did not come from the operator may reach.

The table is our own because `ipaddress.is_global` accepts addresses that lead inside, such
as 64:ff9b::7f00:1, 2002:7f00:1:: and 192.0.0.192, on the Python versions we support.
Source: the IANA special-purpose address registries (RFC 6890 and its updates).
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

DENIED_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier NAT, holds Alibaba's metadata 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent, inside public space
        "169.254.0.0/16",  # link-local, holds the metadata address 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, holds Oracle's metadata 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved and broadcast
    )
)
# Everything else in IPv6 is loopback, unique local (fd00:ec2::254), link-local, multicast,
# NAT64 (64:ff9b::/96, 64:ff9b:1::/48), discard, or not assigned.
GLOBAL_V6 = IPv6Network("2000::/3")
DENIED_V6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries any IPv4 address
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Return whether an IP address, as a socket names it, is ordinary public space.

    Anything that is not an IP address is not public.
    """
    try:
        parsed: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            return parsed in GLOBAL_V6 and not any(parsed in block for block in DENIED_V6)
        parsed = parsed.ipv4_mapped
    return not any(parsed in block for block in DENIED_V4)
