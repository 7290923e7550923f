"""Whether a model can be called just now, as the last calls of it went."""

from typing import NamedTuple

from aigne_hub.domain.calls import SUCCESSFUL, Outcome

# What an upstream's status says of its model, or of the hub's access to it. A caller's mistake
# and a limit that will pass say nothing.
_CODES = {
    200: "broken_answer",
    401: "invalid_key",
    402: "no_credit",
    403: "forbidden",
    404: "model_not_found",
}
_SERVER_ERRORS = range(500, 600)
# What a call failed with whose request was refused, whatever the upstream's status was.
_CALLERS = frozenset({"invalid_request", "payload_too_large"})


class ModelStatus(NamedTuple):
    """What the last call showed that showed anything. `model` is a reference.

    `code` and `message` say why it is not available; `response_us` is how long an answer took.
    """

    model: str
    available: bool
    checked_us: int
    response_us: int | None = None
    code: str | None = None
    message: str | None = None


def reason_of(outcome: Outcome, status: int | None, error_code: str | None = None) -> str | None:
    """Return why a model is not available after a call, None when the call does not say so.

    `status` is the upstream's in the last attempt, None if it never answered; `error_code` is
    what the caller was told. A policy about content and a file that is not there may be a 403,
    an account without credit a 429 or 400.
    """
    if outcome is Outcome.UPSTREAM_TIMEOUT:
        return "timeout"
    if outcome is not Outcome.UPSTREAM_FAILED:
        return None
    if status is None:
        return "unreachable"
    if error_code in _CALLERS or (error_code == "not_found" and status != 404):
        return None
    if error_code == "upstream_error" and status in {400, 429}:
        return "no_credit" if status == 429 else "unavailable"
    return "unavailable" if status in _SERVER_ERRORS else _CODES.get(status)


def is_answered(outcome: Outcome) -> bool:
    return outcome in SUCCESSFUL
