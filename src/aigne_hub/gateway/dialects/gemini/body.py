"""What stands in Gemini's request bodies: their size, their limits, the names of models.

Members go by two spellings, `generationConfig` and `generation_config`: Google reads both.
https://ai.google.dev/api/generate-content: from the SDK and stored copies, not the live page.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import orjson

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.quotes import BYTES_PER_MEDIA_TOKEN, MEDIA_TOKENS, Size, size_of
from aigne_hub.gateway.dialects.splice import reads_alike
from aigne_hub.providers.google import resource_of
from aigne_hub.providers.languages import written

# A file that is only named, a cached prompt, or what a tool of Google's fetches may fill a model's
# context, and is read at the price of a prompt.
NAMED_TOKENS = 1_048_576

CONFIG = ("generationConfig", "generation_config")
LIMIT = ("maxOutputTokens", "max_output_tokens")
COUNT = ("candidateCount", "candidate_count")
_RELIED_ON = (CONFIG, LIMIT, COUNT)
_INLINED = re.compile(rb'"data"\s*:\s*"[A-Za-z0-9+/=_\\-]*"')
_NAMED = re.compile(rb'"(?:file_?[uU]ri|cached_?[cC]ontent|url_?[cC]ontext|file_?[sS]earch)"\s*:')
# How far before its bytes a piece of media says that it is a picture.
_TYPE_BYTES = 96

Members = dict[str, Any]


class Config(msgspec.Struct):
    """The members of `generationConfig` that bound what is produced.

    Thoughts are within the limit: https://github.com/googleapis/python-genai/issues/2062.
    """

    maxOutputTokens: int | None = None  # noqa: N815 - Google's name
    max_output_tokens: int | None = None
    candidateCount: int | None = None  # noqa: N815 - Google's name
    candidate_count: int | None = None


def size_in(body: bytes) -> Size | None:
    """Measure a body with media or files in it, None for one without: as size_of does."""
    named = len(_NAMED.findall(body))
    if not named and b'"data"' not in body:
        return None
    media = 0
    for match in _INLINED.finditer(body):
        start, end = match.span()
        tokens = MEDIA_TOKENS
        if b"image" not in body[max(start - _TYPE_BYTES, 0) : start]:
            tokens = max(tokens, (end - start) // BYTES_PER_MEDIA_TOKEN)
        media += tokens
    bare = size_of(_INLINED.sub(b'"data":""', body))
    return Size(bare.tokens_bound + media + named * NAMED_TOKENS, bare.text_bytes)


def limited(value: Members, limit: int) -> None:
    """Set the output limit of a request that has none."""
    name = CONFIG[1] if isinstance(value.get(CONFIG[1]), dict) else CONFIG[0]
    config = value.get(name)
    kept = config if isinstance(config, dict) else {}
    value[name] = {k: v for k, v in kept.items() if k not in LIMIT} | {LIMIT[0]: limit}


def for_model(
    body: bytes,
    model: str,
    inner: Callable[[Members], Iterator[Any]],
    change: Callable[[Members], None] | None = None,
) -> bytes:
    """Return the body for the upstream's model: the same, unless something of it must change.

    A name of the model may stand in the object, and in those that `inner` yields. A body in
    which a member the quote was made from stands twice is written again, so that hub and
    upstream read the same. Raises InvalidRequest.
    """
    plain = reads_alike(body, _RELIED_ON)
    if plain and change is None and b'"model"' not in body:
        return body
    value = _object(body)
    named = [one for one in (value, *inner(value)) if isinstance(one, dict) and "model" in one]
    for one in named:
        one["model"] = resource_of(model)
    if change is not None:
        change(value)
    return body if plain and change is None and not named else written(value)


def read_once(body: bytes) -> bytes:
    """Return a body in which no member that a quote is made from stands twice.

    It is what `for_model` sends then. Raises InvalidRequest.
    """
    return body if reads_alike(body, _RELIED_ON) else written(_object(body))


def _object(body: bytes) -> Members:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The request body is not a JSON object.")
    return value
