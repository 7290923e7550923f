"""OpenAI image edits and variations: pictures from pictures, as a form or as JSON.

Charged as generated ones are. https://platform.openai.com/docs/api-reference/images/createEdit,
checked against the published OpenAPI description of August 2026.
"""

from typing import Any

import msgspec

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.quotes import MEDIA_TOKENS, Size
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.form import is_form, read_form
from aigne_hub.gateway.dialects.form_ask import FormAsk, flag, named_model, whole
from aigne_hub.gateway.dialects.openai.images import IMAGES_MAX, OpenAIImages, chosen
from aigne_hub.gateway.dialects.reading import peeked
from aigne_hub.gateway.dialects.splice import with_members

# What OpenAI takes a variation without `model` to mean: it has no other model for them.
VARIATIONS_MODEL = "dall-e-2"


class _Pictured(msgspec.Struct):
    images: list[msgspec.Raw]


_decode_pictured = msgspec.json.Decoder(_Pictured).decode


class OpenAIImageEdits(OpenAIImages):
    """dialects.Dialect for `/v1/images/edits`, made for one request.

    `content_types` are the values of that header.
    """

    operation = "images/edits"

    def __init__(self, content_types: tuple[bytes, ...] = ()) -> None:
        self._content_types = content_types
        self._is_form = is_form(content_types)
        self.forwards = (b"content-type",) if self._is_form else ()

    def ask(self, body: bytes) -> Ask:
        if not self._is_form:
            if not peeked(_decode_pictured, body).images:
                raise InvalidRequest("`images` is empty.", param="images")
            return super().ask(body)
        form = read_form(body, self._content_types)
        pictures = [part for part in form.parts if part.file is not None]
        if not any(part.name in {"image", "image[]"} for part in pictures):
            raise InvalidRequest("The form has no file `image`.", param="image")
        count = whole(form, "n")
        images = 1 if count is None else count
        if not 0 < images <= IMAGES_MAX:
            raise InvalidRequest(f"`n` is between 1 and {IMAGES_MAX}.", param="n")
        written = sum(part.size for part in form.parts if part.file is None)
        prompt = self._prompt(form.field("prompt"))
        return FormAsk(
            body=body,
            model=self._model(form),
            stream=flag(form, "stream"),
            images=images,
            image_size=chosen(form.field("size")),
            image_quality=chosen(form.field("quality")),
            size=Size(written + len(pictures) * MEDIA_TOKENS, len(prompt.encode())),
            form=form,
        )

    def outgoing(self, ask: Ask, model: str, *_: object) -> bytes:
        if isinstance(ask, FormAsk) and ask.form is not None:
            return ask.form.with_field("model", model)
        return with_members(ask.body, ask.model, model, {}, ask.relied_on)

    def _model(self, form: Any) -> str:
        return named_model(form)

    def _prompt(self, given: str | None) -> str:
        if not given:
            raise InvalidRequest("The form has no field `prompt`.", param="prompt")
        return given


class OpenAIImageVariations(OpenAIImageEdits):
    """`/v1/images/variations`: the same without a prompt, always a form."""

    operation = "images/variations"

    def __init__(self, content_types: tuple[bytes, ...] = ()) -> None:
        super().__init__(content_types)
        self._is_form = True

    def _model(self, form: Any) -> str:
        return form.field("model") or VARIATIONS_MODEL

    def _prompt(self, given: str | None) -> str:
        return given or ""
