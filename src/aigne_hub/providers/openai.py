"""The OpenAI wire: a provider, a credential and a pool of connections."""

from collections.abc import Awaitable
from typing import Self

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.providers.profiles import Profile, profile_of
from aigne_hub.providers.upstream import Answer
from aigne_hub.providers.usage import compatible_wire
from aigne_hub.transport import Client, Origin, request_head


class OpenAIUpstream:
    """providers.upstream.Upstream and Keeper over HTTP.

    Request heads are built once per operation: they hold nothing of the single call.
    """

    def __init__(self, client: Client, provider: Provider, credential: Credential | None) -> None:
        profile: Profile = profile_of(provider.kind, provider.base_url)
        self.limit_field = profile.limit_field
        self.wire = compatible_wire(provider.kind)
        self._client = client
        self._origin = Origin.parse(profile.address(provider.base_url), trusted=provider.trusted)
        secret = credential.secret if credential is not None else ""
        self._headers = [("content-type", "application/json"), *profile.authorisation(secret)]
        self._heads: dict[str, bytes] = {}

    def serving(self, _model: str) -> Self:
        return self

    def send(self, operation: str, body: bytes, headers: bytes = b"") -> Awaitable[Answer]:
        head = self._heads.get(operation)
        if head is None:
            head = request_head("POST", self._origin, f"/{operation}", self._headers)
            self._heads[operation] = head
        return self._client.send(self._origin, head + headers if headers else head, body)

    def fetch(self, method: str, path: str) -> Awaitable[Answer]:
        """Ask about an object that is kept here: providers.upstream.Keeper."""
        return self._client.send(
            self._origin, request_head(method, self._origin, path, self._headers)
        )
