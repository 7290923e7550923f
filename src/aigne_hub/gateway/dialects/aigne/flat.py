"""AIGNE's flat chats: OpenAI's body with camelCase names, and answers of its own.

What the answer looks like says `accept`, then `stream`: events, bare text, or JSON.
"""

import re
from typing import Any

import orjson

from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.domain.inference import InferenceRequest
from aigne_hub.gateway.dialects import Ask, Head, NeutralForm, RefusesInEvents, Served
from aigne_hub.gateway.dialects.aigne.chat import usage_object
from aigne_hub.gateway.dialects.aigne.errors import error_body, plain_event
from aigne_hub.gateway.dialects.aigne.neutral import flat_request
from aigne_hub.gateway.dialects.aigne.stream import AigneStreamMeter, BareMeter, text_bytes
from aigne_hub.gateway.dialects.aigne.writer import FlatWriter
from aigne_hub.gateway.dialects.members import objects, whole_object
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat
from aigne_hub.providers.languages import written
from aigne_hub.providers.profiles import AIGNE_LANGUAGE
from aigne_hub.providers.usage import Wire

TEXT = "text/plain; charset=utf-8"
_HUMP = re.compile("[A-Z]")


class FlatForm:
    """dialects.NeutralForm for the flat form, once its names are OpenAI's."""

    def request(self, body: bytes) -> InferenceRequest:
        return flat_request(body)

    def writer(self, request: InferenceRequest, _answer_id: str, _created: int) -> FlatWriter:
        return FlatWriter(request)


class AigneFlat(OpenAIChat):
    """dialects.Dialect for the flat paths, for callers that did not say they take events."""

    operation = "aigne/flat"
    language = AIGNE_LANGUAGE
    form: NeutralForm | None = FlatForm()

    def ask(self, body: bytes) -> Ask:
        ask = self._asked(openai_body(whole_object(body)))
        if ask.stream:
            ask.head = Head(TEXT, is_early=True)
        return ask

    def _asked(self, value: dict[str, Any]) -> Ask:
        ask = super().ask(written(value))
        ask.head = Head(is_early=True)
        return ask

    def output_of(self, body: bytes) -> int:
        try:
            value = orjson.loads(body)
            calls = value.get("toolCalls", [])
            said = [value["content"]] + [call["function"]["arguments"] for call in calls]
        except (orjson.JSONDecodeError, AttributeError, KeyError):  # a piece of bare text
            return len(body)
        return sum(len(text.encode()) for text in said)

    def meter(self, _ask: Ask, _wire: Wire) -> AigneStreamMeter:  # type: ignore[override] # it is another format
        return BareMeter()

    def error(self, error: HubError, timestamp_ms: int, _request_id: str) -> bytes:
        return error_body(error, timestamp_ms)

    def error_event(self, error: HubError, _timestamp_ms: int) -> bytes:
        return f"ERROR: {error.message}".encode()


class AigneFlatEvents(AigneFlat, RefusesInEvents):
    """The same for callers that accept events.

    Their stock client shows an error's words, and where to buy credit, only from an event.
    """

    def ask(self, body: bytes) -> Ask:
        ask = self._asked({**openai_body(whole_object(body)), "stream": True})
        ask.presented = _with_usage
        return ask

    def output_of(self, body: bytes) -> int:
        return text_bytes(body)

    def meter(self, _ask: Ask, _wire: Wire) -> AigneStreamMeter:  # type: ignore[override] # it is another format
        return AigneStreamMeter()

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        return plain_event(error, timestamp_ms)


def openai_body(value: dict[str, Any]) -> dict[str, Any]:
    """Return a flat body with OpenAI's names. Raises InvalidRequest."""
    body = _renamed(value)
    prompt = body.pop("prompt", None)
    if (prompt is None) == (body.get("messages") is None):
        raise InvalidRequest("Give either `prompt` or `messages`.", param="messages")
    if prompt is not None:
        body["messages"] = [{"role": "user", "content": prompt}]
    else:
        messages = objects(body["messages"], "messages")
        body["messages"] = [_message(message) for message in messages]
    if isinstance(body.get("response_format"), dict):
        body["response_format"] = _renamed(body["response_format"])
    return body


def _message(given: dict[str, Any]) -> dict[str, Any]:
    message = _renamed(given)
    if message.get("role") == "agent":
        message["role"] = "assistant"
    content = message.get("content")
    if isinstance(content, list):
        parts = objects(content, "messages.content")
        message["content"] = [_renamed(part) for part in parts]
    return message


def _renamed(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object whose members have OpenAI's names: `topP` is its `top_p`."""
    return {_HUMP.sub(lambda hump: f"_{hump[0].lower()}", name): v for name, v in value.items()}


def _with_usage(last: bytes, served: Served) -> bytes:
    usage = served.usage
    prompt, output = usage.context_tokens, usage.output_tokens
    counts = {"promptTokens": prompt, "completionTokens": output, "totalTokens": prompt + output}
    price = usage_object(served)
    told = {name: price[name] for name in ("aigneHubCredits", "credits", "modelCallId")}
    return b"%bdata: %b\n\n" % (last, orjson.dumps({"usage": counts | told}))
