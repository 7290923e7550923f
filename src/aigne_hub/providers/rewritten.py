"""Answers that reach the gateway in another form than the provider gave them."""

from collections.abc import Callable

from aigne_hub.providers.upstream import Answer


class Rewritten:
    """providers.upstream.Answer of another, whose body is rewritten.

    `whole` rewrites a complete body and `piece` what came of a stream; answers that are
    not 200 stay as they are. Neither raises.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        whole: Callable[[bytes], bytes] | None = None,
        piece: Callable[[bytes], bytes] | None = None,
        content_type: bytes | None = None,
    ) -> None:
        self._answer = answer
        is_good = answer.status == 200
        self._whole = whole if is_good else None
        self._piece = piece if is_good else None
        self._content_type = content_type if is_good else None

    @property
    def status(self) -> int:
        return self._answer.status

    def header(self, name: bytes) -> bytes | None:
        if name == b"content-type" and self._content_type is not None:
            return self._content_type
        return self._answer.header(name)

    async def read(self) -> bytes:
        body = await self._answer.read()
        return body if self._whole is None else self._whole(body)

    async def chunk(self) -> bytes | None:
        while (data := await self._answer.chunk()) is not None:
            written = data if self._piece is None else self._piece(data)
            if written:
                return written
        return None

    async def pour(self, sink: Callable[[bytes], bool]) -> bool:
        piece = self._piece
        if piece is None:
            return await self._answer.pour(sink)

        def take(data: bytes) -> bool:
            written = piece(data)
            return not written or sink(written)

        return await self._answer.pour(take)

    def close(self) -> None:
        self._answer.close()

    def leave(self) -> None:
        self._answer.leave()
