"""AIGNE's videos: the job is OpenAI's, and charged when it is made."""

import base64
from typing import Any

import msgspec
import orjson

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.usage import Report
from aigne_hub.gateway.dialects import Served
from aigne_hub.gateway.dialects.aigne.chat import told
from aigne_hub.gateway.dialects.aigne.whole import (
    AigneErrors,
    of_envelope,
    provider_members,
    require_told,
)
from aigne_hub.gateway.dialects.members import whole_object
from aigne_hub.gateway.dialects.openai.videos import OpenAIVideos, VideoAsk
from aigne_hub.providers.languages import written
from aigne_hub.providers.usage import Wire


class Begun(msgspec.Struct):
    """What `AigneVideos` answers when the job was made: it, and what is told of the call."""

    id: str
    status: str
    seconds: int
    told: msgspec.Raw


class _Told(msgspec.Struct):
    usage: Any
    modelWithProvider: str  # noqa: N815 - AIGNE's name


decode_begun = msgspec.json.Decoder(Begun).decode
decode_told = msgspec.json.Decoder(_Told).decode


class AigneVideos(AigneErrors, OpenAIVideos):
    """dialects.Dialect for the making of the job; made for one request."""

    def ask(self, body: bytes) -> VideoAsk:
        model, given = of_envelope(whole_object(body))
        members = provider_members(given)
        if members.pop("image", None):
            raise InvalidRequest(
                "`image`: a video that begins with a picture is made with a form at "
                "/v1/videos, whose `input_reference` it is.",
                param="input.image",
            )
        ask = super().ask(written({"model": model, **members}))
        ask.presented = lambda job, served: _begun(job, served, ask.seconds)
        return ask

    def usage(self, ask: Any, body: bytes, wire: Wire) -> Report:
        return require_told(ask, body, super().usage(ask, body, wire))


def _begun(body: bytes, served: Served, seconds: int) -> bytes:
    job = orjson.loads(body)
    members = {"id": str(job.get("id", "")), "status": str(job.get("status", ""))}
    return orjson.dumps({**members, "seconds": seconds, "told": told(served)})


def video_answer(begun: Begun, film: bytes, kind: str) -> bytes:
    """Return the answer with the video in it. `kind` is its media type."""
    data = base64.b64encode(film).decode()
    file = {"type": "file", "data": data, "mimeType": kind.partition(";")[0].strip()}
    members = orjson.dumps({"videos": [file], "seconds": begun.seconds})
    return b"%b,%b" % (members[:-1], bytes(begun.told)[1:])
