"""Client wire formats, one file each.

A dialect is stateless and sans-IO: bytes and values in, bytes and values out.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from aigne_hub.domain.embedding import EmbeddingAnswer, EmbeddingRequest
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.inference import InferenceEvent, InferenceRequest
from aigne_hub.domain.objects import Followed, Made
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote, Size
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.providers.usage import Wire

EVENT_STREAM = "text/event-stream; charset=utf-8"


class Served(NamedTuple):
    """What is known of an answer at its settlement. `model` served it, for `charge` credits."""

    call_id: str
    model: str
    charge: str
    usage: Usage


# Rewrites a whole answer, or a stream's last bytes, once it is known what it cost.
Presented = Callable[[bytes, Served], bytes]


class Head(NamedTuple):
    """A stream's media type; `is_early` for callers that must get it long before the body."""

    stream_type: str = EVENT_STREAM
    is_early: bool = False


class Ask(msgspec.Struct):
    """What the hub needs to know of a request; the rest of `body` is not looked at.

    A structure for its making, which is no instruction of the interpreter's: every call has one.

    `output_limit` is the caller's own limit, None without one; `n` the number of answers;
    `shows_usage` whether the caller asked for usage in the stream, `options_given` whether
    it sent stream options at all; `relied_on` names the members a quote is made from. Size
    and quality of pictures are empty where the provider may choose. `size` is how much a body
    holds that the general measure misreads, None for any other. `follows` is an object that
    an earlier call left at its provider, so that only its credential can serve this one.
    `stores` is whether this one's answer may be left there, and `made` what was: whoever reads
    a good answer's end sets it. `presented` is for answers that tell of their call;
    `head` is how an answer's head differs from that of others, None for most.
    """

    body: bytes
    model: str
    stream: bool = False
    output_limit: int | None = None
    n: int = 1
    shows_usage: bool = False
    options_given: bool = False
    relied_on: tuple[str, ...] = ()
    images: int = 0
    image_size: str = ""
    image_quality: str = ""
    size: Size | None = None
    follows: Followed | None = None
    stores: bool = False
    made: Made | None = None
    presented: Presented | None = None
    head: Head | None = None

    @property
    def stream_type(self) -> str:
        return EVENT_STREAM if self.head is None else self.head.stream_type

    @property
    def alike(self) -> bytes:
        """What a repetition of this request has in common with it."""
        return self.body


class StreamMeter(Protocol):
    """Reads an answer as it passes: what may leave now, what was delivered, what it cost.

    `delivered_bytes` counts text handed out; `begun` says that content or an end was seen;
    `complete` says the answer's success
    terminator was seen; `report` is what the provider said of usage so far, and `usage` the
    figures in it; `failure` an error that came in-band. Terminal frames are kept back for
    `last`. A `plain` answer is none of events: `last` has all of it.
    """

    plain: bool

    delivered_bytes: int

    @property
    def begun(self) -> bool: ...

    complete: bool
    failure: HubError | None

    @property
    def report(self) -> Report: ...

    @property
    def usage(self) -> Usage | None: ...

    def feed(self, data: bytes) -> bytes: ...

    def end(self) -> None:
        """Note that the upstream closed the stream cleanly."""
        ...

    def last(self, charge: str, counted: Usage) -> bytes:
        """Return the frames kept back, with `credits` in the usage object."""
        ...


class AnswerWriter(Protocol):
    """Writes the neutral events of one answer in a dialect.

    Usage is always written: a meter drops what its caller did not ask for.
    """

    def feed(self, events: Iterable[InferenceEvent]) -> bytes:
        """Return the next frames of a stream; those of Finish have its success terminator."""
        ...

    def whole(self, events: Iterable[InferenceEvent]) -> bytes:
        """Return a complete answer, which is the fold of its events."""
        ...


class NeutralForm(Protocol):
    """A dialect's chats in the neutral form: what providers of other formats are reached by."""

    def request(self, body: bytes, /) -> InferenceRequest:
        """Return what a body asks for; raises InvalidRequest for what the form cannot carry."""
        ...

    def writer(self, request: InferenceRequest, answer_id: str, created: int, /) -> AnswerWriter:
        """Return what writes the answer. `created` is in seconds since 1970."""
        ...


@runtime_checkable
class Telling(NeutralForm, Protocol):
    """The form of answers that always tell of usage."""

    def telling(self, body: bytes, usage: Usage, /) -> bytes:
        """Return a whole answer with what the hub counted: its provider told nothing."""
        ...


@runtime_checkable
class Estimating(NeutralForm, Protocol):
    """The form of a question that no other format has: the hub answers it by an estimate."""

    def estimate(self, body: bytes, /) -> bytes: ...


@runtime_checkable
class EmbeddingForm(Protocol):
    """A dialect's embeddings in the neutral form."""

    def texts(self, body: bytes, /) -> EmbeddingRequest:
        """Return what a body asks for; raises InvalidRequest for what the form cannot carry."""
        ...

    def vectors(self, body: bytes, request: EmbeddingRequest, answer: EmbeddingAnswer, /) -> bytes:
        """Return the answer to a body."""
        ...


class RefusesInEvents:
    """Marks a dialect whose clients find errors in events alone, and read those of a 200 only."""


class Dialect(Protocol):
    """One operation of a client wire format.

    `language` is the wire format, one of `providers.profiles`: a provider that speaks it is
    relayed to; others are reached through `form`, if there is one. `forwards` are the headers
    of a request, lower-cased, that the provider gets; `request_id_header` is what the format
    calls the id of a request, None for `x-request-id`.
    """

    type: str
    operation: str
    language: str
    forwards: tuple[bytes, ...]
    request_id_header: bytes | None

    @property
    def form(self) -> NeutralForm | EmbeddingForm | None: ...

    def ask(self, body: bytes) -> Ask:
        """Peek into a request; raises InvalidRequest."""
        ...

    def quote(
        self, ask: Ask, rates: RateCard, /, *, input_tokens: int, output_max: int
    ) -> Quote: ...

    def outgoing(
        self, ask: Ask, model: str, limit_field: str, output_limit: int | None, /
    ) -> bytes:
        """Return the body for the upstream; `output_limit` is set when it must be lowered."""
        ...

    def usage(self, ask: Ask, body: bytes, wire: Wire, /) -> Report:
        """Return the usage a whole answer reports, as its provider reports it.

        Raises UpstreamError when the answer is an error object or not JSON.
        """
        ...

    def counted(self, ask: Ask, input_tokens: int, output: int, /) -> Usage:
        """Return the usage that the hub counted itself; `output` as `output_of` measures it."""
        ...

    def output_of(self, body: bytes, /) -> int:
        """Return how much a whole answer, or events of one, has: bytes of text, or pictures."""
        ...

    def meter(self, ask: Ask, wire: Wire, /) -> StreamMeter: ...

    def error(self, error: HubError, timestamp_ms: int, request_id: str, /) -> bytes: ...

    def error_event(self, error: HubError, timestamp_ms: int) -> bytes: ...
