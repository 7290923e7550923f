"""Sound as it passes, byte for byte: an answer that is no events and reports nothing."""

from aigne_hub.domain.errors import HubError, UpstreamError
from aigne_hub.domain.quotes import BYTES_PER_TOKEN
from aigne_hub.domain.usage import NO_REPORT, Report, Usage

# No sound begins as JSON does; an error that is sent as if it were one is short.
_JSON = b"{"


class SoundMeter:
    """dialects.StreamMeter of plain sound; `bytes_per_token` of it are counted as one token."""

    plain = True

    def __init__(self, bytes_per_token: int) -> None:
        self.complete = False
        self.failure: HubError | None = None
        self.report: Report = NO_REPORT
        self._bytes_per_token = bytes_per_token
        self._passed = 0

    @property
    def begun(self) -> bool:
        return self._passed > 0

    @property
    def usage(self) -> Usage | None:
        return None

    @property
    def delivered_bytes(self) -> int:
        """What passed, as the text that would be as many tokens."""
        return -(-self._passed // self._bytes_per_token) * BYTES_PER_TOKEN

    @delivered_bytes.setter
    def delivered_bytes(self, _: int) -> None:
        raise AssertionError("what passed is counted here")

    def feed(self, data: bytes) -> bytes:
        if not self._passed and data[:1] == _JSON:
            self.failure = UpstreamError("The upstream answered 200 without sound.")
            return b""
        self._passed += len(data)
        return data

    def end(self) -> None:
        self.complete = self._passed > 0

    def last(self, _charge: str, _counted: Usage) -> bytes:
        return b""
