"""What a provider of the kind `google` is sent, and where."""

from typing import Any

import pytest

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.providers.google import GoogleUpstream
from aigne_hub.providers.profiles import languages_of

GENERATE = "v1beta/models/what/they:say:generateContent"


class Client:
    def __init__(self) -> None:
        self.heads: list[list[str]] = []

    def send(self, _origin: Any, head: bytes, _body: bytes) -> None:
        assert head.endswith(b"\r\n")
        self.heads.append(head.decode().split("\r\n")[:-1])


def sent(
    *operations: str,
    model: str = "gemini-flash",
    base_url: str | None = None,
    secret: str = "AIza-x",
) -> list[list[str]]:
    client: Any = Client()
    provider = Provider("id", "p", "google", base_url, trusted=True, credentials=())
    credential = Credential("id", "main", 1, secret=secret)
    upstream = GoogleUpstream(client, provider, credential).serving(model)
    for operation in operations or (GENERATE,):
        upstream.send(operation, b"{}")
    return client.heads


def test_the_key_stands_in_its_header_and_the_upstreams_name_in_the_path():
    ((line, *head),) = sent()
    assert line == "POST /v1beta/models/gemini-flash:generateContent HTTP/1.1"
    assert "host: generativelanguage.googleapis.com" in head
    assert "x-goog-api-key: AIza-x" in head
    assert not any(name.startswith("authorization") for name in head)


def test_each_call_goes_to_its_own_version_and_method():
    operations = ["v1/models/a:countTokens", "v1beta/models/a:streamGenerateContent", GENERATE]
    assert [head[0].split(" ")[1] for head in sent(*operations, GENERATE)] == [
        "/v1/models/gemini-flash:countTokens",
        "/v1beta/models/gemini-flash:streamGenerateContent?alt=sse",
        "/v1beta/models/gemini-flash:generateContent",
        "/v1beta/models/gemini-flash:generateContent",
    ]


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("tunedModels/mine", "/v1beta/tunedModels/mine:generateContent"),
        ("a b?c#d\r\n", "/v1beta/models/a%20b%3Fc%23d%0D%0A:generateContent"),
        ("gemini-2.5-flash:free", "/v1beta/models/gemini-2.5-flash:free:generateContent"),
    ],
)
def test_a_name_cannot_leave_its_place_in_the_path(model: str, path: str):
    ((line, *_),) = sent(model=model)
    assert line == f"POST {path} HTTP/1.1"


@pytest.mark.parametrize("tail", ["", "/", "/v1beta", "/v1/", "/v1"])
def test_an_address_is_understood_with_and_without_a_version(tail: str):
    ((line, *_),) = sent(base_url=f"http://127.0.0.1:9100/proxy{tail}")
    assert line == "POST /proxy/v1beta/models/gemini-flash:generateContent HTTP/1.1"


def test_a_server_without_a_key_is_sent_none():
    (head,) = sent(secret="")
    assert not any(line.startswith("x-goog-api-key") for line in head)


def test_the_kind_speaks_geminis_language_alone():
    assert languages_of("google") == {"gemini"}
