"""AIGNE's pictures and embeddings: asked for as OpenAI's, and told in AIGNE's words.

Both come in the envelope of the framework and in an older flat form.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from aigne_hub.domain.errors import HubError, InvalidRequest, UpstreamError
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects import Ask, Head, Served
from aigne_hub.gateway.dialects.aigne.chat import named, told, usage_object
from aigne_hub.gateway.dialects.aigne.errors import error_body, named_event
from aigne_hub.gateway.dialects.members import a_text, an_object, maybe_text, objects, whole_object
from aigne_hub.gateway.dialects.openai.embeddings import OpenAIEmbeddings
from aigne_hub.gateway.dialects.openai.images import OpenAIImages
from aigne_hub.providers.languages import written
from aigne_hub.providers.usage import Wire

# What says how files are given back. They are given as the provider has them: bytes or an address.
_UNSAID = frozenset({"model", "outputFileType", "preferInputFileType"})
_HUMP = re.compile("[A-Z]")
_PNG = "image/png"


_NOBODY = Served("", "", "0", Usage())


def require_told(ask: Ask, body: bytes, report: Report) -> Report:
    """Return the report of an answer that can be told in AIGNE's words.

    Raises UpstreamError for another, while that is still a reason to ask elsewhere.
    """
    assert ask.presented is not None
    try:
        ask.presented(body, _NOBODY)
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError, HubError):
        raise UpstreamError("The upstream's answer is not valid JSON of this kind.") from None
    return report


class AigneErrors:
    """The part of dialects.Dialect that tells of errors."""

    def error(self, error: HubError, timestamp_ms: int, _request_id: str) -> bytes:
        return error_body(error, timestamp_ms)

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes:
        return named_event(error, timestamp_ms)


class AigneImages(AigneErrors, OpenAIImages):
    """dialects.Dialect for `/api/v2/image`, made for one request.

    With pictures to change it is another operation of the provider's.
    """

    def ask(self, body: bytes) -> Ask:
        value = whole_object(body)
        return self._asked(*of_envelope(value), _pictures)

    def usage(self, ask: Ask, body: bytes, wire: Wire) -> Report:
        return require_told(ask, body, super().usage(ask, body, wire))

    def _asked(self, model: str, given: dict[str, Any], presented: Any) -> Ask:
        members = provider_members(given)
        pictures = members.pop("image", None)
        members.pop("stream", None)
        if pictures:
            self.operation = "images/edits"
            members["images"] = [{"image_url": url} for url in _addresses(pictures)]
        ask = super().ask(written({"model": model, **members}))
        ask.presented = presented
        ask.head = Head(is_early=True)
        return ask


class AigneFlatImages(AigneImages):
    """`/api/v2/image/generations`, made for one request."""

    def ask(self, body: bytes) -> Ask:
        value = whole_object(body)
        return self._asked(named(maybe_text(value.get("model"), "model")), value, _flat_pictures)


class AigneEmbeddings(AigneErrors, OpenAIEmbeddings):
    """dialects.Dialect for `/api/v2/embeddings`: `input` is an object in the envelope."""

    def ask(self, body: bytes) -> Ask:
        value = whole_object(body)
        if isinstance(value.get("input"), dict):
            model, given = of_envelope(value)
            members = provider_members(given)
            ask = super().ask(written({"model": model, **members}))
            ask.presented = _vectors
        else:
            model = named(maybe_text(value.get("model"), "model"))
            ask = super().ask(written({**value, "model": model}))
            ask.presented = _flat_vectors
        ask.head = Head(is_early=True)
        return ask

    def usage(self, ask: Ask, body: bytes, wire: Wire) -> Report:
        return require_told(ask, body, super().usage(ask, body, wire))


def of_envelope(value: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the model an envelope names, and its input with the model's options in it."""
    given = dict(an_object(value.get("input"), "input"))
    options = an_object(given.pop("modelOptions", None) or {}, "input.modelOptions")
    places = (value.get("model"), given.get("model"), options.get("model"))
    return named(*(maybe_text(name, "model") for name in places)), {**options, **given}


def provider_members(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input as the provider's members: `outputFormat` is its `output_format`."""
    return {_snake(name): value for name, value in given.items() if name not in _UNSAID}


def _snake(name: str) -> str:
    return _HUMP.sub(lambda hump: f"_{hump[0].lower()}", name)


def _addresses(pictures: object) -> list[str]:
    """Return pictures as addresses, which may be data URLs (RFC 2397)."""
    given = pictures if isinstance(pictures, list) else [pictures]
    return [one if isinstance(one, str) else _address(one) for one in given]


def _address(picture: object) -> str:
    file = an_object(picture, "image")
    if file.get("type") == "local":
        raise InvalidRequest(
            "`image`: a `local` file is on the caller's machine. Send its bytes as a `file`.",
            param="image",
        )
    if file.get("type") == "url":
        return a_text(file.get("url"), "image.url")
    mime = maybe_text(file.get("mimeType"), "image.mimeType") or _PNG
    return f"data:{mime};base64,{a_text(file.get('data'), 'image.data')}"


# -- answers ---------------------------------------------------------------------------------


def _pictures(body: bytes, served: Served) -> bytes:
    value = orjson.loads(body)
    mime = f"image/{value.get('output_format') or 'png'}"
    return orjson.dumps({"images": [_file(one, mime) for one in value["data"]], **told(served)})


def _file(picture: Mapping[str, Any], mime: str) -> dict[str, Any]:
    if picture.get("b64_json"):
        return {"type": "file", "data": picture["b64_json"], "mimeType": mime}
    return {"type": "url", "url": picture.get("url")}


def _flat_pictures(body: bytes, served: Served) -> bytes:
    """Return pictures whose bytes go by three names, for whichever a client looks for."""
    images = []
    for one in objects(orjson.loads(body)["data"], "data"):
        data, url = one.get("b64_json"), one.get("url")
        names = {"base64": data, "b64_json": data, "b64Json": data} if data else {}
        images.append({**names, **({"url": url} if url else {})})
    return orjson.dumps({"images": images, "data": images, **told(served)})


def _vectors(body: bytes, served: Served) -> bytes:
    data = orjson.loads(body)["data"]
    return orjson.dumps({"embeddings": [one["embedding"] for one in data], **told(served)})


def _flat_vectors(body: bytes, served: Served) -> bytes:
    """Return OpenAI's answer with the price in its usage."""
    value = orjson.loads(body)
    value["usage"] = {**(value.get("usage") or {}), **usage_object(served)}
    return orjson.dumps(value)
