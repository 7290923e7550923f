"""Answering a dialect's embeddings from a provider that does not speak it."""

from collections.abc import Callable
from dataclasses import replace

from aigne_hub.domain.embedding import EmbeddingRequest
from aigne_hub.gateway.dialects import EmbeddingForm
from aigne_hub.gateway.translated import JSON, Translated
from aigne_hub.providers.languages import EmbeddingLanguage
from aigne_hub.providers.profiles import Profile
from aigne_hub.providers.upstream import Answer, Upstream


class EmbeddingTranslation(Translated):
    """providers.upstream.Answer in the caller's dialect; there is none but a whole one.

    `written` makes its body of the provider's, and notes what that reports.
    """

    def __init__(
        self,
        answer: Answer,
        not_carried: tuple[str, ...],
        written: "Callable[[EmbeddingTranslation, bytes], bytes]",
    ) -> None:
        super().__init__(answer, not_carried, JSON)
        self._written = written

    async def read(self) -> bytes:
        body = await self._answer.read()
        return self._written(self, body) if self.status == 200 else body

    async def chunk(self) -> bytes | None:
        raise AssertionError("embeddings are not streamed")

    async def pour(self, _sink: Callable[[bytes], bool]) -> bool:
        raise AssertionError("embeddings are not streamed")


class EmbeddingTranslator:
    """providers.upstream.Upstream that takes the caller's dialect and speaks another.

    For one call of `model`, which not every dialect names in its body.
    """

    def __init__(
        self,
        form: EmbeddingForm,
        language: EmbeddingLanguage,
        upstream: Upstream,
        profile: Profile,
        model: str,
    ) -> None:
        self.limit_field = upstream.limit_field
        self.wire = upstream.wire
        self._form = form
        self._language = language
        self._upstream = upstream
        self._profile = profile
        self._model = model

    def serving(self, _model: str) -> "EmbeddingTranslator":
        raise AssertionError("it was made for a call of one model")

    async def send(
        self, _operation: str, body: bytes, _headers: bytes = b""
    ) -> EmbeddingTranslation:
        """Send a request of the caller's dialect. Raises InvalidRequest for what cannot be said."""
        request = replace(self._form.texts(body), model=self._model)
        said = self._language.outgoing(request, self._profile)
        answer = await self._upstream.send(said.operation, said.body, said.headers)
        lost = tuple(dict.fromkeys(request.not_carried + said.not_carried))
        return EmbeddingTranslation(
            answer, lost, lambda whole, told: self._written(body, request, whole, told)
        )

    def _written(
        self, body: bytes, request: EmbeddingRequest, whole: EmbeddingTranslation, told: bytes
    ) -> bytes:
        made = self._language.answer(request, told, self.wire)
        whole.report = made.report
        return self._form.vectors(body, request, made)
