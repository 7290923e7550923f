"""Reading an OpenAI event stream as it passes.

Frames without usage are not parsed. One that has the form of an earlier one is measured by its
text alone; in another the fast path looks for four byte patterns and sums the length of text
values; anything else, including a frame cut between two reads, is taken apart frame by frame.
"""

import re

import msgspec

from aigne_hub.domain.errors import HubError, UpstreamError
from aigne_hub.domain.usage import NO_REPORT, Report, Usage
from aigne_hub.gateway.dialects.openai.usage import Reporting, report_of
from aigne_hub.gateway.dialects.reading import (
    UNREADABLE,
    decoded,
    is_present,
    read_again,
    rewritten,
)
from aigne_hub.providers.complaints import reported
from aigne_hub.providers.frames import (
    Form,
    Splitter,
    payload_of,
    unescaped_length,
)
from aigne_hub.providers.usage import Wire
from aigne_hub.providers.usage.stream import later

_TEXT = re.compile(
    rb'"(?:content|text|arguments|reasoning_content|reasoning|refusal|name)"[ ]?:[ ]?'
    rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
)
_FINISHED = re.compile(rb'"finish_reason"[ ]?:[ ]?"')
_TIER = re.compile(rb'"service_tier"[ ]?:[ ]?("[^"\\]+")')
_DONE = b"[DONE]"


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    error: msgspec.Raw = msgspec.Raw()


class _Frame(Reporting):
    choices: list[_Choice] | None = None
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Frame).decode


def text_bytes(data: bytes) -> int:
    """Return the UTF-8 length of the text values in JSON, escapes resolved."""
    total = 0
    for value in _TEXT.findall(data):
        total += len(value) if b"\\" not in value else unescaped_length(value)
    return total


