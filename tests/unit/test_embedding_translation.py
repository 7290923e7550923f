"""Embeddings through the neutral form, in both formats that have them."""

import base64
import struct
from typing import Any

import orjson
import pytest

from aigne_hub.domain.embedding import EmbeddingAnswer, EmbeddingRequest
from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects import EmbeddingForm
from aigne_hub.gateway.dialects.gemini.embedding_form import GeminiEmbeddingForm
from aigne_hub.gateway.dialects.openai.embedding_form import OpenAIEmbeddingForm
from aigne_hub.gateway.dialects.openai.embeddings import OpenAIEmbeddings
from aigne_hub.providers.languages import (
    EmbeddingLanguage,
    gemini_embeddings,
    openai_embeddings,
)
from aigne_hub.providers.profiles import GOOGLE, OPENAI, profile_for
from aigne_hub.providers.usage import GEMINI, Wire
from aigne_hub.providers.usage import OPENAI as OPENAI_USAGE

BATCH, ONE = (GeminiEmbeddingForm("m", is_batch=many) for many in (True, False))
CHAT_FORM = OpenAIEmbeddingForm()
WIRES: dict[str, tuple[EmbeddingForm, EmbeddingLanguage, Wire]] = {
    "openai": (CHAT_FORM, openai_embeddings, OPENAI_USAGE),
    "gemini": (BATCH, gemini_embeddings, GEMINI),
}
ASKED = EmbeddingRequest("m", ("one", "two"), 2)
MADE = EmbeddingAnswer(((0.5, -1.0), (0.25, 3)), Report(Usage(input_tokens=7)))


def texts(form: EmbeddingForm, value: object) -> EmbeddingRequest:
    return form.texts(orjson.dumps(value))


@pytest.mark.parametrize("name", WIRES)
def test_a_request_and_its_answer_come_back(name: str):
    form, language, wire = WIRES[name]
    body = language.outgoing(ASKED, GOOGLE).body
    assert form.texts(body) == ASKED
    assert language.answer(ASKED, form.vectors(body, ASKED, MADE), wire) == MADE


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"error": {"message": "no"}},
        {"data": [{"embedding": [1]}], "embeddings": [{"values": [1]}]},
        {"data": [{"embedding": []}] * 2, "embeddings": [{"values": []}] * 2},
        {"data": [{"embedding": ["x"]}] * 2, "embeddings": [{"values": [True]}] * 2},
        {"data": [{"embedding": "AAA"}, {"embedding": "*"}], "embeddings": "x"},
        {"data": [{"index": 1, "embedding": [1]}] * 2, "embeddings": [1, 2]},
    ],
)
def test_what_is_no_answer_is_an_error_of_the_upstream(name: str, value: object):
    _, language, wire = WIRES[name]
    with pytest.raises(UpstreamError):
        language.answer(ASKED, orjson.dumps(value), wire)


def test_vectors_go_by_their_index_and_may_be_packed():
    packed = base64.b64encode(struct.pack("<2f", 0.5, -1)).decode()
    data = [{"index": 1, "embedding": [2, 3]}, {"index": 0, "embedding": packed}]
    answer = openai_embeddings.answer(ASKED, orjson.dumps({"data": data}), OPENAI_USAGE)
    assert answer.vectors == ((0.5, -1.0), (2, 3))
    assert answer.report.usage is None


def test_openais_callers():
    assert texts(CHAT_FORM, {"model": "m", "input": "one", "user": "u"}) == EmbeddingRequest(
        "m", ("one",), None, ("user",)
    )
    body = orjson.dumps({"model": "m", "input": ["one"], "encoding_format": "base64"})
    said = orjson.loads(
        CHAT_FORM.vectors(body, EmbeddingRequest("m", ("four",)), EmbeddingAnswer(((1.5,),)))
    )
    assert struct.unpack("<f", base64.b64decode(said["data"][0]["embedding"])) == (1.5,)
    # Nobody told, so that it is counted.
    assert said["usage"] == {"prompt_tokens": 1, "total_tokens": 1}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("input", [1, 2]),
        ("input", [[1], [2]]),
        ("input", {"a": 1}),
        ("dimensions", "x"),
        ("encoding_format", "hex"),
    ],
)
def test_what_openais_callers_cannot_have(member: str, value: object):
    with pytest.raises(InvalidRequest) as refused:
        texts(CHAT_FORM, {"model": "m", "input": "one", member: value})
    assert refused.value.param == member


def test_googles_callers():
    content = {"role": "user", "parts": [{"text": "one"}, {"text": "two"}]}
    one = {"model": "models/m", "content": content, "task_type": "RETRIEVAL_QUERY"}
    assert texts(ONE, one) == EmbeddingRequest("m", ("one\ntwo",), None, ("taskType",))
    config = {"embed_content_config": {"output_dimensionality": 8, "autoTruncate": True}}
    assert texts(BATCH, {"requests": [{**one, **config}]}) == EmbeddingRequest(
        "m", ("one\ntwo",), 8, ("autoTruncate", "taskType")
    )
    said = orjson.loads(ONE.vectors(b"", EmbeddingRequest("m", ("a",)), EmbeddingAnswer(((1,),))))
    assert said == {"embedding": {"values": [1]}}


@pytest.mark.parametrize(
    "value",
    [
        {"requests": []},
        {"requests": [{"content": {"parts": [{"inlineData": {}}]}}]},
        {"requests": [{}]},
        {
            "requests": [
                {"content": {"parts": [{"text": "a"}]}, **more}
                for more in ({}, {"outputDimensionality": 3})
            ]
        },
    ],
)
def test_what_googles_callers_cannot_have(value: dict[str, Any]):
    with pytest.raises(InvalidRequest) as refused:
        texts(BATCH, value)
    assert refused.value.param is not None
    assert refused.value.param.startswith("requests")


def test_google_is_asked_for_all_at_once_and_vertex_not_at_all():
    said = gemini_embeddings.outgoing(EmbeddingRequest("text-x", ("a", "b"), 3), GOOGLE)
    assert said.operation == "v1beta/models/text-x:batchEmbedContents"
    assert orjson.loads(said.body)["requests"][1] == {
        "model": "models/text-x",
        "content": {"parts": [{"text": "b"}]},
        "outputDimensionality": 3,
    }
    with pytest.raises(InvalidRequest):
        gemini_embeddings.outgoing(ASKED, profile_for("vertex"))
    plain = openai_embeddings.outgoing(EmbeddingRequest("m", ("a",)), OPENAI)
    assert (plain.operation, orjson.loads(plain.body)) == (
        "embeddings",
        {"model": "m", "input": ["a"]},
    )


@pytest.mark.parametrize(
    ("given", "text_bytes"),
    [
        (["one", 'tw"\u00e9'], 8),
        ([1, 22, 333], 12),
        ([[1, 22], [3]], 12),
    ],
)
def test_lists_of_texts_and_tokens_are_counted(given: object, text_bytes: int):
    ask = OpenAIEmbeddings().ask(orjson.dumps({"model": "m", "input": given}))
    assert ask.size is not None
    assert ask.size.text_bytes == text_bytes
