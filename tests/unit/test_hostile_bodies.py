"""Requests that nobody should send, in the formats that are only looked into, or for vectors."""

from typing import Any

import pytest
from tests.hostile import BODIES, dumped, spoilt

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.gateway.dialects import Dialect, EmbeddingForm
from aigne_hub.gateway.dialects.aigne.whole import AigneEmbeddings, AigneFlatImages, AigneImages
from aigne_hub.gateway.dialects.gemini.called import Called
from aigne_hub.gateway.dialects.gemini.generate import GeminiEmbed
from aigne_hub.gateway.dialects.openai.chat import OpenAICompletions
from aigne_hub.gateway.dialects.openai.embeddings import OpenAIEmbeddings
from aigne_hub.gateway.dialects.openai.images import OpenAIImages
from aigne_hub.gateway.dialects.openai.moderations import OpenAIModerations
from aigne_hub.gateway.dialects.openai.rerank import Rerank
from aigne_hub.gateway.dialects.openai.speech import OpenAISpeech
from aigne_hub.providers.languages import gemini_embeddings, openai_embeddings
from aigne_hub.providers.profiles import GOOGLE, OPENAI

DIALECTS: dict[str, tuple[Dialect, dict[str, Any]]] = {
    "embeddings": (
        OpenAIEmbeddings(),
        {"model": "m", "input": ["a"], "dimensions": 3, "encoding_format": "base64", "user": "u"},
    ),
    "embedContent": (
        GeminiEmbed(Called("v1beta", "m", "embedContent")),
        {"content": {"parts": [{"text": "x"}]}, "outputDimensionality": 3, "taskType": "x"},
    ),
    "images": (
        OpenAIImages(),
        {"model": "m", "prompt": "a", "n": 1, "size": "1x1", "stream": True, "partial_images": 1},
    ),
    "moderations": (OpenAIModerations(), {"model": "m", "input": [{"type": "text", "text": "x"}]}),
    "speech": (OpenAISpeech(), {"model": "m", "input": "x", "voice": "a", "stream_format": "sse"}),
    "rerank": (Rerank(), {"model": "m", "query": "a", "documents": ["a", {"text": "b"}]}),
    "completions": (
        OpenAICompletions(),
        {"model": "m", "prompt": ["a", [1, 2]], "max_tokens": 5, "n": 1, "stream": True},
    ),
    "aigne-images": (
        AigneImages(),
        {
            "input": {
                "prompt": "a",
                "image": [{"type": "url", "url": "x"}],
                "modelOptions": {"model": "m"},
            }
        },
    ),
    "aigne-flat-images": (AigneFlatImages(), {"model": "m", "prompt": "a", "n": 1}),
    "aigne-embeddings": (AigneEmbeddings(), {"model": "m", "input": ["x"]}),
}


def sent(name: str, body: bytes) -> bool:
    """Ask as a call does; return whether it was not refused."""
    dialect, _ = DIALECTS[name]
    try:
        outgoing = dialect.outgoing(dialect.ask(body), "m", "max_tokens", None)
        if isinstance(dialect.form, EmbeddingForm):
            request = dialect.form.texts(outgoing)
            openai_embeddings.outgoing(request, OPENAI)
            gemini_embeddings.outgoing(request, GOOGLE)
    except InvalidRequest:
        return False
    return True


@pytest.mark.parametrize("name", DIALECTS)
def test_a_request_with_any_member_spoilt_is_refused_or_sent(name: str):
    good = DIALECTS[name][1]
    assert sent(name, dumped(good))
    for _, body in spoilt(good):
        sent(name, dumped(body))


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("kind", BODIES)
def test_a_hostile_body_is_refused(name: str, kind: str):
    assert not sent(name, BODIES[kind])
