"""The neutral form of embeddings between dialects: texts out, vectors back."""

from dataclasses import dataclass

from aigne_hub.domain.usage import NO_REPORT, Report


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """What is asked for each of some texts. `dimensions` None leaves their number to the model.

    `not_carried` names members of the caller's that are left out.
    """

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    not_carried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbeddingAnswer:
    """A vector for each text, in their order, as the model made it: of whatever length."""

    vectors: tuple[tuple[float, ...], ...]
    report: Report = NO_REPORT
