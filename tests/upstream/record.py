"""What the upstream saw and did, call by call, for tests to read back."""

import hashlib
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from tests.upstream.connection import Connection, Request

MAX_RECORDS = 200_000
# Bodies above this are known by their hash alone, so that a long run stays small in memory.
MAX_KEPT_BODY_BYTES = 16 * 1024


@dataclass(slots=True)
class Record:
    """One call. Times are milliseconds since the whole request had arrived; None: not yet."""

    number: int
    connection: int
    method: str
    path: str
    key: str | None
    headers: dict[str, str]
    body_sha256: str
    body_bytes: int
    body: Any = None
    model: str | None = None
    stream: bool = False
    status: int | None = None
    chunks_sent: int = 0
    tokens_sent: int = 0
    bytes_sent: int = 0
    client_gone: bool = False
    client_gone_ms: float | None = None
    duration_ms: float | None = None


class Log:
    """The last MAX_RECORDS calls, oldest first."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque(maxlen=MAX_RECORDS)
        self._seen = 0

    def open(self, request: Request, connection: Connection) -> Record:
        self._seen += 1
        authorization = request.headers.get("authorization", "")
        record = Record(
            number=self._seen,
            connection=connection.number,
            method=request.method,
            path=request.path,
            key=authorization.removeprefix("Bearer ")
            or request.headers.get("api-key")
            or request.headers.get("x-api-key")
            or request.headers.get("x-goog-api-key"),
            headers=request.headers,
            body_sha256=hashlib.sha256(request.body).hexdigest(),
            body_bytes=len(request.body),
        )
        self._records.append(record)
        return record

    def reset(self) -> None:
        self._records.clear()

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(record) for record in self._records]
