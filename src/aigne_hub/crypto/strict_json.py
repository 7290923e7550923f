"""JSON of strangers: an object in UTF-8, no member twice, nothing JSON does not have."""

import json
from typing import Any, NoReturn


def read_object(data: bytes) -> dict[str, Any]:
    """Return the object that a text is. Raises ValueError, never RecursionError."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except json.JSONDecodeError:
        raise ValueError("not JSON") from None
    except RecursionError:
        raise ValueError("nests too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - a text of theirs is wrong, no type of ours
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands there twice")
    return members


def _refuse(_: str) -> NoReturn:
    raise ValueError("not JSON")
