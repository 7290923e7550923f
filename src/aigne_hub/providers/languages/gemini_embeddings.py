"""Embeddings as Google makes them: `batchEmbedContents`, version v1beta.

https://ai.google.dev/api/embeddings: from the vendor's SDK of November 2026 and stored copies.
"""

from typing import Any

import orjson

from aigne_hub.domain.embedding import EmbeddingAnswer, EmbeddingRequest
from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.providers.google import resource_of
from aigne_hub.providers.languages import Outgoing, parsed, require_good, vector_of
from aigne_hub.providers.profiles import GOOGLE, Profile
from aigne_hub.providers.usage import Wire


def outgoing(request: EmbeddingRequest, profile: Profile) -> Outgoing:
    if profile.kind != GOOGLE.kind:
        raise InvalidRequest(
            "The provider of this model makes embeddings by a method that the hub does not "
            "translate to.",
            param="model",
        )
    name = resource_of(request.model)
    more = {} if request.dimensions is None else {"outputDimensionality": request.dimensions}
    requests = [
        {"model": name, "content": {"parts": [{"text": text}]}, **more} for text in request.inputs
    ]
    operation = f"v1beta/models/{request.model}:batchEmbedContents"
    return Outgoing(operation, orjson.dumps({"requests": requests}))


def answer(request: EmbeddingRequest, body: bytes, wire: Wire) -> EmbeddingAnswer:
    value = parsed(body)
    require_good(value)
    given: Any = value.get("embeddings")
    made = given if isinstance(given, list) else []
    vectors = tuple(vector_of(one.get("values")) for one in made if isinstance(one, dict))
    if len(vectors) != len(request.inputs):
        raise UpstreamError("The upstream's answer has not one vector for each text.")
    return EmbeddingAnswer(vectors, wire.read(value))
