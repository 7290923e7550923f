"""The OpenAI wire: a provider, a credential and a pool of connections."""

from collections.abc import Awaitable
from typing import Self

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.providers.fitting import fitted
from aigne_hub.providers.profile import OPENAI_LANGUAGE, RESPONSES_LANGUAGE
from aigne_hub.providers.profiles import profile_of
from aigne_hub.providers.upstream import Answer
from aigne_hub.providers.usage import compatible_wire
from aigne_hub.transport import Client, Origin, request_head

_OWN_TYPE = b"content-type:"
_JSON_TYPE = b"content-type: application/json\r\n"


class OpenAIUpstream:
    """providers.upstream.Upstream and Keeper over HTTP.

    Request heads are built once per operation: they hold nothing of the single call.
    """

    _language: str = OPENAI_LANGUAGE

    def __init__(self, client: Client, provider: Provider, credential: Credential | None) -> None:
        profile = profile_of(provider.kind, provider.base_url)
        self._spoken = spoken = profile.spoken(self._language)
        self.limit_field = spoken.limit_field
        self.wire = compatible_wire(provider.kind)
        self._client = client
        address = profile.address(provider.base_url, self._language)
        self._origin = Origin.parse(address, trusted=provider.trusted)
        root = address.removesuffix(spoken.path)
        self._elsewhere = {
            operation: Origin.parse(root + path, trusted=provider.trusted)
            for operation, path in (spoken.elsewhere or {}).items()
        }
        secret = credential.secret if credential is not None else ""
        self._headers = [("content-type", "application/json"), *spoken.authorisation(secret)]
        self._heads: dict[str, bytes] = {}
        self._is_picky = bool(spoken.refuses or spoken.renames or spoken.call_id_length)

    def serving(self, _model: str) -> Self:
        return self

    def send(self, operation: str, body: bytes, headers: bytes = b"") -> Awaitable[Answer]:
        head = self._heads.get(operation)
        if head is None:
            head = self._heads[operation] = self._head(operation)
        if headers.startswith(_OWN_TYPE):
            # Bytes that are sent as they came, under the type that they came with.
            return self._client.send(self._origin, head.replace(_JSON_TYPE, b"") + headers, body)
        if self._is_picky:
            body = fitted(body, self._spoken)
        return self._client.send(self._origin, head + headers if headers else head, body)

    def _head(self, operation: str) -> bytes:
        origin = self._elsewhere.get(operation, self._origin)
        return request_head("POST", origin, f"/{operation}", self._headers)

    def fetch(self, method: str, path: str) -> Awaitable[Answer]:
        """Ask about an object that is kept here: providers.upstream.Keeper."""
        return self._client.send(
            self._origin, request_head(method, self._origin, path, self._headers)
        )


class ResponsesUpstream(OpenAIUpstream):
    """The same where Responses are spoken, which need not be the same address."""

    _language = RESPONSES_LANGUAGE
