"""OpenAI videos: the job that makes one is charged by the second when it is made.

https://platform.openai.com/docs/api-reference/videos/create, checked against the published
OpenAPI description of August 2026.
"""

from typing import Any

import msgspec

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.objects import VIDEO, made
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import MEDIA_TOKENS, Quote, Size, quote_units, size_of
from aigne_hub.domain.usage import NO_REPORT, Report, Usage
from aigne_hub.gateway.dialects.form import Form, is_form, read_form
from aigne_hub.gateway.dialects.form_ask import FormAsk
from aigne_hub.gateway.dialects.openai.whole import OpenAIWhole
from aigne_hub.gateway.dialects.reading import answered, peeked
from aigne_hub.gateway.dialects.splice import with_members
from aigne_hub.providers.usage import Wire

# What OpenAI takes a request without `model` or `seconds` to mean.
DEFAULT_MODEL = "sora-2"
DEFAULT_SECONDS = 4
SECONDS_MAX = 3_600
_SECONDS = "seconds"
FAILED = "failed"
COMPLETED = "completed"
# The states of a job that will never have a video.
FRUITLESS = frozenset({FAILED, "cancelled", "canceled", "expired"})


class _Peek(msgspec.Struct):
    prompt: str
    model: str | None = None
    seconds: Any = None


class Job(msgspec.Struct):
    """The members of a video's job that are looked at."""

    id: str = ""
    status: str = ""
    seconds: Any = None
    error: msgspec.Raw = msgspec.Raw()


class VideoAsk(FormAsk):
    """A FormAsk with how long the video shall be."""

    seconds: int = DEFAULT_SECONDS


_decode = msgspec.json.Decoder(_Peek).decode
decode_job = msgspec.json.Decoder(Job).decode


class OpenAIVideos(OpenAIWhole):
    """dialects.Dialect for `/v1/videos`, made for one request.

    `content_types` are the values of that header.
    """

    type = "video"
    operation = "videos"

    def __init__(self, content_types: tuple[bytes, ...] = ()) -> None:
        self._content_types = content_types
        self._is_form = is_form(content_types)
        self.forwards = (b"content-type",) if self._is_form else ()

    def ask(self, body: bytes) -> VideoAsk:
        if self._is_form:
            return _of_form(body, read_form(body, self._content_types))
        peek = peeked(_decode, body)
        return VideoAsk(
            body=body,
            model=peek.model or DEFAULT_MODEL,
            relied_on=() if peek.seconds is None else (_SECONDS,),
            size=size_of(body),
            seconds=_asked(peek.seconds),
        )

    def quote(self, ask: Any, rates: RateCard, *, input_tokens: int, **_: int) -> Quote:
        return quote_units(rates, input_tokens=input_tokens, duration_ms=ask.seconds * 1000)

    def outgoing(self, ask: Any, model: str, *_: object) -> bytes:
        if ask.form is not None:
            changed: bytes = ask.form.with_field("model", model)
            return changed
        return with_members(ask.body, ask.model, model, {}, ask.relied_on)

    def usage(self, ask: Any, body: bytes, _wire: Wire) -> Report:
        job = answered(decode_job, body)
        ask.made = made(VIDEO, job.id)
        seconds = _told(job.seconds)
        return NO_REPORT if seconds is None else Report(Usage(duration_ms=seconds * 1000))

    def counted(self, ask: Any, input_tokens: int, output: int) -> Usage:
        return Usage(input_tokens=input_tokens, duration_ms=ask.seconds * 1000 * bool(output))

    def output_of(self, _body: bytes) -> int:
        """Return that a job was made."""
        return 1


def _of_form(body: bytes, form: Form) -> VideoAsk:
    prompt = form.field("prompt")
    if not prompt:
        raise InvalidRequest("The form has no field `prompt`.", param="prompt")
    files = sum(part.file is not None for part in form.parts)
    text = len(prompt.encode())
    return VideoAsk(
        body=body,
        model=form.field("model") or DEFAULT_MODEL,
        size=Size(text + files * MEDIA_TOKENS, text),
        form=form,
        seconds=_asked(form.field(_SECONDS)),
    )


def _asked(value: object) -> int:
    if value is None:
        return DEFAULT_SECONDS
    seconds = _told(value)
    if seconds is None:
        raise InvalidRequest(
            f"`seconds` is a whole number from 1 to {SECONDS_MAX}.", param=_SECONDS
        )
    return seconds


def _told(value: object) -> int | None:
    """Return seconds as OpenAI writes them, digits in a string, or as a number; None for none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 9:
        value = int(value)
    return value if type(value) is int and 0 < value <= SECONDS_MAX else None
