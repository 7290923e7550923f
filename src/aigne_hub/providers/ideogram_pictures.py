"""Ideogram's pictures themselves, for callers who want them in place of their addresses.

The addresses end after a while; they are at the vendor's own hosts:
https://developer.ideogram.ai/api-reference/api-reference/generate-v3, stored copy, November 2026.
"""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import orjson

from aigne_hub.providers.rewritten import Rewritten
from aigne_hub.providers.upstream import Answer
from aigne_hub.transport import Client, Origin, TransportError, request_head

# All pictures of an answer together; what is more keeps its address.
PICTURES_BYTES_MAX = 64 * 1024 * 1024
_HOST = "ideogram.ai"
_PORT = 443


class Inlined(Rewritten):
    """An answer whose pictures are fetched before it is read.

    `own` is where the provider was declared to be. A picture that cannot be had keeps its
    address: it was made, and is paid for. Nothing is fetched once the answer was closed.
    """

    def __init__(
        self, answer: Answer, client: Client, own: Origin, rewritten: Callable[[bytes], bytes]
    ) -> None:
        super().__init__(answer, whole=rewritten, content_type=b"application/json")
        self._client = client
        self._own = own
        self._room = PICTURES_BYTES_MAX
        self._fetched: Answer | None = None
        self._is_closed = False

    async def read(self) -> bytes:
        body = await super().read()
        if self.status != 200:
            return body
        try:
            value = orjson.loads(body)
            pictures = [one for one in value["data"] if isinstance(one.get("url"), str)]
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return body
        for picture in pictures:
            await self._put_in(picture)
        try:
            return orjson.dumps(value)
        except orjson.JSONEncodeError:
            return body

    def close(self) -> None:
        self._is_closed = True
        if self._fetched is not None:
            self._fetched.close()
        super().close()

    async def _put_in(self, picture: dict[str, Any]) -> None:
        """Put the picture in place of its address, where it can be had."""
        if self._is_closed:
            return
        try:
            origin, path = self._place(picture["url"])
            answer = await self._client.send(origin, request_head("GET", origin, path))
        except (ValueError, TransportError):
            return
        self._fetched = answer
        try:
            data = await self._bytes_of(answer)
        except TransportError:
            data = b""
        finally:
            self._fetched = None
            answer.close()
        if data:
            del picture["url"]
            picture["b64_json"] = base64.b64encode(data).decode()

    async def _bytes_of(self, answer: Answer) -> bytes:
        """Return a picture, nothing for one that is refused, elsewhere now, or too large."""
        if answer.status != 200:
            return b""
        data = bytearray()
        while (piece := await answer.chunk()) is not None:
            data += piece
            if len(data) > self._room:
                return b""
        self._room -= len(data)
        return bytes(data)

    def _place(self, url: str) -> tuple[Origin, str]:
        """Return where a picture is; raises ValueError where nothing is ever asked for."""
        parts = urlsplit(url)
        place = Origin.parse(f"{parts.scheme}://{parts.netloc}")
        if (place.host, place.port, place.tls) == (self._own.host, self._own.port, self._own.tls):
            place = Origin.parse(f"{parts.scheme}://{parts.netloc}", trusted=self._own.trusted)
        elif not _is_theirs(place):
            raise ValueError("the address of a picture is not at the vendor's")
        return place, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _is_theirs(place: Origin) -> bool:
    host = place.host
    return place.tls and place.port == _PORT and (host == _HOST or host.endswith(f".{_HOST}"))