class OpenAIStreamMeter:
    """dialects.StreamMeter for chat and legacy completions."""

    plain = False

    def __init__(self, wire: Wire, *, shows_usage: bool) -> None:
        self.delivered_bytes = 0
        self.complete = False
        self.report: Report = NO_REPORT
        self.failure: HubError | None = None
        self._wire = wire
        self._tier = msgspec.Raw()
        self._shows_usage = shows_usage
        self._splitter = Splitter()
        self._form = Form()
        self._held: list[bytes] = []
        # Whether nothing of what came before changes how the next bytes are read.
        self._flowing = True
        self._usage_frame: bytes | None = None
        self._usage_at: int | None = None
        self._finished = False
        self._done = False

    @property
    def begun(self) -> bool:
        return self._finished or self.delivered_bytes > 0

    @property
    def usage(self) -> Usage | None:
        return self.report.usage

    def feed(self, data: bytes) -> bytes:
        # Whole frames of mere content: nothing to hold, read or drop.
        if self._flowing:
            text = self._form.text_in(data)
            if text >= 0:
                self.delivered_bytes += text
                return data
            if data.endswith(b"\n\n") and _is_mere(data):
                self._note(data)
                self._form.learn(data, _TEXT)
                return data
        passed = self._take_apart(data)
        self._flowing = not (
            self._splitter.partial or self._held or self._done or self._usage_frame
        )
        return passed

    def end(self) -> None:
        """Note that the upstream ended the stream; decides whether it was complete."""
        if self._finished and self.failure is None:
            self.complete = True

    def last(self, charge: str, counted: Usage) -> bytes:
        frames = self._held
        if self._shows_usage:
            at = self._usage_at if self._usage_at is not None else len(frames)
            before, after = frames[:at], frames[at:]
            carrier = self._usage_frame
            if carrier is None and self._usage_at is not None:
                carrier, after = payload_of(after[0]), after[1:]
            frames = [*before, self._with_credits(carrier, charge, counted), *after]
        return b"".join((*frames, b"data: [DONE]\n\n"))

    def _note(self, data: bytes) -> None:
        for value in _TEXT.findall(data):
            self.delivered_bytes += len(value) if b"\\" not in value else unescaped_length(value)
        if (
            not self._finished
            and data.count(b'"finish_reason"') != data.count(b'"finish_reason":null')
            and _FINISHED.search(data)
        ):
            self._finished = True
            tier = _TIER.search(data)
            if tier is not None:
                self._tier = msgspec.Raw(tier[1])

    def _take_apart(self, data: bytes) -> bytes:
        passed = [frame for frame in self._splitter.split(data) if self._passes(frame)]
        self.failure = self.failure or self._splitter.endless()
        return b"".join(passed)

    def _passes(self, frame: bytes) -> bool:
        """Read one frame; return whether it may leave now."""
        if self._done or self.failure is not None:
            return False
        is_flowing = self._usage_frame is None and not self._held
        if is_flowing and (text := self._form.text_in(frame)) >= 0:
            self.delivered_bytes += text
            return True
        payload = payload_of(frame)
        if payload == _DONE:
            self._done = self.complete = True
            return False
        if payload is not None and self._is_terminal(frame, payload):
            return False
        if not is_flowing:
            self._held.append(frame)
            return False
        self._note(frame)
        if frame.endswith(b"\n\n") and _is_mere(frame):
            self._form.learn(frame, _TEXT)
        return True

    def _is_terminal(self, frame: bytes, payload: bytes) -> bool:
        """Read a JSON event; keep it back, or note its failure, when it is no mere content."""
        try:
            parsed = _decode(payload)
        except UNREADABLE:
            # Mere content is not parsed, so what cannot be parsed is content: the same bytes
            # fare alike however the network cut them.
            return False
        self.failure = _failure(parsed)
        if self.failure is not None:
            return True
        return self._is_kept(frame, payload, self._reported(parsed))

    def _reported(self, parsed: _Frame) -> _Frame:
        """Take the usage that an event has, wherever in it."""
        if is_present(parsed.usage) or is_present(parsed.x_groq):
            if not is_present(parsed.service_tier):
                parsed.service_tier = self._tier
            self.report = later(self.report, report_of(self._wire, parsed))
        return parsed

    def _is_kept(self, frame: bytes, payload: bytes, parsed: _Frame) -> bool:
        """Keep back an event that credits are shown in, or that ends the answer."""
        if not is_present(parsed.usage):
            return False
        if not parsed.choices:
            self._usage_frame = payload
            self._usage_at = len(self._held)
            return True
        if all(choice.finish_reason for choice in parsed.choices):
            self._note(frame)
            if self._usage_frame is None:
                self._usage_at = len(self._held)
            self._held.append(frame)
            return True
        return False

    def _with_credits(self, carrier: bytes | None, charge: str, counted: Usage) -> bytes:
        """Return the usage frame with `credits` set in its usage object."""
        if carrier is not None:
            value = read_again(carrier)
            if not value:
                return b"data: %b\n\n" % carrier
        else:
            value = {"object": "chat.completion.chunk", "choices": [], "usage": {}}
        usage = value["usage"]
        if not isinstance(usage, dict):
            usage = value["usage"] = {}
        if not usage:
            shown = self.usage or counted
            prompt = shown.input_tokens + shown.cache_read_tokens + shown.cache_write_tokens
            usage["prompt_tokens"] = prompt
            usage["completion_tokens"] = shown.output_tokens
            usage["total_tokens"] = prompt + shown.output_tokens
        usage["credits"] = charge
        return rewritten(value, b"data: %b\n\n" % (carrier or b""))


def _is_mere(data: bytes) -> bool:
    """Tell whether there is nothing in it but content."""
    return (
        _DONE not in data
        and b'"error"' not in data
        and data.count(b'"usage"') == data.count(b'"usage":null')
    )


def _failure(event: _Frame) -> UpstreamError | None:
    """Return the error that an event is: beside its choices, or as why one of them ended.

    https://openrouter.ai/docs/api/reference/errors-and-debugging, November 2026, has both.
    """
    broken = [choice for choice in event.choices or () if choice.finish_reason == "error"]
    for error in (event.error, *(choice.error for choice in broken)):
        if is_present(error):
            return reported(decoded(error))
    return UpstreamError("The upstream ended its answer with an error.") if broken else None
