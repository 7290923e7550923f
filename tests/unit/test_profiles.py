"""Vendors as data: where each is called in each of its languages, with which key."""

import re
from typing import Any

import orjson
import pytest

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.providers.connecting import connected
from aigne_hub.providers.fitting import fitted
from aigne_hub.providers.profiles import is_keyless, languages_of, profile_of
from aigne_hub.providers.vendors import VENDORS

BEARER = "authorization: Bearer K"
OPENAI, RESPONSES, ANTHROPIC, GEMINI = "openai", "openai-responses", "anthropic", "gemini"


class Clock:
    def now_us(self) -> int:
        return 0

    def monotonic_us(self) -> int:
        return 0


class Client:
    def __init__(self) -> None:
        self.heads: list[list[str]] = []
        self.bodies: list[bytes] = []

    def send(self, origin: Any, head: bytes, body: bytes = b"") -> None:
        self.heads.append([origin.host, *head.decode().split("\r\n")[:-1]])
        self.bodies.append(body)


def sent(
    kind: str,
    base_url: str | None = None,
    *,
    language: str = OPENAI,
    operation: str = "chat/completions",
    model: str = "m",
    secret: str = "K",
) -> list[str]:
    client: Any = Client()
    provider = Provider("id", "p", kind, base_url, trusted=True, credentials=())
    credential = Credential("id", "main", 1, secret=secret)
    connected(client, provider, credential, language, Clock()).serving(model).send(operation, b"{}")
    (head,) = client.heads
    return head


@pytest.mark.parametrize(
    ("kind", "host", "path", "key"),
    [
        ("openai", "api.openai.com", "/v1", BEARER),
        ("deepseek", "api.deepseek.com", "", BEARER),
        ("xai", "api.x.ai", "/v1", BEARER),
        ("openrouter", "openrouter.ai", "/api/v1", BEARER),
        ("ollama", "localhost", "/v1", BEARER),
        ("doubao", "ark.cn-beijing.volces.com", "/api/v3", BEARER),
        ("poe", "api.poe.com", "/v1", BEARER),
        ("mistral", "api.mistral.ai", "/v1", BEARER),
        ("groq", "api.groq.com", "/openai/v1", BEARER),
        ("cohere", "api.cohere.com", "/compatibility/v1", BEARER),
        ("perplexity", "api.perplexity.ai", "", BEARER),
        ("together", "api.together.xyz", "/v1", BEARER),
        ("fireworks", "api.fireworks.ai", "/inference/v1", BEARER),
    ],
)
def test_a_vendor_needs_no_address(kind: str, host: str, path: str, key: str):
    head = sent(kind)
    assert head[:2] == [host, f"POST {path}/chat/completions HTTP/1.1"]
    assert key in head


@pytest.mark.parametrize(
    ("kind", "host", "path", "key"),
    [
        ("deepseek", "api.deepseek.com", "/anthropic/v1", "x-api-key: K"),
        ("openrouter", "openrouter.ai", "/api/v1", BEARER),
        ("ollama", "localhost", "/v1", BEARER),
        ("poe", "api.poe.com", "/v1", "x-api-key: K"),
    ],
)
def test_a_vendor_of_several_languages_has_each_at_its_place(
    kind: str, host: str, path: str, key: str
):
    head = sent(kind, language=ANTHROPIC, operation="messages")
    assert head[:2] == [host, f"POST {path}/messages HTTP/1.1"]
    assert key in head
    assert "anthropic-version: 2023-06-01" in head


@pytest.mark.parametrize(
    ("kind", "base_url", "language", "address"),
    [
        ("deepseek", "https://api.deepseek.com/v1", OPENAI, "https://api.deepseek.com/v1"),
        ("deepseek", "https://h/anthropic/v1/", OPENAI, "https://h"),
        ("deepseek", "https://h/v1", ANTHROPIC, "https://h/anthropic/v1"),
        ("deepseek", "https://h/anthropic", ANTHROPIC, "https://h/anthropic/v1"),
        ("ollama", "http://h:11434/api", OPENAI, "http://h:11434/v1"),
        ("ollama", "http://h:11434", OPENAI, "http://h:11434/v1"),
        ("ollama", "http://h:11434/v1", ANTHROPIC, "http://h:11434/v1"),
        ("cohere", "https://api.cohere.ai/v2", OPENAI, "https://api.cohere.ai/compatibility/v1"),
        ("cohere", "https://h/compatibility/v1", OPENAI, "https://h/compatibility/v1"),
        ("azure", "https://r.openai.azure.com", OPENAI, "https://r.openai.azure.com/openai/v1"),
        ("azure", "https://r.openai.azure.com/openai/v1/", OPENAI,
         "https://r.openai.azure.com/openai/v1"),
        ("mistral", "http://gateway/m", OPENAI, "http://gateway/m"),
        ("openrouter", "http://gateway/x/v1", ANTHROPIC, "http://gateway/x/v1"),
    ],
)  # fmt: skip
def test_a_declared_address_is_understood_as_it_is_usually_written(
    kind: str, base_url: str, language: str, address: str
):
    assert profile_of(kind, base_url).address(base_url, language) == address


