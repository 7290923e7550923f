"""OpenAI's embeddings in the neutral form.

https://platform.openai.com/docs/api-reference/embeddings, August 2026.
"""

import base64
import struct
from typing import Any

import orjson

from aigne_hub.domain.embedding import EmbeddingAnswer, EmbeddingRequest
from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.domain.quotes import count_text
from aigne_hub.gateway.dialects.members import a_text, maybe_count, texts, whole_object

_READ = {"model", "input", "dimensions", "encoding_format"}
_FORMATS = (None, "float", "base64")


class OpenAIEmbeddingForm:
    """dialects.EmbeddingForm for `/v1/embeddings`."""

    def texts(self, body: bytes) -> EmbeddingRequest:
        value = whole_object(body)
        given = value.get("input")
        items = given if isinstance(given, list) else [given]
        if any(isinstance(item, int | list) for item in items):
            raise InvalidRequest(
                "`input`: tokens mean something to their own model alone; send text to this one.",
                param="input",
            )
        if value.get("encoding_format") not in _FORMATS:
            raise InvalidRequest(
                "`encoding_format` is `float` or `base64`.", param="encoding_format"
            )
        return EmbeddingRequest(
            a_text(value.get("model"), "model"),
            texts(given, "input"),
            maybe_count(value.get("dimensions"), "dimensions"),
            tuple(name for name in value if name not in _READ),
        )

    def vectors(self, body: bytes, request: EmbeddingRequest, answer: EmbeddingAnswer) -> bytes:
        """Return the answer; without the provider's own count, with what is counted here."""
        packs = whole_object(body).get("encoding_format") == "base64"
        usage = answer.report.usage
        tokens = usage.context_tokens if usage is not None else counted(request)
        data: list[dict[str, Any]] = [
            {
                "object": "embedding",
                "index": index,
                "embedding": _packed(vector) if packs else vector,
            }
            for index, vector in enumerate(answer.vectors)
        ]
        return orjson.dumps(
            {
                "object": "list",
                "data": data,
                "model": request.model,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )


def counted(request: EmbeddingRequest) -> int:
    """Return the tokens of a request's text at the hub's measure."""
    return count_text(sum(len(text.encode()) for text in request.inputs))


def _packed(vector: tuple[float, ...]) -> str:
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError:
        raise UpstreamError("The upstream's answer has a number too large to be packed.") from None
