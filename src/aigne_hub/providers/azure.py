"""Azure's older paths, which name the deployment and a version of the interface.

https://learn.microsoft.com/en-us/azure/foundry/openai/reference, looked up in a stored copy in
November 2026. Its newer paths, /openai/v1, are OpenAI's own.
"""

from collections.abc import Awaitable
from typing import Self
from urllib.parse import quote

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.providers.openai import OpenAIUpstream
from aigne_hub.providers.upstream import Answer
from aigne_hub.transport import Client, Origin, request_head

_DEPLOYMENTS = "/openai/deployments"
# What is not asked of a deployment: the body names it.
_OF_NONE = frozenset({"responses"})


class AzureUpstream(OpenAIUpstream):
    """providers.upstream.Upstream and Keeper over HTTP, for one deployment.

    An address that names a deployment has that one for all models.
    """

    def __init__(
        self, client: Client, provider: Provider, credential: Credential | None, model: str = ""
    ) -> None:
        super().__init__(client, provider, credential)
        self._provider = provider
        self._credential = credential
        url, _, self._query = (provider.base_url or "").partition("?")
        root, named, deployment = url.rstrip("/").partition(_DEPLOYMENTS)
        root = root.removesuffix("/v1").removesuffix("/openai")
        self._origin = Origin.parse(root, trusted=provider.trusted)
        own = deployment.strip("/") if named else ""
        self._path = f"{_DEPLOYMENTS}/{own or quote(model, safe='')}"

    def serving(self, model: str) -> Self:
        return type(self)(self._client, self._provider, self._credential, model)

    def _head(self, operation: str) -> bytes:
        path = "/openai" if operation in _OF_NONE else self._path
        target = f"{path}/{operation}?{self._query}"
        return request_head("POST", self._origin, target, self._headers)

    def fetch(self, method: str, path: str) -> Awaitable[Answer]:
        """Ask about an object that is kept here: providers.upstream.Keeper."""
        joined = "&" if "?" in path else "?"
        target = f"/openai{path}{joined}{self._query}"
        return self._client.send(
            self._origin, request_head(method, self._origin, target, self._headers)
        )
