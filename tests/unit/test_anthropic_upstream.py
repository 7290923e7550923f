"""What a provider of the kind `anthropic` is sent, and where."""

from typing import Any

import pytest

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.providers.anthropic import AnthropicUpstream
from aigne_hub.providers.profiles import languages_of, profile_of


class Client:
    def __init__(self) -> None:
        self.heads: list[list[str]] = []

    def send(self, _origin: Any, head: bytes, _body: bytes) -> None:
        assert head.endswith(b"\r\n")
        self.heads.append(head.decode().split("\r\n")[:-1])


def sent(headers: bytes = b"", *, base_url: str | None = None, secret: str = "sk-ant") -> list[str]:
    client: Any = Client()
    provider = Provider("id", "p", "anthropic", base_url, trusted=True, credentials=())
    credential = Credential("id", "main", 1, secret=secret)
    AnthropicUpstream(client, provider, credential).send("messages", b"{}", headers)
    (head,) = client.heads
    return head


def test_the_key_and_the_oldest_version_are_sent():
    head = sent()
    assert head[0] == "POST /v1/messages HTTP/1.1"
    assert "host: api.anthropic.com" in head
    assert "x-api-key: sk-ant" in head
    assert "anthropic-version: 2023-06-01" in head
    assert not any(line.startswith("authorization") for line in head)


def test_the_callers_own_version_and_betas_are_sent_instead():
    lines = b"anthropic-version: 2026-10-21\r\nanthropic-beta: a,b\r\nanthropic-beta: c\r\n"
    head = sent(lines)
    assert [line for line in head if line.startswith("anthropic")] == [
        "anthropic-version: 2026-10-21",
        "anthropic-beta: a,b",
        "anthropic-beta: c",
    ]


def test_a_server_without_a_key_is_sent_none():
    assert not any(line.startswith("x-api-key") for line in sent(secret=""))


@pytest.mark.parametrize(
    ("base_url", "path"),
    [
        ("https://api.deepseek.com/anthropic", "/anthropic/v1/messages"),
        ("http://127.0.0.1:9100", "/v1/messages"),
        ("http://127.0.0.1:9100/", "/v1/messages"),
        ("http://127.0.0.1:9100/v1", "/v1/messages"),
        ("http://127.0.0.1:9100/v1/", "/v1/messages"),
    ],
)
def test_an_address_is_understood_with_and_without_its_version(base_url: str, path: str):
    assert sent(base_url=base_url)[0] == f"POST {path} HTTP/1.1"


def test_other_kinds_speak_openais_language_at_the_very_address_given():
    assert languages_of("vllm") == languages_of("demo") == {"openai"}
    assert languages_of("openai") == {"openai", "openai-responses"}
    assert languages_of("anthropic") == {"anthropic"}
    assert profile_of("vllm", "http://h/x").address("http://h/x") == "http://h/x"
