"""What the calls of this process, and of others, show of the models they went to."""

from collections.abc import Iterable

from aigne_hub.domain.model_status import ModelStatus, is_answered, reason_of
from aigne_hub.domain.operations import Settle


class ModelStatuses:
    """The latest status of each model.

    A model that answers is noted once between two deliveries (`taken`), so that a busy one
    costs a look-up a call.
    """

    def __init__(self) -> None:
        self.answering: set[str] = set()
        self._noted: dict[str, ModelStatus] = {}
        self._known: dict[str, ModelStatus] = {}

    def note(self, settle: Settle) -> None:
        """Take note of how a call ended that some upstream was asked to answer."""
        if not settle.attempts:
            return
        model, at_us = settle.model, settle.ended_us
        if is_answered(settle.outcome):
            self.answering.add(model)
            took = settle.attempts[-1].duration_us
            self._noted[model] = ModelStatus(model, True, at_us, took)  # noqa: FBT003 - `available`
            return
        reason = reason_of(settle.outcome, settle.attempts[-1].status, settle.error_code)
        if reason is not None:
            self.answering.discard(model)
            words = settle.error_message
            self._noted[model] = ModelStatus(model, False, at_us, None, reason, words)  # noqa: FBT003 - as above

    def taken(self) -> list[ModelStatus]:
        """Return what was noted since; it stays visible until `learn` brings it back."""
        noted, self._noted = self._noted, {}
        self.answering.clear()
        self.learn(noted.values())
        return list(noted.values())

    def learn(self, statuses: Iterable[ModelStatus]) -> None:
        """Take over what is newer than what is known here."""
        for status in statuses:
            known = self._known.get(status.model)
            if known is None or known.checked_us <= status.checked_us:
                self._known[status.model] = status

    def of(self, model: str) -> ModelStatus | None:
        """Return a model's status by its reference, None before its first call."""
        return self._noted.get(model) or self._known.get(model)
