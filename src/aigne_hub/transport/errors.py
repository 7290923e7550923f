"""How a call to a provider can fail below HTTP semantics.

TransportError
├── ConnectFailed       refused, unknown name, TLS failure, address not allowed, proxy refusal
├── ConnectTimeout      no usable connection in time, waiting for a free one included
├── FirstByteTimeout    connected and sent, but no complete response head in time
├── IdleTimeout         the answer began and then fell silent
├── TotalTimeout        the whole exchange took too long
├── ProtocolError       the peer's bytes are not an acceptable HTTP/1.1 response
├── ConnectionCut       the connection ended before the declared end of the answer
├── BodyTooLarge        the body exceeds what `Answer.read` may hold
└── TransportClosed     this side gave the answer, or the whole client, up
"""


class TransportError(Exception):
    """A failed exchange.

    `message` is one line without addresses or secrets, safe to show to a caller.
    `sent` is True when the request may have reached the server, which makes a second
    attempt a second request.
    """

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.sent = sent


class ConnectFailed(TransportError):
    pass


class ConnectTimeout(TransportError):
    pass


class FirstByteTimeout(TransportError):
    pass


class IdleTimeout(TransportError):
    pass


class TotalTimeout(TransportError):
    pass


class ProtocolError(TransportError):
    pass


class ConnectionCut(TransportError):
    pass


class BodyTooLarge(TransportError):
    pass


class TransportClosed(TransportError):
    pass
