"""Bedrock: Claude in Anthropic's own words, through InvokeModel, and all others by Converse.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
and its neighbours on InvokeModelWithResponseStream, CountTokens and Converse; stored copies,
November 2026.
"""

import base64
import re
from typing import Any

import orjson

from aigne_hub.catalog.snapshot import Provider
from aigne_hub.ports import Clock
from aigne_hub.providers.bedrock_runtime import Runtime
from aigne_hub.providers.event_stream import Decoder, Message
from aigne_hub.providers.languages import written
from aigne_hub.providers.profile import ANTHROPIC_LANGUAGE, CONVERSE_LANGUAGE
from aigne_hub.providers.rewritten import Rewritten
from aigne_hub.providers.upstream import Answer
from aigne_hub.providers.usage import ANTHROPIC, CONVERSE
from aigne_hub.providers.vertex import said_below_a_model
from aigne_hub.transport import Client

ANTHROPIC_VERSION = "bedrock-2023-05-31"
_COUNT = "messages/count_tokens"
_EVENTS = b"text/event-stream; charset=utf-8"
_BETA = re.compile(rb"(?im)^anthropic-beta: ?([^\r\n]*)")
# What Anthropic would call an error that Bedrock tells of in a stream.
_ERRORS = {
    "throttlingException": "rate_limit_error",
    "serviceUnavailableException": "overloaded_error",
    "modelTimeoutException": "timeout_error",
    "validationException": "invalid_request_error",
}


class BedrockAnthropic:
    """providers.upstream.Upstream over HTTP, for one model."""

    wire = ANTHROPIC

    def __init__(self, runtime: Runtime, model: str = "") -> None:
        self.limit_field = runtime.limit_field
        self._runtime = runtime
        self._model = model

    @classmethod
    def of(
        cls, client: Client, provider: Provider, secret: str, clock: Clock
    ) -> "BedrockAnthropic":
        return cls(Runtime(client, provider, secret, ANTHROPIC_LANGUAGE, clock))

    def serving(self, model: str) -> "BedrockAnthropic":
        return BedrockAnthropic(self._runtime, model)

    async def send(self, operation: str, body: bytes, headers: bytes = b"") -> Answer:
        said, is_stream = _said(body, headers)
        if operation == _COUNT:
            given = base64.b64encode(said).decode()
            asked = orjson.dumps({"input": {"invokeModel": {"body": given}}})
            answer = await self._runtime.post(self._model, "count-tokens", asked)
            return Rewritten(answer, whole=_counted)
        if not is_stream:
            return await self._runtime.post(self._model, "invoke", said)
        answer = await self._runtime.post(self._model, "invoke-with-response-stream", said)
        return Rewritten(answer, piece=Events().written, content_type=_EVENTS)


class BedrockConverse:
    """providers.upstream.Upstream over HTTP, for one model.

    An operation is `converse` or `converse-stream`, which answers in a binary stream of events.
    """

    wire = CONVERSE

    def __init__(self, runtime: Runtime, model: str = "") -> None:
        self.limit_field = runtime.limit_field
        self._runtime = runtime
        self._model = model

    @classmethod
    def of(cls, client: Client, provider: Provider, secret: str, clock: Clock) -> "BedrockConverse":
        return cls(Runtime(client, provider, secret, CONVERSE_LANGUAGE, clock))

    def serving(self, model: str) -> "BedrockConverse":
        return BedrockConverse(self._runtime, model)

    async def send(self, operation: str, body: bytes, _headers: bytes = b"") -> Answer:
        return await self._runtime.post(self._model, operation, body)


class Events:
    """Anthropic's events out of Bedrock's stream: `written` of what came. Never raises."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._is_broken = False

    def written(self, data: bytes) -> bytes:
        if self._is_broken:
            return b""
        events = []
        try:
            for message in self._decoder.feed(data):
                events.append(_event(message))  # noqa: PERF401 - what came before damage counts
        except (ValueError, KeyError, TypeError):
            self._is_broken = True
            events.append(_error("api_error", "The provider's event stream is damaged."))
        return b"".join(events)


def _event(message: Message) -> bytes:
    """Return one message as an event. Raises ValueError, KeyError or TypeError for nonsense."""
    headers = message.headers
    kind = headers.get(":message-type", "event")
    if kind == "error":
        return _error("api_error", headers.get(":error-message", "unknown"))
    value = orjson.loads(message.payload)
    if kind == "exception":
        name = headers.get(":exception-type", "")
        return _error(_ERRORS.get(name, "api_error"), str(value["message"]))
    if headers.get(":event-type") != "chunk":
        return b""
    payload = base64.b64decode(value["bytes"], validate=True)
    event: Any = orjson.loads(payload)
    return b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), _on_one_line(payload, event))


def _on_one_line(payload: bytes, event: object) -> bytes:
    return orjson.dumps(event) if b"\n" in payload or b"\r" in payload else payload


def _error(kind: str, message: str) -> bytes:
    error = {"type": "error", "error": {"type": kind, "message": message}}
    return b"event: error\ndata: %b\n\n" % orjson.dumps(error)


def _said(body: bytes, headers: bytes) -> tuple[bytes, bool]:
    """Return the body that Bedrock takes, with the betas of the call's headers in it."""
    said, is_stream = said_below_a_model(body, ANTHROPIC_VERSION, keeps_stream=False)
    names = [name.strip() for one in _BETA.findall(headers) for name in one.split(b",")]
    if not any(names) or not said.startswith(b"{"):
        return said, is_stream
    betas = [name.decode("latin-1") for name in names if name]
    return written({"anthropic_beta": betas, **orjson.loads(said)}), is_stream


def _counted(body: bytes) -> bytes:
    """Return Anthropic's answer to a count for Bedrock's; what is none stays as it is."""
    try:
        return orjson.dumps({"input_tokens": orjson.loads(body)["inputTokens"]})
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body
