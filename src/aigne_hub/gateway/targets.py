"""What serves a request target: read once, then remembered."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import httptools

from aigne_hub.auth.verifier import Fields
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.head import Headers, below_mount, check_target

# How many targets are remembered; others are read each time.
KNOWN_MAX = 64

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]


class Unloaded:
    """A handler whose look-up finds another once it has answered: it is not remembered."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Handler) -> None:
        self._answer = answer

    def __call__(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        return self._answer(exchange)


class Target(NamedTuple):
    """A checked target. `handler` is None for what the data plane does not serve.

    `path` is decoded; it and `url` are without the mount point.
    """

    handler: Handler | None
    path: str
    query: bytes
    url: bytes


class RequestHead(NamedTuple):
    """A checked request head: `headers` in lower case as they came, `fields` by name."""

    method: str
    target: Target
    headers: Headers
    fields: Fields


class Targets:
    """Looks up targets by `find(method, path)`; what a method and target mean never changes."""

    def __init__(self, find: Callable[[str, str], Handler | None]) -> None:
        self._find = find
        self._known: dict[tuple[bytes, bytes], Target] = {}

    def look_up(self, method: bytes, url: bytes) -> Target:
        """Return what a request line asks for; raises Refused for a target nobody should send."""
        known = self._known.get((method, url))
        if known is not None:
            return known
        parsed = httptools.parse_url(url)
        check_target(url, parsed)
        path, below = below_mount(url, parsed)
        handler = self._find(method.decode("ascii"), path)
        target = Target(handler, path, parsed.query or b"", below)
        # Gemini's targets are as many as its models, and may have a key in them; and there
        # are as many of what is stored.
        own = b":" in url or b"key=" in url or b"/responses/" in url or b"/videos/" in url
        passing = handler is None or isinstance(handler, Unloaded)
        if not (own or passing) and len(self._known) < KNOWN_MAX:
            self._known[method, url] = target
        return target
