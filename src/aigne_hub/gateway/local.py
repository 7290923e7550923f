"""The built-in provider as an upstream: its answers are at hand."""

from collections import deque
from collections.abc import Callable
from typing import Any, Self

import orjson

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.gateway.dialects import Estimating
from aigne_hub.gateway.dialects.openai.neutral import ChatForm
from aigne_hub.ports import Clock
from aigne_hub.providers import demo
from aigne_hub.providers.usage import OPENAI

_EVENTS_MAX = 100_000
_FORM = ChatForm()


class LocalAnswer:
    """providers.upstream.Answer whose bytes are at hand."""

    status = 200

    def __init__(self, frames: list[bytes], content_type: bytes) -> None:
        self._frames = deque(frames)
        self._content_type = content_type

    def header(self, name: bytes) -> bytes | None:
        return self._content_type if name == b"content-type" else None

    async def read(self) -> bytes:
        body = b"".join(self._frames)
        self._frames.clear()
        return body

    async def chunk(self) -> bytes | None:
        return self._frames.popleft() if self._frames else None

    async def pour(self, sink: Callable[[bytes], bool]) -> bool:
        while self._frames:
            if not sink(self._frames.popleft()):
                return False
        return True

    def close(self) -> None:
        self._frames.clear()

    def leave(self) -> None:
        self._frames.clear()


class Estimator:
    """providers.upstream.Upstream that asks nobody: what is asked, the hub estimates."""

    limit_field = ""
    wire = OPENAI

    def __init__(self, form: Estimating) -> None:
        self._form = form

    def serving(self, _model: str) -> Self:
        return self

    async def send(self, _operation: str, body: bytes, _headers: bytes = b"") -> LocalAnswer:
        return LocalAnswer([self._form.estimate(body)], b"application/json")


class DemoUpstream:
    """providers.upstream.Upstream over the built-in provider."""

    limit_field = "max_completion_tokens"
    wire = OPENAI

    def __init__(self, clock: Clock, new_id: Callable[[], str]) -> None:
        self._clock = clock
        self._new_id = new_id

    def serving(self, _model: str) -> Self:
        return self

    async def send(self, operation: str, body: bytes, _headers: bytes = b"") -> LocalAnswer:
        answer: Callable[[bytes], LocalAnswer] | None = {
            "chat/completions": self._chat,
            "embeddings": self._embeddings,
            "images/generations": self._images,
        }.get(operation)
        if answer is None:
            raise InvalidRequest(f"The demo provider does not offer {operation}.")
        return answer(body)

    def _chat(self, body: bytes) -> LocalAnswer:
        request = _FORM.request(body)
        writer = _FORM.writer(request, self._new_id(), self._clock.now_us() // 1_000_000)
        events = demo.echo(request)
        if len(events) > _EVENTS_MAX:
            raise InvalidRequest("The message is too long for the demo provider.")
        if request.stream:
            return LocalAnswer([writer.feed([one]) for one in events], b"text/event-stream")
        return LocalAnswer([writer.whole(events)], b"application/json")

    def _embeddings(self, body: bytes) -> LocalAnswer:
        value: dict[str, Any] = orjson.loads(body)
        given = value["input"]
        items = given if isinstance(given, list) and not _is_tokens(given) else [given]
        texts = [item if isinstance(item, str) else orjson.dumps(item).decode() for item in items]
        as_base64 = value.get("encoding_format") == "base64"
        answer = demo.embed(texts, as_base64=as_base64, model=value["model"])
        return LocalAnswer([answer], b"application/json")

    def _images(self, body: bytes) -> LocalAnswer:
        value: dict[str, Any] = orjson.loads(body)
        created = self._clock.now_us() // 1_000_000
        answer = demo.image(value["prompt"], value.get("n") or 1, created)
        return LocalAnswer([answer], b"application/json")


def _is_tokens(given: list[Any]) -> bool:
    return bool(given) and all(isinstance(item, int) for item in given)
