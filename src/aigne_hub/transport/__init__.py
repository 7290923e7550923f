"""The hub's own HTTP/1.1 client for calls to providers.

`Client.send` writes one request and returns an `Answer` as soon as its head has arrived;
every failure is a `TransportError` that says whether the request may have been seen.
"""

from aigne_hub.transport.answer import Answer
from aigne_hub.transport.client import Client
from aigne_hub.transport.errors import (
    BodyTooLarge,
    ConnectFailed,
    ConnectionCut,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    ProtocolError,
    TotalTimeout,
    TransportClosed,
    TransportError,
)
from aigne_hub.transport.origin import Origin
from aigne_hub.transport.request import request_head
from aigne_hub.transport.target import Target
from aigne_hub.transport.timeouts import Timeouts

__all__ = [
    "Answer",
    "BodyTooLarge",
    "Client",
    "ConnectFailed",
    "ConnectTimeout",
    "ConnectionCut",
    "FirstByteTimeout",
    "IdleTimeout",
    "Origin",
    "ProtocolError",
    "Target",
    "Timeouts",
    "TotalTimeout",
    "TransportClosed",
    "TransportError",
    "request_head",
]
