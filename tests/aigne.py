"""AIGNE's stock client as far as it is strict: what it throws at, this refuses, too.

Measured on `@aigne/aigne-hub` 0.10.16: one probe request for each rule.
"""

import json
from typing import Any

from tests.caller import PROMPT, Reply

_PREFIXES = {"$", "€", "¥"}
_OUTPUT = {
    *("text", "thoughts", "json", "toolCalls", "files", "usage", "model", "modelWithProvider"),
    *("images", "videos", "seconds"),
}


class Thrown(Exception):
    """The client gave up on an answer, with this message."""


def envelope(model: str, content: object = PROMPT, *, stream: bool = False, **given: Any) -> bytes:
    """Return what the client posts. `options` are of the model, the rest is `input`."""
    cache = {"autoBreakpoints": {"lastMessage": True}}
    options = {"cacheConfig": cache, "model": model, **given.pop("options", {})}
    said = {"messages": [{"role": "user", "content": content}], "modelOptions": options}
    how: dict[str, Any] = {"userContext": {}, "memories": []}
    if stream:
        how["streaming"] = True
    body = {"input": {**said, "outputFileType": "url", **given}, "agent": "$CHAT_MODEL"}
    return json.dumps({**body, "options": how}).encode()


def output(reply: Reply) -> dict[str, Any]:
    """Return what the client makes of an answer; raises Thrown where it throws."""
    if reply.status != 200:
        raise Thrown(reply.json["error"]["message"])
    value = merged(reply.body) if reply.streamed else reply.json
    return checked(value)


def merged(body: bytes) -> dict[str, Any]:
    """Return the result of a stream: text appended, all else replaced."""
    result: dict[str, Any] = {}
    for frame in body.decode().split("\n\n"):
        lines = [line for line in frame.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        fields = dict(line.split(": ", 1) for line in lines)
        data = json.loads(fields["data"])
        if fields.get("event") == "error":
            raise Thrown(data["message"])
        assert set(fields) == {"data"}, f"an event with a name: {frame}"
        assert set(data) == {"delta"}, frame
        for name, text in data["delta"].get("text", {}).items():
            assert isinstance(text, str)
            result[name] = result.get(name, "") + text
        result |= data["delta"].get("json", {})
    return result


def checked(value: dict[str, Any]) -> dict[str, Any]:
    assert set(value) <= _OUTPUT, set(value) - _OUTPUT
    usage = value.get("usage")
    if usage is not None:
        for name in ("inputTokens", "outputTokens"):
            assert type(usage[name]) is int
        assert type(usage.get("aigneHubCredits", 0)) in {int, float}
        assert usage.get("creditPrefix") in {None, *_PREFIXES}
    for call in value.get("toolCalls", ()):
        assert call["type"] == "function"
        assert isinstance(call["function"]["arguments"], dict)
    assert isinstance(value.get("json", {}), dict)
    for name in ("files", "images", "videos"):
        for file in value.get(name, ()):
            assert isinstance(file["data" if file["type"] == "file" else "url"], str)
    return value
