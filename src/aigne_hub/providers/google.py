"""Gemini's wire at Google's own address: version, model and method stand in the path."""

from collections.abc import Awaitable
from urllib.parse import quote

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.providers.profile import GEMINI_LANGUAGE
from aigne_hub.providers.profiles import profile_of
from aigne_hub.providers.upstream import Answer
from aigne_hub.providers.usage import GEMINI
from aigne_hub.transport import Client, Origin, request_head

STREAM_METHOD = "streamGenerateContent"


def resource_of(model: str) -> str:
    """Return a model's resource name: tuned ones are written with their collection."""
    return model if "/" in model else f"models/{model}"


class GoogleUpstream:
    """providers.upstream.Upstream over HTTP, for one model.

    An operation is `VERSION/models/NAME:METHOD`, NAME being what the caller calls the model.
    """

    wire = GEMINI

    def __init__(
        self, client: Client, provider: Provider, credential: Credential | None, model: str = ""
    ) -> None:
        profile = profile_of(provider.kind, provider.base_url)
        spoken = profile.spoken(GEMINI_LANGUAGE)
        self.limit_field = spoken.limit_field
        self._client = client
        self._provider = provider
        self._credential = credential
        self._model = quote(resource_of(model), safe="/:")
        address = profile.address(provider.base_url, GEMINI_LANGUAGE)
        self._origin = Origin.parse(address, trusted=provider.trusted)
        secret = credential.secret if credential is not None else ""
        self._headers = [("content-type", "application/json"), *spoken.authorisation(secret)]
        self._heads: dict[tuple[str, str], bytes] = {}

    def serving(self, model: str) -> "GoogleUpstream":
        return GoogleUpstream(self._client, self._provider, self._credential, model)

    def send(self, operation: str, body: bytes, headers: bytes = b"") -> Awaitable[Answer]:
        version, _, rest = operation.partition("/")
        method = rest.rpartition(":")[2]
        head = self._heads.get((version, method))
        if head is None:
            query = "?alt=sse" if method == STREAM_METHOD else ""
            path = f"/{version}/{self._model}:{method}{query}"
            head = request_head("POST", self._origin, path, self._headers)
            self._heads[version, method] = head
        return self._client.send(self._origin, head + headers if headers else head, body)
