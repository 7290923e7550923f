"""Gemini's `embedContent` and `batchEmbedContents` in the neutral form.

https://ai.google.dev/api/embeddings: from the vendor's SDK of November 2026 and stored copies.
"""

from typing import Any

import orjson

from aigne_hub.domain.embedding import EmbeddingAnswer, EmbeddingRequest
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.gateway.dialects.gemini.members import Members
from aigne_hub.gateway.dialects.members import whole_object


class GeminiEmbeddingForm:
    """dialects.EmbeddingForm for one call; `is_batch` for the method that takes several."""

    def __init__(self, model: str, *, is_batch: bool) -> None:
        self._model = model
        self._is_batch = is_batch

    def texts(self, body: bytes) -> EmbeddingRequest:
        lost: list[str] = []
        top = Members(whole_object(body), "", lost)
        requests = top.each("requests") if self._is_batch else [top]
        if not requests:
            raise InvalidRequest("There is no text to embed.", param="requests")
        inputs: list[str] = []
        dimensions: set[int | None] = set()
        for request in requests:
            inputs.append(_text(request))
            dimensions.add(_dimensions(request))
            request.take("model")
            request.note_rest()
        if self._is_batch:
            top.note_rest()
        if len(dimensions) > 1:
            raise InvalidRequest(
                "`requests`: the provider of this model gives all vectors of a call the same "
                "`outputDimensionality`.",
                param="requests",
            )
        return EmbeddingRequest(
            self._model, tuple(inputs), dimensions.pop(), tuple(dict.fromkeys(lost))
        )

    def vectors(self, _body: bytes, _request: EmbeddingRequest, answer: EmbeddingAnswer) -> bytes:
        made = [{"values": vector} for vector in answer.vectors]
        said: dict[str, Any] = {"embeddings": made} if self._is_batch else {"embedding": made[0]}
        usage = answer.report.usage
        if usage is not None:
            tokens = usage.context_tokens
            said["usageMetadata"] = {"promptTokenCount": tokens, "totalTokenCount": tokens}
        return orjson.dumps(said)


def _text(request: Members) -> str:
    content = request.within("content")
    if content is None:
        at = request.at("content")
        raise InvalidRequest(f"`{at}` must be an object.", param=at)
    texts = []
    for part in content.each("parts"):
        texts.append(part.text("text"))
        part.refuse_rest("cannot be embedded by this model's provider: it takes text.")
    content.take("role")
    return "\n".join(texts)


def _dimensions(request: Members) -> int | None:
    """Return the length that is asked for, which newer clients say in a configuration."""
    count = request.count("outputDimensionality")
    config = request.within("embedContentConfig")
    if config is None:
        return count
    within = config.count("outputDimensionality")
    config.note_rest()
    return count if within is None else within
