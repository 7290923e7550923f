"""What answers in the caller's dialect have in common when the provider spoke another."""

from aigne_hub.domain.usage import NO_REPORT, Report, Usage
from aigne_hub.providers.upstream import Answer

JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"


class Translated:
    """The part of providers.upstream.Answer that needs no content.

    `report` is what the provider has said of usage so far; `not_carried` names what of the
    request the provider was not told.
    """

    def __init__(self, answer: Answer, not_carried: tuple[str, ...], content_type: bytes) -> None:
        self.report: Report = NO_REPORT
        self.not_carried = not_carried
        self._answer = answer
        self._content_type = content_type

    def usage(self, _produced: int) -> Usage | None:
        """Return the provider's figures; `_produced` tokens of output are what the hub counted."""
        return self.report.usage

    @property
    def status(self) -> int:
        return self._answer.status

    def header(self, name: bytes) -> bytes | None:
        return self._content_type if name == b"content-type" else self._answer.header(name)

    def close(self) -> None:
        self._answer.close()

    def leave(self) -> None:
        self._answer.leave()