def test_reranking_is_elsewhere_at_cohere():
    assert sent("cohere", operation="rerank")[1] == "POST /v2/rerank HTTP/1.1"
    assert sent("cohere", operation="embeddings")[1] == "POST /compatibility/v1/embeddings HTTP/1.1"
    assert sent("cohere", "http://h/x/compatibility/v1", operation="rerank")[1] == (
        "POST /x/v2/rerank HTTP/1.1"
    )


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://r.openai.azure.com", "/openai/v1/chat/completions"),
        ("https://r.openai.azure.com/openai?api-version=2024-10-21",
         "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"),
        ("https://r.openai.azure.com?api-version=2024-10-21",
         "/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"),
        ("https://r.openai.azure.com/openai/deployments/d1/?api-version=2025-01-01-preview",
         "/openai/deployments/d1/chat/completions?api-version=2025-01-01-preview"),
        ("https://gateway/a/openai/deployments?api-version=2024-10-21",
         "/a/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"),
    ],
)  # fmt: skip
def test_azure_is_called_at_its_new_paths_and_at_its_older_ones(base_url: str, path: str):
    head = sent("azure", base_url, model="my gpt")
    assert head[1] == f"POST {path} HTTP/1.1"
    assert "api-key: K" in head
    assert not any(line.startswith("authorization") for line in head)


def test_what_azure_keeps_is_asked_for_below_its_version():
    client: Any = Client()
    base_url = "https://r.openai.azure.com/openai?api-version=2025-04-01-preview"
    provider = Provider("id", "p", "azure", base_url, trusted=True, credentials=())
    credential = Credential("id", "main", 1, secret="K")
    upstream: Any = connected(client, provider, credential, "openai-responses", Clock())
    upstream.serving("d1").send("responses", b"{}")
    upstream.fetch("GET", "/responses/resp_1")
    upstream.fetch("GET", "/responses/resp_1?include=a")
    assert [head[1] for head in client.heads] == [
        "POST /openai/responses?api-version=2025-04-01-preview HTTP/1.1",
        "GET /openai/responses/resp_1?api-version=2025-04-01-preview HTTP/1.1",
        "GET /openai/responses/resp_1?include=a&api-version=2025-04-01-preview HTTP/1.1",
    ]


def test_only_azures_address_has_a_query():
    with pytest.raises(ValueError, match="without \\?"):
        profile_of("openai", "https://h/v1?api-version=1")
    with pytest.raises(ValueError, match="without \\?"):
        profile_of("azure", "https://h/v1?key=1")


def test_a_kind_without_an_address_says_what_it_needs():
    with pytest.raises(ValueError, match="'azure' needs a base_url, like https://RESOURCE"):
        profile_of("azure", None)
    with pytest.raises(ValueError, match=r"'anthorpic' needs a base_url; kinds .*: anthropic, "):
        profile_of("anthorpic", None)


def test_a_kind_without_a_profile_is_openai_compatible_at_its_address():
    assert sent("vllm", "http://h:8000/v1")[:2] == ["h", "POST /v1/chat/completions HTTP/1.1"]
    assert languages_of("vllm") == {OPENAI}


def test_languages_are_of_a_kind_and_of_a_model():
    assert languages_of("deepseek") == languages_of("deepseek", "m") == {OPENAI, ANTHROPIC}
    assert (
        languages_of("poe")
        == languages_of("poe", "Claude-Opus-4.7")
        == {
            OPENAI,
            RESPONSES,
            ANTHROPIC,
        }
    )
    assert languages_of("poe", "GPT-5.4") == {OPENAI, RESPONSES}
    assert languages_of("google", "m") == {GEMINI}


