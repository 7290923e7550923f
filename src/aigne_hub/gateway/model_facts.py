"""What the lists of models say of each beside what their formats have."""

from typing import Any

from aigne_hub.catalog.model_features import features_of
from aigne_hub.catalog.snapshot import Model
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.model_status import ModelStatus
from aigne_hub.domain.price_text import format_card
from aigne_hub.gateway.plane import Plane


def facts(plane: Plane, model: Model) -> dict[str, Any]:
    """Return what a caller of a gateway wants to know of a model beside its name."""
    known = features_of(model.name, model.type)
    return {
        "type": model.type,
        "context_tokens": model.context_tokens,
        "max_output_tokens": model.max_output_tokens,
        "modalities": {"input": known.input, "output": known.output},
        "features": known.features,
        "pricing": format_card(model.rates),
        "status": status_object(plane.tracker.statuses.of(model.ref)),
    }


def status_object(status: ModelStatus | None) -> dict[str, Any] | None:
    """Return how the last call of a model went, None before the first."""
    if status is None:
        return None
    error = None
    if not status.available:
        error = {"code": status.code, "message": status.message}
    return {
        "available": status.available,
        "checked_at": format_instant(status.checked_us),
        "response_ms": None if status.response_us is None else status.response_us / 1000,
        "error": error,
    }
