"""The stable error codes with what they mean.

One table for `/docs`, the OpenAPI document and docs/http.md. Codes and statuses are those of
`domain.errors`.
"""

from dataclasses import dataclass

from aigne_hub.domain import errors
from aigne_hub.domain.errors import HubError


@dataclass(frozen=True, slots=True)
class ErrorCode:
    code: str
    status: int
    meaning: str
    remedy: str


def _row(error: type[HubError], meaning: str, remedy: str) -> ErrorCode:
    return ErrorCode(error.code, error.status, meaning, remedy)


ERROR_CODES = (
    _row(
        errors.InvalidRequest,
        "The request is malformed, or asks for what the model or the path does not do.",
        "Correct what `message` and `param` name. Sending it again unchanged cannot help.",
    ),
    _row(
        errors.UnpricedModel,
        "Billing is on and the model has no rates.",
        "Ask the operator to give the model rates, or use another model.",
    ),
    _row(
        errors.Unauthenticated,
        "No key was sent, or it is unknown, expired or revoked.",
        "Send a key of this hub, whole, in one of the four headers.",
    ),
    _row(
        errors.InsufficientCredits,
        "The account cannot pay the worst case of this call.",
        "Get credits at `link`, or lower the output limit to `affordable_tokens`.",
    ),
    _row(
        errors.Forbidden,
        "The key is valid but may not use this model or this path.",
        "Use a model the key allows, or ask for a key with wider rights.",
    ),
    _row(
        errors.NotFound,
        "There is no such path, model or object.",
        "Compare with `/docs` and `/v1/models`.",
    ),
    _row(
        errors.Conflict,
        "The object's state does not allow this, or it exists already.",
        "Read the object's state first, then decide.",
    ),
    _row(
        errors.PayloadTooLarge,
        "The request body is over the hub's limit.",
        "Send less, or ask the operator about `limits.request_body_mib`.",
    ),
    _row(
        errors.IdempotencyMismatch,
        "The idempotency key was used before with another body.",
        "Use a new key for a new request.",
    ),
    _row(
        errors.RateLimited,
        "A limit of the key was reached, or the provider's and no other provider is left.",
        "Wait `retry-after` seconds, then retry with back-off.",
    ),
    _row(
        errors.HubError,
        "The hub failed in a way nobody planned for; it is in its log.",
        "Tell the operator the time and the `x-request-id`.",
    ),
    _row(
        errors.UpstreamError,
        "The provider failed or gave an answer that is not one. Nothing was charged, "
        "unless part of a stream had been delivered.",
        "Retry with back-off.",
    ),
    _row(
        errors.NoUpstream,
        "No provider of the model has a usable credential.",
        "Ask the operator to check the provider, or use another model.",
    ),
    _row(
        errors.Overloaded,
        "The hub is at its limit of calls or its database cannot commit. "
        "Nothing was sent to the provider.",
        "Wait `retry-after` seconds, then retry with back-off.",
    ),
    _row(
        errors.UpstreamTimeout,
        "The provider did not answer in time.",
        "Retry, ask for less output, or stream.",
    ),
)
