"""Azure's older paths, which name the deployment and a version of the interface.

https://learn.microsoft.com/en-us/azure/foundry/openai/reference, looked up in a stored copy in
November 2026. Its newer paths, /openai/v1, are OpenAI's own.
"""

from collections.abc import Awaitable
from urllib.parse import quote

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.providers.profile import OPENAI_LANGUAGE
from aigne_hub.providers.profiles import profile_of
from aigne_hub.providers.upstream import Answer
from aigne_hub.providers.usage import OPENAI
from aigne_hub.transport import Client, Origin, request_head

_DEPLOYMENTS = "/openai/deployments"


def is_older_form(base_url: str | None) -> bool:
    """Tell whether an address names a version of the interface, as the older paths need it."""
    return "?" in (base_url or "")


class AzureUpstream:
    """providers.upstream.Upstream over HTTP, for one deployment.

    An address that names a deployment has that one for all models.
    """

    wire = OPENAI

    def __init__(
        self, client: Client, provider: Provider, credential: Credential | None, model: str = ""
    ) -> None:
        spoken = profile_of(provider.kind, provider.base_url).spoken(OPENAI_LANGUAGE)
        self.limit_field = spoken.limit_field
        self._client = client
        self._provider = provider
        self._credential = credential
        url, _, self._query = (provider.base_url or "").partition("?")
        root, named, deployment = url.rstrip("/").partition(_DEPLOYMENTS)
        root = root.removesuffix("/v1").removesuffix("/openai")
        self._origin = Origin.parse(root, trusted=provider.trusted)
        own = deployment.strip("/") if named else ""
        self._path = f"{_DEPLOYMENTS}/{own or quote(model, safe='')}"
        secret = credential.secret if credential is not None else ""
        self._headers = [("content-type", "application/json"), *spoken.authorisation(secret)]
        self._heads: dict[str, bytes] = {}

    def serving(self, model: str) -> "AzureUpstream":
        return AzureUpstream(self._client, self._provider, self._credential, model)

    def send(self, operation: str, body: bytes, headers: bytes = b"") -> Awaitable[Answer]:
        head = self._heads.get(operation)
        if head is None:
            target = f"{self._path}/{operation}?{self._query}"
            head = request_head("POST", self._origin, target, self._headers)
            self._heads[operation] = head
        return self._client.send(self._origin, head + headers if headers else head, body)
