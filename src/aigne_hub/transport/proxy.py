"""Tunnels through an HTTP proxy (RFC 9110, 9.3.6), used for http and https origins alike."""

import asyncio
import base64
import re
import socket
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote_to_bytes

from aigne_hub.transport.errors import ConnectFailed
from aigne_hub.transport.origin import Origin

REPLY_MAX = 16 * 1024

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")


@dataclass(frozen=True, slots=True)
class Proxy:
    origin: Origin
    authorization: bytes | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the proxy of "http://host:port", with "user:password@" if it needs them.

        Raises ValueError, never repeating the credentials.
        """
        scheme, mark, rest = url.partition("://")
        userinfo, at, address = rest.rpartition("@")
        try:
            origin = Origin.parse(f"{scheme}{mark}{address}", trusted=True)
        except ValueError as error:
            raise ValueError(f"the proxy URL cannot be used: {error}") from None
        if origin.tls or origin.base_path:
            raise ValueError("a proxy URL has the form http://user:password@host:port")
        if not at:
            return cls(origin)
        token = base64.b64encode(unquote_to_bytes(userinfo))
        return cls(origin, b"proxy-authorization: Basic " + token + b"\r\n")

    async def tunnel(self, sock: socket.socket, authority: str) -> None:
        """Ask the proxy at the other end of `sock` for a tunnel to `authority`.

        Raises ConnectFailed when it refuses or answers anything but one response head.
        """
        loop = asyncio.get_running_loop()
        target = authority.encode("ascii")
        await loop.sock_sendall(
            sock,
            b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n%b\r\n"
            % (target, target, self.authorization or b""),
        )
        reply = b""
        while b"\r\n\r\n" not in reply:
            data = await loop.sock_recv(sock, REPLY_MAX)
            reply += data
            if not data or len(reply) > REPLY_MAX:
                raise ConnectFailed("the proxy did not answer with a complete response head")
        status = _STATUS.match(reply)
        if status is None:
            raise ConnectFailed("the proxy did not answer in HTTP/1.1")
        if not status[1].startswith(b"2"):
            raise ConnectFailed(f"the proxy refused the tunnel with status {int(status[1])}")
        # Neither HTTP nor TLS lets the server speak first, so these bytes are the proxy's.
        if not reply.endswith(b"\r\n\r\n") or reply.count(b"\r\n\r\n") != 1:
            raise ConnectFailed("the proxy sent bytes after its response head")
