"""Calls as their clients see them, up to the moment the hub dies."""

import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.caller import chat

PROMPT = "count for a long time"
WAIT_S = 60.0
# The journal may be a quarter of a second behind what was delivered, on a machine that gives the
# hub its time; and only behind its newer half, on any.
JOURNALED_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Step:
    """`times` calls at once; `poor` is the caller who cannot pay."""

    model: str
    stream: bool = False
    times: int = 1
    poor: bool = False


@dataclass(slots=True)
class Asked:
    """One call. `pieces` are content and when it arrived, `whole` is a complete answer."""

    step: Step
    status: int | None = None
    call_id: str | None = None
    pieces: list[tuple[float, str]] = field(default_factory=list)
    whole: bool = False
    ended: float = 0.0

    @property
    def text(self) -> str:
        return "".join(piece for _, piece in self.pieces)

    @property
    def old_text(self) -> str:
        """What had arrived so long before the end that it must be durable."""
        limit = self.ended - JOURNALED_WITHIN_S
        return "".join(piece for at, piece in self.pieces if at < limit)

    def send(self, port: int, key: str) -> None:
        """Make the call; returns when it is answered or the connection broke."""
        body = json.dumps(chat(f"openai/{self.step.model}", PROMPT, stream=self.step.stream))
        headers = {"Authorization": f"Bearer {key}"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        try:
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            self.status, self.call_id = answer.status, answer.headers["x-aigne-hub-call-id"]
            if self.step.stream and self.status == 200:
                self._read_stream(answer)
            else:
                answer.read()
                self.whole = True
        except (OSError, http.client.HTTPException):
            pass
        finally:
            self.ended = time.monotonic()
            connection.close()

    def _read_stream(self, answer: http.client.HTTPResponse) -> None:
        while line := answer.readline():
            if line.startswith(b"data: {"):
                choices = json.loads(line[6:])["choices"]
                content = choices[0]["delta"].get("content") if choices else None
                if content:
                    self.pieces.append((time.monotonic(), content))
            elif line.startswith(b"data: [DONE]"):
                self.whole = True


def at_once(asked: Sequence[Asked], port: int, key: str) -> None:
    """Make several calls at the same time."""
    senders = [threading.Thread(target=each.send, args=(port, key)) for each in asked]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
