"""Vertex AI: Gemini's wire below a project, and Anthropic's through raw predictions.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference and, for Claude,
https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude with its
neighbour on counting tokens; stored copies, November 2026.
"""

from urllib.parse import quote

import orjson

from aigne_hub.catalog.snapshot import Provider
from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.faults import Fault
from aigne_hub.ports import Clock
from aigne_hub.providers.google import STREAM_METHOD
from aigne_hub.providers.languages import written
from aigne_hub.providers.profile import ANTHROPIC_LANGUAGE, GEMINI_LANGUAGE
from aigne_hub.providers.profiles import profile_of
from aigne_hub.providers.service_account import ServiceAccount
from aigne_hub.providers.tokens import Tokens
from aigne_hub.providers.upstream import Answer
from aigne_hub.providers.usage import ANTHROPIC, GEMINI
from aigne_hub.transport import Client, Origin, request_head

# Stands in the body, in place of the header of Anthropic's own address.
ANTHROPIC_VERSION = "vertex-2023-10-16"
_COUNT = "messages/count_tokens"
_TYPE = (("content-type", "application/json"),)


class _Project:
    """Where a provider's models are, and the token that opens them."""

    def __init__(
        self, client: Client, provider: Provider, secret: str, language: str, clock: Clock
    ) -> None:
        profile = profile_of(provider.kind, provider.base_url)
        self.limit_field = profile.spoken(language).limit_field
        self._client = client
        address = profile.address(provider.base_url, language)
        self._origin = Origin.parse(address, trusted=provider.trusted)
        self._fixed = b"authorization: Bearer %b\r\n" % secret.encode()
        self._tokens: Tokens | None = None
        self._unusable = ""
        if is_account(secret):
            try:
                account = ServiceAccount.parse(secret)
                self._tokens = Tokens(client, account, clock, trusted=provider.trusted)
            except ValueError as error:
                self._unusable = str(error)

    def head(self, path: str) -> bytes:
        return request_head("POST", self._origin, path, _TYPE)

    async def send(self, head: bytes, body: bytes) -> Answer:
        if self._unusable:
            words = f"The hub's own credential {self._unusable}."
            raise UpstreamError(words, fault=Fault.REFUSED)
        line = self._fixed
        if self._tokens is not None:
            line = b"authorization: Bearer %b\r\n" % (await self._tokens.current()).encode()
        return await self._client.send(self._origin, head + line, body)


def is_account(secret: str) -> bool:
    """Tell a service account's JSON from an access token."""
    return secret.startswith("{")


class VertexGemini:
    """providers.upstream.Upstream over HTTP, for one model.

    An operation is `VERSION/models/NAME:METHOD`: the version of the address holds, and the
    name is what the caller calls the model.
    """

    wire = GEMINI

    def __init__(self, project: _Project, model: str = "") -> None:
        self.limit_field = project.limit_field
        self._project = project
        self._model = model if "/" in model else f"publishers/google/models/{model}"
        self._heads: dict[str, bytes] = {}

    @classmethod
    def of(cls, client: Client, provider: Provider, secret: str, clock: Clock) -> "VertexGemini":
        return cls(_Project(client, provider, secret, GEMINI_LANGUAGE, clock))

    def serving(self, model: str) -> "VertexGemini":
        return VertexGemini(self._project, model)

    async def send(self, operation: str, body: bytes, headers: bytes = b"") -> Answer:
        method = operation.rpartition(":")[2]
        head = self._heads.get(method)
        if head is None:
            query = "?alt=sse" if method == STREAM_METHOD else ""
            head = self._project.head(f"/{quote(self._model, safe='/@')}:{method}{query}")
            self._heads[method] = head
        return await self._project.send(head + headers, body)


class VertexAnthropic:
    """providers.upstream.Upstream over HTTP, for one model."""

    wire = ANTHROPIC

    def __init__(self, project: _Project, model: str = "") -> None:
        self.limit_field = project.limit_field
        self._project = project
        self._model = model
        self._heads: dict[str, bytes] = {}

    @classmethod
    def of(cls, client: Client, provider: Provider, secret: str, clock: Clock) -> "VertexAnthropic":
        return cls(_Project(client, provider, secret, ANTHROPIC_LANGUAGE, clock))

    def serving(self, model: str) -> "VertexAnthropic":
        return VertexAnthropic(self._project, model)

    async def send(self, operation: str, body: bytes, headers: bytes = b"") -> Answer:
        counts = operation == _COUNT
        body, is_stream = said_below_a_model(body, ANTHROPIC_VERSION, keeps_model=counts)
        name = "count-tokens" if counts else self._model
        method = "streamRawPredict" if is_stream and not counts else "rawPredict"
        target = f"{name}:{method}"
        head = self._heads.get(target)
        if head is None:
            head = self._project.head(f"/publishers/anthropic/models/{quote(target, safe=':@')}")
            self._heads[target] = head
        return await self._project.send(head + headers, body)


def said_below_a_model(
    body: bytes, version: str, *, keeps_model: bool = False, keeps_stream: bool = True
) -> tuple[bytes, bool]:
    """Return a request of Messages for a cloud whose path names the model, and if it streams.

    A body that has a version keeps it. One that is no object is returned as it is. Raises
    InvalidRequest for what can be read and not be written again.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body, False
    if not isinstance(value, dict):
        return body, False
    is_stream = value.get("stream") is True
    if not keeps_model:
        value.pop("model", None)
    if not keeps_stream:
        value.pop("stream", None)
    return written({"anthropic_version": version, **value}), is_stream
