"""Plain forms: what a browser without script sends."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request

FORM_BYTES_MAX = 4_096
# Of a form with passwords or with the address of another page in it.
LONG_FORM_BYTES_MAX = 24_576
FIELDS_MAX = 32


class Form(dict[str, str]):
    """The fields of a form without space around them; `typed` has their bytes untouched."""

    typed: Mapping[str, bytes] = {}


async def form_of(request: Request, bytes_max: int = FORM_BYTES_MAX) -> Form:
    """Return the fields of a form, the first of each name. No honest form is longer."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            break
    return fields(body[:bytes_max].decode("utf-8", "replace"))


def fields(text: str) -> Form:
    """Return the fields of a form or a query; a text with too many has none."""
    try:
        pairs = parse_qsl(text, max_num_fields=FIELDS_MAX)
        raw = parse_qsl(text, max_num_fields=FIELDS_MAX, errors="surrogateescape")
    except ValueError:
        return Form()
    form = Form((name, value.strip()) for name, value in reversed(pairs))
    form.typed = {name: value.encode("utf-8", "surrogateescape") for name, value in reversed(raw)}
    return form
