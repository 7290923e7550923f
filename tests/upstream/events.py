"""The server-sent events of a streamed answer."""

import json
from dataclasses import dataclass
from typing import Any

from tests.upstream.answers import CREATED, FINGERPRINT, Text, chat_deltas

DONE = b"data: [DONE]\n\n"
Json = dict[str, Any]


def event(payload: Json) -> bytes:
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream's choices: before the content, the content, and the finish reasons."""

    envelope: Json
    opening: list[Json]
    content: list[Json]
    closing: list[Json]
    reports_usage: bool

    def chunk(self, choice: Json) -> bytes:
        usage = {"usage": None} if self.reports_usage else {}
        return event({**self.envelope, "choices": [choice], **usage})

    def usage_chunk(self, usage: Json) -> bytes:
        return event({**self.envelope, "choices": [], "usage": usage})


def chat_stream(body: Json, identifier: str, text: Text, count: int) -> Stream:
    opening, deltas = chat_deltas(text)
    return Stream(
        _envelope(body, identifier, "chat.completion.chunk"),
        [_chat_choice(index, opening) for index in range(count)],
        [_chat_choice(index, delta) for delta in deltas for index in range(count)],
        [_chat_choice(index, {}, text.finish_reason) for index in range(count)],
        wants_usage(body),
    )


def completion_stream(body: Json, identifier: str, text: Text, count: int) -> Stream:
    return Stream(
        _envelope(body, identifier, "text_completion"),
        [],
        [_text_choice(index, piece) for piece in text.pieces for index in range(count)],
        [_text_choice(index, "", text.finish_reason) for index in range(count)],
        wants_usage(body),
    )


def wants_usage(body: Json) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def _envelope(body: Json, identifier: str, kind: str) -> Json:
    return {
        "id": identifier,
        "object": kind,
        "created": CREATED,
        "model": body["model"],
        "system_fingerprint": FINGERPRINT,
    }


def _chat_choice(index: int, delta: Json, finish_reason: str | None = None) -> Json:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _text_choice(index: int, text: str, finish_reason: str | None = None) -> Json:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}
