"""Bedrock: Claude in Anthropic's own words, through InvokeModel and its binary stream.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html,
its neighbours on InvokeModelWithResponseStream and CountTokens, and
https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html; stored copies, November 2026.
"""

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote

import orjson

from aigne_hub.catalog.snapshot import Provider
from aigne_hub.crypto import sigv4
from aigne_hub.domain.errors import UpstreamError
from aigne_hub.ports import Clock
from aigne_hub.providers.event_stream import Decoder, Message
from aigne_hub.providers.profile import ANTHROPIC_LANGUAGE
from aigne_hub.providers.profiles import profile_of
from aigne_hub.providers.rewritten import Rewritten
from aigne_hub.providers.upstream import Answer
from aigne_hub.providers.usage import ANTHROPIC
from aigne_hub.providers.vertex import said_below_a_model
from aigne_hub.transport import Client, Origin, request_head

ANTHROPIC_VERSION = "bedrock-2023-05-31"
_COUNT = "messages/count_tokens"
_JSON, _EVENTS = "application/json", b"text/event-stream; charset=utf-8"
_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-[0-9])\.")
_BETA = re.compile(rb"(?im)^anthropic-beta: ?([^\r\n]*)")
# What Anthropic would call an error that Bedrock tells of in a stream.
_ERRORS = {
    "throttlingException": "rate_limit_error",
    "serviceUnavailableException": "overloaded_error",
    "modelTimeoutException": "timeout_error",
    "validationException": "invalid_request_error",
}


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A pair of AWS keys with what goes with it."""

    key_id: str
    region: str
    secret: str = field(repr=False)
    session_token: str = field(repr=False, default="")

    @classmethod
    def parse(cls, text: str, host: str) -> Self:
        """Read `{"access_key_id": …, "secret_access_key": …}`, which may have a session token.

        The region is in it, or else in the host. Raises ValueError, which shows nothing of it.
        """
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        keys = value if isinstance(value, dict) else {}
        key_id, secret = keys.get("access_key_id"), keys.get("secret_access_key")
        if not isinstance(key_id, str) or not isinstance(secret, str) or not key_id or not secret:
            raise ValueError("is JSON without access_key_id and secret_access_key")
        found = _REGION.search(f".{host}")
        region = str(keys.get("region") or (found[1] if found else ""))
        if not region:
            raise ValueError("needs a region, which the address does not tell")
        return cls(key_id, region, secret, str(keys.get("session_token") or ""))


class BedrockAnthropic:
    """providers.upstream.Upstream over HTTP, for one model."""

    wire = ANTHROPIC

    def __init__(
        self, client: Client, provider: Provider, secret: str, clock: Clock, model: str = ""
    ) -> None:
        profile = profile_of(provider.kind, provider.base_url)
        self.limit_field = profile.spoken(ANTHROPIC_LANGUAGE).limit_field
        self._made_of = client, provider, secret, clock
        self._client = client
        self._clock = clock
        address = profile.address(provider.base_url, ANTHROPIC_LANGUAGE)
        self._origin = Origin.parse(address, trusted=provider.trusted)
        self._model = f"/model/{quote(model, safe='')}"
        self._secret = secret
        self._keys: AccessKey | None = None
        self._unusable = ""
        if secret.startswith("{"):
            try:
                self._keys = AccessKey.parse(secret, self._origin.host)
            except ValueError as error:
                self._unusable = str(error)

    def serving(self, model: str) -> "BedrockAnthropic":
        return BedrockAnthropic(*self._made_of, model)

    async def send(self, operation: str, body: bytes, headers: bytes = b"") -> Answer:
        if self._unusable:
            raise UpstreamError(f"The hub's own credential {self._unusable}.")
        said, is_stream = _said(body, headers)
        if operation == _COUNT:
            given = base64.b64encode(said).decode()
            answer = await self._post(
                "count-tokens", orjson.dumps({"input": {"invokeModel": {"body": given}}})
            )
            return Rewritten(answer, whole=_counted)
        if not is_stream:
            return await self._post("invoke", said)
        answer = await self._post("invoke-with-response-stream", said)
        return Rewritten(answer, piece=Events().written, content_type=_EVENTS)

    async def _post(self, action: str, body: bytes) -> Answer:
        path = f"{self._model}/{action}"
        headers = {"content-type": _JSON}
        if self._keys is None:
            headers["authorization"] = f"Bearer {self._secret}"
        else:
            headers |= self._signed(self._keys, self._origin.base_path + path, body)
        head = request_head("POST", self._origin, path, list(headers.items()))
        return await self._client.send(self._origin, head, body)

    def _signed(self, keys: AccessKey, path: str, body: bytes) -> dict[str, str]:
        said = {"x-amz-date": sigv4.stamp(self._clock.now_us())}
        if keys.session_token:
            said["x-amz-security-token"] = keys.session_token
        signature = sigv4.authorisation(
            "POST",
            path,
            {"content-type": _JSON, "host": self._origin.host_header.decode(), **said},
            body,
            key_id=keys.key_id,
            secret=keys.secret,
            scope=sigv4.Scope(keys.region, "bedrock"),
        )
        return {**said, "authorization": signature}


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
    return orjson.dumps({"anthropic_beta": betas, **orjson.loads(said)}), is_stream


def _counted(body: bytes) -> bytes:
    """Return Anthropic's answer to a count for Bedrock's; what is none stays as it is."""
    try:
        return orjson.dumps({"input_tokens": orjson.loads(body)["inputTokens"]})
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return body
