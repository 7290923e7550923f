"""Reading an upstream's error, whatever its vendor's shape. Nothing here raises.

Most have it as `error`: an object, or just words, with a code beside them (xAI, Ollama).
Mistral, Cohere and AWS have `message` at the top, and frameworks behind local servers `detail`;
Google may send it in a list. What an error is called stands in its code or type, in Google's
`status` and `details[].reason` (https://google.aip.dev/193), in Azure's `innererror.code`, in
Anthropic's `details.error_code`, in OpenRouter's `metadata`
(https://openrouter.ai/docs/api/reference/errors-and-debugging) and in AWS's header
`x-amzn-errortype`. Looked up in November 2026.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson

from aigne_hub.providers.complaints.durations import asked_in, believed_s, number_s, span_s

NAME_MAX: Final = 200
# How much of a message is looked through.
HEARD_MAX: Final = 2_000
_STATUSES: Final = range(400, 600)
_ENDINGS: Final = ("exception", "error")
_NAMES: Final = ("type", "code", "status", "reason", "error_type", "__type")
_INNER: Final = {
    "innererror": ("code",),
    "details": ("error_code", "code"),
    "metadata": ("error_type", "limit_source"),
}


class Complaint(NamedTuple):
    """What an error says. Its words may quote the request, or a key.

    `names` is what it is called, in small letters and digits only and without `error` at the
    end; `status` is the HTTP status that stands in it, 0 for none; `patience_s` how long it
    asks to wait, 0 when it does not.
    """

    message: str = ""
    param: str | None = None
    code: str | None = None
    names: frozenset[str] = frozenset()
    status: int = 0
    patience_s: int = 0


SILENT: Final = Complaint()


def complaint_in(body: bytes, name: str = "") -> Complaint:
    """Return what the body of an answer says. `name` is what a header calls it."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return complaint_of({}, name) if name else SILENT
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = value[0]
    if not isinstance(value, dict):
        return complaint_of(value, name)
    error = value.get("error")
    if error is None:
        error = value
        if "message" not in value:
            error = {**value, "message": value.get("detail", value.get("Message"))}
    elif not isinstance(error, dict):
        error = {"message": error, "code": value.get("code"), "type": value.get("type")}
    return complaint_of(error, name)


def complaint_of(error: object, name: str = "") -> Complaint:
    """Return what an error object says, or mere words. `name` is what it is called beside it."""
    if not isinstance(error, dict):
        return Complaint(_text(error), names=frozenset(_plain(name)))
    said = [text for text in _named(error) if isinstance(text, str)]
    code = next((text for text in (error.get("code"), *said) if isinstance(text, str)), None)
    param, message = error.get("param"), _text(error.get("message"))
    patience_s = asked_in(message[:HEARD_MAX].lower())
    for detail in _details(error):
        reason = detail.get("reason")
        code = reason.lower() if isinstance(reason, str) else code
        patience_s = _delay(detail) or patience_s
    return Complaint(
        message,
        param if isinstance(param, str) else None,
        code or name.partition(":")[0].lower() or None,
        frozenset(one for text in (*said, name) for one in _plain(text)),
        next(filter(None, map(_status, (error.get("code"), error.get("status")))), 0),
        believed_s(patience_s),
    )


def _text(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return ""


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    return [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []


def _named(error: dict[str, Any]) -> Iterator[object]:
    for member in _NAMES:
        yield error.get(member)
    for inner, members in _INNER.items():
        value = error.get(inner)
        if isinstance(value, dict):
            yield from map(value.get, members)
    for detail in _details(error):
        yield detail.get("reason")


def _plain(name: str) -> Iterator[str]:
    """Return a name as the tables have it, whole and by its parts.

    AWS writes `ns#ThrottlingException:http://…`, Volcengine `OperationDenied.ServiceOverdue`.
    """
    said = name[:NAME_MAX].partition(":")[0].rpartition("#")[2].lower()
    for part in {said, *said.split(".")}:
        letters = "".join(filter(str.isalnum, part))
        for ending in _ENDINGS:
            letters = letters.removesuffix(ending)
        if letters:
            yield letters


def _status(value: object) -> int:
    """Return a code that is an HTTP status, 0 for another."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if type(value) is int and value in _STATUSES else 0


def _delay(detail: dict[str, Any]) -> int:
    """Return what Google's RetryInfo asks for, 0 without one."""
    delay = detail.get("retryDelay")
    return (span_s(delay) or number_s(delay) or 0) if isinstance(delay, str) else 0
