import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aigne_hub.transport import egress, tls
from aigne_hub.transport.connection import Connection
from aigne_hub.transport.errors import ConnectFailed
from aigne_hub.transport.origin import Origin
from aigne_hub.transport.proxy import Proxy

ADDRESSES_MAX = 8  # of one name, tried in the resolver's order
# A model may think for minutes without a byte, longer than many NAT tables remember.
KEEP_ALIVE_PROBES = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5}

Address = tuple[int, tuple[Any, ...]]
"""A socket family and the socket address, as `getaddrinfo` pairs them."""

Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]


async def system_resolver(host: str, port: int) -> Sequence[Address]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


class Dialer:
    """Opens connections: resolves, checks, connects, tunnels and starts TLS."""

    def __init__(
        self,
        *,
        context: ssl.SSLContext,
        proxy: Proxy | None,
        direct: frozenset[str] = frozenset(),
        resolver: Resolver,
    ) -> None:
        self._context = context
        self._proxy = proxy
        self._direct = direct
        self._resolver = resolver

    async def dial(
        self, origin: Origin, factory: Callable[[], Connection], *, deadline: float
    ) -> Connection:
        """Return a new connection to the origin, ready for a request.

        The caller bounds the whole by `deadline` (loop time); here it only divides what is
        left among the addresses of one name. Raises ConnectFailed.
        """
        loop = asyncio.get_running_loop()
        try:
            sock = await self._reach(origin, deadline)
            _, connection = await loop.create_connection(
                factory,
                sock=sock,
                ssl=self._context if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except ssl.SSLError as error:
            raise ConnectFailed(f"{origin.authority}: {tls.failure(error)}") from error
        except OSError as error:
            raise ConnectFailed(f"{origin.authority}: {_reason(error)}") from error
        if connection.closed:
            raise ConnectFailed(f"{origin.authority}: the peer closed the new connection")
        return connection

    async def _reach(self, origin: Origin, deadline: float) -> socket.socket:
        if self._proxy is None or origin.host in self._direct:
            addresses = await self._addresses(origin)
            return await self._connect(addresses, deadline, guarded=not origin.trusted)
        # The proxy would resolve a name by itself, so one the guard must check is resolved
        # here and the tunnel is asked for by address.
        authority = origin.authority
        if not origin.trusted:
            _, (ip, port, *_) = (await self._addresses(origin))[0]
            authority = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
        addresses = await self._addresses(self._proxy.origin)
        sock = await self._connect(addresses, deadline, guarded=False)
        try:
            await self._proxy.tunnel(sock, authority)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _addresses(self, origin: Origin) -> Sequence[Address]:
        try:
            found = await self._resolver(origin.host, origin.port)
        except OSError as error:
            raise ConnectFailed(f"{origin.authority}: the host name has no address") from error
        if not origin.trusted:
            found = [address for address in found if egress.is_public(address[1][0])]
        if not found:
            raise ConnectFailed(f"{origin.authority}: the host has no address the hub may call")
        return found[:ADDRESSES_MAX]

    @staticmethod
    async def _connect(
        addresses: Sequence[Address], deadline: float, *, guarded: bool
    ) -> socket.socket:
        now = asyncio.get_running_loop().time
        *others, last = addresses
        for tried, address in enumerate(others):
            share = (deadline - now()) / (len(addresses) - tried)
            try:
                async with asyncio.timeout(share):
                    return await connect_one(address, guarded=guarded)
            except OSError:
                continue
        return await connect_one(last, guarded=guarded)


async def connect_one(address: Address, *, guarded: bool) -> socket.socket:
    """Return a non-blocking socket connected to one address.

    Raises OSError, or ConnectFailed when a guarded one ends at an address that is not public.
    """
    family, sockaddr = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE_PROBES.items():
            if hasattr(socket, name):  # not every platform can tune the probes
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
        # What was checked before is an entry of a list; this is where we really are.
        admitted = not guarded or egress.is_public(sock.getpeername()[0])
    except BaseException:
        sock.close()
        raise
    if not admitted:
        sock.close()
        raise ConnectFailed("the connection led to an address the hub may not call")
    return sock


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, ConnectionError):
        return "the peer broke the connection off while it was being made"
    return f"the connection could not be made ({error.strerror or type(error).__name__})"
