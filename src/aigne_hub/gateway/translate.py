"""Answering a dialect from a provider that does not speak it, through the neutral form.

To the pipeline a translated provider is an upstream like any other that speaks the caller's
dialect; only what it reports of usage is the provider's own and not read from the bytes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.domain.inference import InferenceEvent, InferenceRequest
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.custom_tools import PlainInput
from aigne_hub.gateway.dialects import (
    AnswerWriter,
    Dialect,
    EmbeddingForm,
    Estimating,
    NeutralForm,
)
from aigne_hub.gateway.local import Estimator
from aigne_hub.gateway.translate_embeddings import EmbeddingTranslator
from aigne_hub.gateway.translated import EVENTS, JSON, Translated
from aigne_hub.providers.languages import AnswerReader, Language
from aigne_hub.providers.languages.registry import chat_language_of, embedding_language_of
from aigne_hub.providers.profiles import Profile, profile_for
from aigne_hub.providers.upstream import Answer, Upstream


class Translation(Translated):
    """providers.upstream.Answer in the caller's dialect."""

    def __init__(
        self,
        answer: Answer,
        reader: AnswerReader,
        writer: AnswerWriter,
        request: InferenceRequest,
        not_carried: tuple[str, ...],
    ) -> None:
        super().__init__(answer, not_carried, EVENTS if request.stream else JSON)
        self._reader = reader
        self._writer = writer
        self._failure: UpstreamError | None = None
        self._plain = PlainInput(request) if any(t.is_custom for t in request.tools) else None

    async def read(self) -> bytes:
        body = await self._answer.read()
        if self.status != 200:
            return body
        events = self._reader.whole(body)
        self.report = self._reader.report
        return self._writer.whole(self._plainly(events))

    def usage(self, produced: int) -> Usage | None:
        """Return the provider's figures, at least what has been produced while it goes on.

        A stream's first event may tell what was read, and from which cache, long before the
        last one tells what was written.
        """
        usage = self.report.usage
        if usage is None or self._reader.has_told_all:
            return usage
        return usage._replace(output_tokens=max(usage.output_tokens, produced))

    async def chunk(self) -> bytes | None:
        while self._failure is None and (data := await self._answer.chunk()) is not None:
            written = self._written(self._reader.feed(data))
            if written:
                return written
        if self._failure is None and (rest := self._written(self._reader.end())):
            return rest
        if self._failure is not None:
            raise self._failure
        return None

    async def pour(self, sink: Callable[[bytes], bool]) -> bool:
        def take(data: bytes) -> bool:
            written = self._written(self._reader.feed(data))
            return (not written or sink(written)) and self._failure is None

        if self._failure is not None:
            raise self._failure
        if not await self._answer.pour(take):
            return False
        rest = self._written(self._reader.end())
        if self._failure is not None:
            raise self._failure
        return not rest or sink(rest)

    def _written(self, events: Iterable[InferenceEvent]) -> bytes:
        """Return what says the events; an error among them waits until that has left."""
        read: list[InferenceEvent] = []
        try:
            read.extend(self._plainly(events))
        except UpstreamError as error:
            self._failure = error
        self.report = self._reader.report
        try:
            return self._writer.feed(read) if read else b""
        except UpstreamError as error:
            self._failure = error
            return b""

    def _plainly(self, events: Iterable[InferenceEvent]) -> Iterable[InferenceEvent]:
        """Give the inputs of tools that take plain text as that."""
        return events if self._plain is None else self._read(self._plain, events)

    @staticmethod
    def _read(plain: PlainInput, events: Iterable[InferenceEvent]) -> Iterator[InferenceEvent]:
        for event in events:
            yield from plain.read(event)


class Translator:
    """providers.upstream.Upstream that takes the caller's dialect and speaks another.

    For one call of `model`, which not every dialect names in its body, and which says
    `output_max` at most. `created` is in seconds since 1970. The answer has the name that the
    caller called the model by: Claude Code keeps signed thoughts only of the model it asked.
    """

    def __init__(
        self,
        form: NeutralForm,
        language: Language,
        upstream: Upstream,
        profile: Profile,
        model: str,
        called: str,
        answer_id: str,
        created: int,
        output_max: int,
    ) -> None:
        self.limit_field = upstream.limit_field
        self.wire = upstream.wire
        self._form = form
        self._language = language
        self._upstream = upstream
        self._profile = profile
        self._model = model
        self._called = called
        self._answer_id = answer_id
        self._created = created
        self._output_max = output_max

    def serving(self, _model: str) -> "Translator":
        raise AssertionError("it was made for a call of one model")

    async def send(self, _operation: str, body: bytes, _headers: bytes = b"") -> Translation:
        """Send a request of the caller's dialect. Raises InvalidRequest for what cannot be said."""
        asked = self._form.request(body)
        request = replace(asked, model=self._model, output_max=self._output_max)
        if not request.messages:
            raise InvalidRequest("There is no message to answer.", param="messages")
        said = self._language.outgoing(request, self._profile)
        answer = await self._upstream.send(said.operation, said.body, said.headers)
        return Translation(
            answer,
            self._language.reader(request, self.wire),
            self._form.writer(replace(request, model=self._called), self._answer_id, self._created),
            request,
            tuple(dict.fromkeys(request.not_carried + said.not_carried)),
        )


def translated(
    dialect: Dialect, candidate: Candidate, called: str, answer_id: str, created: int
) -> Upstream:
    """Return a candidate's upstream as one that speaks the caller's dialect, for one call.

    `called` is the caller's own name for the model.
    """
    if isinstance(dialect.form, Estimating):
        return Estimator(dialect.form)
    profile = profile_for(candidate.model.provider.kind)
    if isinstance(dialect.form, EmbeddingForm):
        language = embedding_language_of(candidate.languages)
        assert language is not None
        return EmbeddingTranslator(
            dialect.form, language, candidate.upstream, profile, candidate.model.name
        )
    spoken = chat_language_of(candidate.languages)
    assert dialect.form is not None
    assert spoken is not None
    return Translator(
        dialect.form,
        spoken.language,
        candidate.upstream,
        profile,
        candidate.model.name,
        called,
        answer_id,
        created,
        candidate.model.max_output_tokens,
    )
