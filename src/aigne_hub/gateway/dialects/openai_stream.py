"""Reading an OpenAI event stream as it passes.

Frames without usage are not parsed. The fast path looks for four byte patterns and sums the
length of text values; anything else, including a frame cut between two reads, is taken
apart frame by frame.
"""

import re

import msgspec
import orjson

from aigne_hub.domain.errors import HubError, UpstreamError
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.openai_usage import is_present, usage_of

# One event larger than this is not an event.
FRAME_BYTES_MAX = 16 * 1024 * 1024

_TEXT = re.compile(
    rb'"(?:content|text|arguments|reasoning_content|reasoning|refusal|name)"[ ]?:[ ]?'
    rb'"((?:[^"\\]|\\.)+)"'
)
_FRAME_END = re.compile(rb"\r?\n\r?\n|\r\r")
_FINISHED = re.compile(rb'"finish_reason"[ ]?:[ ]?"')
_DONE = b"[DONE]"


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Frame(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()
    choices: list[_Choice] | None = None
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Frame).decode


def text_bytes(data: bytes) -> int:
    """Return the UTF-8 length of the text values in JSON, escapes resolved."""
    total = 0
    for value in _TEXT.findall(data):
        total += len(value) if b"\\" not in value else _unescaped(value)
    return total


def _unescaped(value: bytes) -> int:
    try:
        text: str = orjson.loads(b'"%b"' % value)
    except orjson.JSONDecodeError:
        return len(value)
    return len(text.encode())


class OpenAIStreamMeter:
    """dialects.StreamMeter for chat and legacy completions."""

    def __init__(self, *, shows_usage: bool) -> None:
        self.delivered_bytes = 0
        self.complete = False
        self.usage: Usage | None = None
        self.failure: HubError | None = None
        self._shows_usage = shows_usage
        self._partial = b""
        self._held: list[bytes] = []
        self._usage_frame: bytes | None = None
        self._usage_in_held = False
        self._finished = False
        self._done = False

    @property
    def begun(self) -> bool:
        return self._finished or self.delivered_bytes > 0

    def feed(self, data: bytes) -> bytes:
        if not self._partial and self._is_plain(data):
            self._note(data)
            return data
        return self._take_apart(data)

    def end(self) -> None:
        """Note that the upstream ended the stream; decides whether it was complete."""
        if self._finished and self.failure is None:
            self.complete = True

    def last(self, charge: str, counted: Usage) -> bytes:
        frames = self._held
        if self._shows_usage:
            if self._usage_in_held:
                carrier, frames = _payload(frames[0]), frames[1:]
            else:
                carrier = self._usage_frame
            frames = [self._with_credits(carrier, charge, counted), *frames]
        return b"".join((*frames, b"data: [DONE]\n\n"))

    def _is_plain(self, data: bytes) -> bool:
        """Whether `data` is whole frames of mere content: nothing to hold, read or drop."""
        return (
            not self._held
            and not self._done
            and self._usage_frame is None
            and data.endswith(b"\n\n")
            and _DONE not in data
            and b'"error"' not in data
            and data.count(b'"usage"') == data.count(b'"usage":null')
        )

    def _note(self, data: bytes) -> None:
        self.delivered_bytes += text_bytes(data)
        if not self._finished and b'"finish_reason"' in data and _FINISHED.search(data):
            self._finished = True

    def _take_apart(self, data: bytes) -> bytes:
        buffer = self._partial + data
        passed: list[bytes] = []
        start = 0
        for match in _FRAME_END.finditer(buffer):
            frame = buffer[start : match.end()]
            start = match.end()
            if self._passes(frame):
                passed.append(frame)
        self._partial = buffer[start:]
        if len(self._partial) > FRAME_BYTES_MAX:
            self.failure = UpstreamError("The upstream sent an event that never ends.")
        return b"".join(passed)

    def _passes(self, frame: bytes) -> bool:
        """Read one frame; return whether it may leave now."""
        if self._done or self.failure is not None:
            return False
        payload = _payload(frame)
        if payload == _DONE:
            self._done = self.complete = True
            return False
        if payload is not None and self._is_terminal(frame, payload):
            return False
        if self._usage_frame is not None or self._held:
            self._held.append(frame)
            return False
        self._note(frame)
        return True

    def _is_terminal(self, frame: bytes, payload: bytes) -> bool:
        """Read a JSON event; keep it back, or note its failure, when it is no mere content."""
        try:
            parsed = _decode(payload)
        except (msgspec.DecodeError, RecursionError):
            # Mere content is not parsed, so what cannot be parsed is content: the same bytes
            # fare alike however the network cut them.
            return False
        if is_present(parsed.error):
            words = _message(bytes(parsed.error))
            self.failure = UpstreamError(f"The upstream reported an error: {words}")
            return True
        if not is_present(parsed.usage):
            return False
        self.usage = usage_of(parsed.usage) or self.usage
        if not parsed.choices:
            self._usage_frame = payload
            return True
        if all(choice.finish_reason for choice in parsed.choices):
            self._note(frame)
            self._held.append(frame)
            self._usage_in_held = True
            return True
        return False

    def _with_credits(self, carrier: bytes | None, charge: str, counted: Usage) -> bytes:
        """Return the usage frame with `credits` set in its usage object."""
        if carrier is not None:
            value = orjson.loads(carrier)
        else:
            value = {"object": "chat.completion.chunk", "choices": [], "usage": {}}
        usage = value["usage"]
        if not usage:
            shown = self.usage or counted
            prompt = shown.input_tokens + shown.cache_read_tokens + shown.cache_write_tokens
            usage["prompt_tokens"] = prompt
            usage["completion_tokens"] = shown.output_tokens
            usage["total_tokens"] = prompt + shown.output_tokens
        usage["credits"] = charge
        return b"data: %b\n\n" % orjson.dumps(value)


def _payload(frame: bytes) -> bytes | None:
    """Return the data of a frame, None for comments and frames without any."""
    lines = [line[5:].strip() for line in frame.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def _message(error: bytes) -> str:
    """Return an upstream error's own words, bounded."""
    try:
        value = orjson.loads(error)
    except orjson.JSONDecodeError:
        return "unreadable"
    text = value.get("message") if isinstance(value, dict) else value
    return str(text)[:500]