def test_what_runs_locally_needs_no_key():
    assert is_keyless("ollama")
    assert is_keyless("openai-compatible")
    assert is_keyless("vllm")
    assert not is_keyless("openai")
    assert not any(line.startswith("authorization") for line in sent("ollama", secret=""))


def test_every_profile_says_where_it_is_from():
    for profile in VENDORS:
        assert profile.source.startswith("https://")
        assert profile.checked >= "2026-08"
        assert (profile.base_url is None) == bool(profile.like)


def test_output_is_bounded_by_each_vendors_own_member():
    named = {profile.kind: profile.spoken().limit_field for profile in VENDORS}
    openais = {kind for kind, name in named.items() if name == "max_completion_tokens"}
    assert openais == {"openai", "azure", "xai", "groq"}
    assert named.pop("google") == named.pop("vertex") == "generationConfig.maxOutputTokens"
    assert {name for kind, name in named.items() if kind not in openais} == {"max_tokens"}


MISTRAL = profile_of("mistral", None).spoken()


@pytest.mark.parametrize(
    ("given", "fitting"),
    [
        ({"model": "m", "stream_options": {"include_usage": True}}, {"model": "m"}),
        ({"max_completion_tokens": 5, "a": 1}, {"max_tokens": 5, "a": 1}),
        ({"max_completion_tokens": 5, "max_tokens": 4}, {"max_tokens": 4}),
    ],
)
def test_what_a_vendor_refuses_is_not_sent(given: dict[str, Any], fitting: dict[str, Any]):
    assert orjson.loads(fitted(orjson.dumps(given), MISTRAL)) == fitting


@pytest.mark.parametrize(
    "body",
    [
        b'{ "model":"m", "n": 1.0 }',
        b'{"messages":[{"content":"the member \\"stream_options\\""}]}',
        b'{"a":{"stream_options":1}}',
        b'["stream_options"]',
        b'{"stream_options":',
        b'{"stream_options":"\xff"}',
    ],
)
def test_any_other_body_is_sent_as_it_is(body: bytes):
    assert fitted(body, MISTRAL) is body


def calls(first: str, second: str) -> dict[str, Any]:
    made = [{"id": one, "function": {"name": "f"}} for one in (first, second)]
    results = [{"role": "tool", "tool_call_id": one, "content": one} for one in (first, second)]
    return {"model": "m", "messages": [{"role": "assistant", "tool_calls": made}, *results]}


def test_ids_of_calls_become_mistrals_and_still_belong_together():
    fit = orjson.loads(fitted(orjson.dumps(calls("call_1", "aB3dE6gH9")), MISTRAL))
    (asked, first, second) = fit["messages"]
    ids = [one["id"] for one in asked["tool_calls"]]
    assert ids == [first["tool_call_id"], second["tool_call_id"]]
    assert re.fullmatch("[0-9A-Za-z]{9}", ids[0])
    assert ids[1] == "aB3dE6gH9"
    assert first["content"] == "call_1"
    again = orjson.loads(fitted(orjson.dumps(calls("call_1", "call_2")), MISTRAL))
    assert again["messages"][1]["tool_call_id"] == ids[0]
    assert again["messages"][2]["tool_call_id"] != ids[0]


@pytest.mark.parametrize(
    "messages",
    [
        None,
        "x",
        [1, {"tool_call_id": 5}, {"tool_calls": "x"}, {"tool_calls": [1, {}, {"id": None}]}],
        calls("aB3dE6gH9", "123456789")["messages"],
    ],
)
def test_ids_that_are_none_or_fit_stay(messages: object):
    body = orjson.dumps({"messages": messages, "a": '"tool_calls"'})
    assert fitted(body, MISTRAL) is body


def test_a_body_nested_deeper_than_can_be_written_is_refused():
    deep = b'{"a":' + b"[" * 300 + b"]" * 300 + b',"max_completion_tokens":5}'
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        fitted(deep, MISTRAL)


def test_a_body_is_fitted_on_its_way():
    client: Any = Client()
    provider = Provider("id", "p", "mistral", None, trusted=True, credentials=())
    credential = Credential("id", "main", 1, secret="K")
    upstream = connected(client, provider, credential, OPENAI, Clock())
    upstream.send("chat/completions", b'{"model":"m","stream_options":{"include_usage":true}}')
    assert client.bodies == [b'{"model":"m"}']
