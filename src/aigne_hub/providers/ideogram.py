"""Ideogram's pictures as OpenAI's: a form there, JSON here, addresses or pictures out.

https://developer.ideogram.ai/api-reference/api-reference/generate-v3, looked up in a stored copy
in November 2026.
"""

import hashlib
from datetime import datetime
from typing import Any, NamedTuple, Self

import orjson

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.providers.ideogram_pictures import Inlined
from aigne_hub.providers.profile import OPENAI_LANGUAGE
from aigne_hub.providers.profiles import profile_of
from aigne_hub.providers.rewritten import Rewritten
from aigne_hub.providers.upstream import Answer
from aigne_hub.providers.usage import IDEOGRAM
from aigne_hub.transport import Client, Origin, request_head

_SPEEDS = {
    "low": "TURBO",
    "medium": "DEFAULT",
    "standard": "DEFAULT",
    "high": "QUALITY",
    "hd": "QUALITY",
}
# What callers may say in Ideogram's own words.
_OWN = (
    "aspect_ratio",
    "magic_prompt",
    "negative_prompt",
    "rendering_speed",
    "resolution",
    "seed",
    "style_type",
)


class IdeogramUpstream:
    """providers.upstream.Upstream over HTTP."""

    wire = IDEOGRAM

    def __init__(self, client: Client, provider: Provider, credential: Credential | None) -> None:
        profile = profile_of(provider.kind, provider.base_url)
        spoken = profile.spoken(OPENAI_LANGUAGE)
        self.limit_field = spoken.limit_field
        self._client = client
        address = profile.address(provider.base_url, OPENAI_LANGUAGE)
        self._origin = Origin.parse(address, trusted=provider.trusted)
        secret = credential.secret if credential is not None else ""
        self._headers = spoken.authorisation(secret)

    def serving(self, _model: str) -> Self:
        return self

    async def send(self, operation: str, body: bytes, _headers: bytes = b"") -> Answer:
        if operation != "images/generations":
            raise InvalidRequest("Ideogram generates pictures, and nothing else here.")
        kind, form, is_inline = form_of(body)
        headers = [*self._headers, ("content-type", kind)]
        head = request_head("POST", self._origin, "/generate", headers)
        answer = await self._client.send(self._origin, head, form)
        if is_inline:
            return Inlined(answer, self._client, self._origin, pictures_of)
        return Rewritten(answer, whole=pictures_of, content_type=b"application/json")


class Form(NamedTuple):
    """A request as Ideogram takes it. `is_inline`: the caller wants no addresses back."""

    content_type: str
    body: bytes
    is_inline: bool


def form_of(body: bytes) -> Form:
    """Return the form for a request of OpenAI's images.

    Raises InvalidRequest for what cannot be said.
    """
    try:
        asked: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequest("The body is not valid JSON.") from None
    fields = {"prompt": asked["prompt"], "num_images": asked.get("n") or 1}
    size, quality = asked.get("size"), asked.get("quality")
    if size is not None and size != "auto":
        fields["resolution"] = size
    if quality is not None and quality != "auto":
        speed = _SPEEDS.get(quality) if isinstance(quality, str) else None
        if speed is None:
            raise InvalidRequest(f"`quality` is one of {', '.join(_SPEEDS)}.", param="quality")
        fields["rendering_speed"] = speed
    fields |= {name: asked[name] for name in _OWN if asked.get(name) is not None}
    for name, value in fields.items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidRequest(f"`{name}` is a text or a number.", param=name)
    # No text has its own digest in it.
    boundary = f"aigne-hub-{hashlib.sha256(body).hexdigest()}"
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    form = "".join((*parts, f"--{boundary}--\r\n"))
    is_inline = asked.get("response_format") == "b64_json"
    return Form(f"multipart/form-data; boundary={boundary}", form.encode(), is_inline)


def pictures_of(body: bytes) -> bytes:
    """Return OpenAI's answer for Ideogram's; what is none stays as it is.

    A picture that was withheld is one of the answer, without an address: it was made.
    """
    try:
        answer = orjson.loads(body)
        data = [_picture(one) for one in answer["data"]]
        created = int(datetime.fromisoformat(answer["created"]).timestamp())
        return orjson.dumps({"created": created, "data": data})
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        return body


def _picture(made: object) -> dict[str, Any]:
    """Return a picture as OpenAI has it; raises TypeError for what is none."""
    if not isinstance(made, dict):
        raise TypeError("a picture is an object")
    picture: dict[str, Any] = {"url": made.get("url") or None, "revised_prompt": made.get("prompt")}
    for name in ("is_image_safe", "resolution", "seed"):
        if name in made:
            picture[name] = made[name]
    return picture
