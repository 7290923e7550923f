"""A plain HTTP caller for data-plane tests: what came back, byte for byte."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.hub import HubProcess

PROMPT = "say hello to me"
WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `headers` have lower-cased names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def call_id(self) -> str:
        return self.headers["x-aigne-hub-call-id"]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON events of a stream, in order, without its terminator."""
        lines = [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: {")]
        return [json.loads(line) for line in lines]

    @property
    def done(self) -> bool:
        return b"data: [DONE]" in self.body

    @property
    def streamed(self) -> bool:
        return self.headers["content-type"].startswith("text/event-stream")

    @property
    def error(self) -> dict[str, Any]:
        """The error object: of a refused request, or of a stream's last event."""
        value: dict[str, Any] = (self.events[-1] if self.streamed else self.json)["error"]
        return value

    @property
    def text(self) -> str:
        """The content of the first choice."""
        if not self.streamed:
            return str(self.json["choices"][0]["message"]["content"])
        choices = [event["choices"][0] for event in self.events if event.get("choices")]
        return "".join(choice["delta"].get("content") or "" for choice in choices)


def chat(model: str, content: str = PROMPT, **members: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], **members}


def ask(
    hub: HubProcess,
    model: str,
    content: str = PROMPT,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Reply:
    """Send one chat completion and read its whole answer."""
    body = json.dumps(chat(model, content, **members)).encode()
    return post(hub, "/v1/chat/completions", body, key=key, headers=headers)


def post(
    hub: HubProcess,
    path: str,
    body: bytes,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    with begun(hub, path, body, key=key, headers=headers) as answer:
        return Reply(answer.status, _lowered(answer), answer.read())


@contextmanager
def begun(
    hub: HubProcess,
    path: str,
    body: bytes,
    *,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """Give an answer whose head has arrived; leaving early closes the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=WAIT_S)
    sent = {"Authorization": f"Bearer {key or hub.key}", "Content-Type": "application/json"}
    connection.request("POST", path, body, {**sent, **(headers or {})})
    answer = connection.getresponse()
    try:
        yield answer
    finally:
        answer.close()
        connection.close()


def _lowered(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}
