"""Members of a caller's JSON as the values they must be, or InvalidRequest that names one."""

from typing import Any

import orjson

from aigne_hub.domain.errors import InvalidRequest


def whole_object(body: bytes) -> dict[str, Any]:
    """Return the object a body is; raises InvalidRequest."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.") from None
    return an_object(value, "the request body")


def an_object(value: object, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(path, "an object")
    return value


def objects(value: object, path: str) -> list[dict[str, Any]]:
    """Return a list of objects, empty for one that is not given."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(path, "a list")
    return [an_object(item, f"{path}[{index}]") for index, item in enumerate(value)]


def a_text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong(path, "a string")
    return value


def maybe_text(value: object, path: str) -> str | None:
    return None if value is None else a_text(value, path)


def maybe_flag(value: object, path: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise _wrong(path, "true or false")


def maybe_count(value: object, path: str) -> int | None:
    if value is None or type(value) is int:
        return value
    raise _wrong(path, "a whole number")


def maybe_number(value: object, path: str) -> float | None:
    if value is None or type(value) in {int, float}:
        return value  # type: ignore[return-value] # an int stays one: it is written as it came
    raise _wrong(path, "a number")


def texts(value: object, path: str) -> tuple[str, ...]:
    """Return strings that may be given as one, as several or not at all."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list):
        raise _wrong(path, "a string or a list of strings")
    return tuple(a_text(item, f"{path}[{index}]") for index, item in enumerate(value))


def _wrong(path: str, kind: str) -> InvalidRequest:
    return InvalidRequest(f"`{path}` must be {kind}.", param=path)
