"""Embeddings as OpenAI and the compatible vendors make them.

https://platform.openai.com/docs/api-reference/embeddings, August 2026.
"""

import base64
import struct
from typing import Any

import orjson

from aigne_hub.domain.embedding import EmbeddingAnswer, EmbeddingRequest
from aigne_hub.domain.errors import UpstreamError
from aigne_hub.providers.languages import Outgoing, parsed, require_good, vector_of
from aigne_hub.providers.profiles import Profile
from aigne_hub.providers.usage import Wire

_FLOAT_BYTES = 4


def outgoing(request: EmbeddingRequest, _profile: Profile) -> Outgoing:
    body: dict[str, Any] = {"model": request.model, "input": list(request.inputs)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return Outgoing("embeddings", orjson.dumps(body))


def answer(request: EmbeddingRequest, body: bytes, wire: Wire) -> EmbeddingAnswer:
    value = parsed(body)
    require_good(value)
    data = value.get("data")
    found: dict[int, tuple[float, ...]] = {}
    for at, one in enumerate(data if isinstance(data, list) else ()):
        index = one.get("index", at) if isinstance(one, dict) else None
        if type(index) is int:
            found[index] = _vector(one.get("embedding"))
    if set(found) != set(range(len(request.inputs))):
        raise UpstreamError("The upstream's answer has not one vector for each text.")
    return EmbeddingAnswer(tuple(found[at] for at in sorted(found)), wire.read(value))


def _vector(said: object) -> tuple[float, ...]:
    """Return a vector, which some servers always pack."""
    if not isinstance(said, str):
        return vector_of(said)
    try:
        packed = base64.b64decode(said, validate=True)
        vector = struct.unpack(f"<{len(packed) // _FLOAT_BYTES}f", packed)
    except (ValueError, struct.error):
        vector = ()
    return vector_of(list(vector))
