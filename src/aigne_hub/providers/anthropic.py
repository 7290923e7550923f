"""The Anthropic wire: Messages, at Anthropic's own address or another that speaks it."""

from collections.abc import Awaitable
from typing import Self

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.providers.profile import ANTHROPIC_LANGUAGE
from aigne_hub.providers.profiles import profile_of
from aigne_hub.providers.upstream import Answer
from aigne_hub.providers.usage import ANTHROPIC
from aigne_hub.transport import Client, Origin, request_head


class AnthropicUpstream:
    """providers.upstream.Upstream over HTTP.

    Request heads are built once per operation; what is the single call's own is put behind.
    """

    wire = ANTHROPIC

    def __init__(self, client: Client, provider: Provider, credential: Credential | None) -> None:
        profile = profile_of(provider.kind, provider.base_url)
        spoken = profile.spoken(ANTHROPIC_LANGUAGE)
        self.limit_field = spoken.limit_field
        self._client = client
        address = profile.address(provider.base_url, ANTHROPIC_LANGUAGE)
        self._origin = Origin.parse(address, trusted=provider.trusted)
        secret = credential.secret if credential is not None else ""
        self._headers = [("content-type", "application/json"), *spoken.authorisation(secret)]
        self._defaults = [
            (f"{name}:".encode(), f"{name}: {value}\r\n".encode())
            for name, value in spoken.default_headers
        ]
        self._heads: dict[str, bytes] = {}

    def serving(self, _model: str) -> Self:
        return self

    def send(self, operation: str, body: bytes, headers: bytes = b"") -> Awaitable[Answer]:
        head = self._heads.get(operation)
        if head is None:
            head = request_head("POST", self._origin, f"/{operation}", self._headers)
            self._heads[operation] = head
        for name, line in self._defaults:
            if name not in headers:
                headers += line
        return self._client.send(self._origin, head + headers, body)
