"""Plain forms: what a browser without script sends."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from fastapi import Request

FORM_BYTES_MAX = 4_096
FIELDS_MAX = 32


async def form_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a form, the first of each name. No honest form is longer."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            break
    return fields(body[:FORM_BYTES_MAX].decode("utf-8", "replace"))


def fields(text: str) -> Mapping[str, str]:
    """Return the fields of a form or a query; a text with too many has none."""
    try:
        pairs = parse_qsl(text, max_num_fields=FIELDS_MAX)
    except ValueError:
        return {}
    return {name: value.strip() for name, value in reversed(pairs)}
