"""JSON with one text for each value, as `fast-json-stable-stringify` writes it.

Members are sorted by the UTF-16 code units of their names, and numbers are written as ECMAScript
does (ECMA-262, Number::toString), so that what a JavaScript program signed is what is hashed
here. Integers above 2**53 become the nearest double, as they do there.
"""

import json
import math
from typing import Any, Final

DEPTH_MAX: Final = 64

_SAFE_INTEGER_MAX: Final = 2**53 - 1
# From here on ECMAScript writes an exponent.
_PLAIN_DIGITS_MAX: Final = 21
_PLAIN_ZEROS_MAX: Final = 6


def canonical(value: Any) -> bytes:
    """Return the canonical text in UTF-8.

    Raises ValueError for what JSON cannot have, for lone surrogates and for too deep a nesting.
    """
    return "".join(_written(value, 0)).encode()


def _written(value: Any, depth: int) -> list[str]:
    if depth > DEPTH_MAX:
        raise ValueError(f"nests deeper than {DEPTH_MAX}")
    match value:
        case dict():
            names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
            parts = ["{"]
            for name in names:
                parts += [_text(name), ":", *_written(value[name], depth + 1), ","]
            return _closed(parts, "}")
        case list() | tuple():
            parts = ["["]
            for item in value:
                parts += [*_written(item, depth + 1), ","]
            return _closed(parts, "]")
        case str():
            return [_text(value)]
        case None | bool():
            return [json.dumps(value)]
        case int() | float():
            return [_number(value)]
        case _:
            raise ValueError(f"JSON has no {type(value).__name__}")


def _closed(parts: list[str], end: str) -> list[str]:
    if parts[-1] == ",":
        parts.pop()
    parts.append(end)
    return parts


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    if isinstance(value, int):
        if abs(value) <= _SAFE_INTEGER_MAX:
            return str(value)
        try:
            value = float(value)
        except OverflowError:
            return "null"
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    # repr has the shortest digits that read back, as ECMAScript demands; only the layout differs.
    return ("-" if value < 0 else "") + _laid_out(*_decimal(repr(abs(value))))


def _laid_out(digits: str, point: int) -> str:
    """Return digits with a point among them, as ECMAScript lays them out."""
    count = len(digits)
    if count <= point <= _PLAIN_DIGITS_MAX:
        return digits + "0" * (point - count)
    if 0 < point <= _PLAIN_DIGITS_MAX:
        return f"{digits[:point]}.{digits[point:]}"
    if -_PLAIN_ZEROS_MAX < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if count > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _decimal(text: str) -> tuple[str, int]:
    """Return the significant digits of a positive float and where its point is among them."""
    mantissa, _, power = text.partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    point = len(whole) + int(power or "0")
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    return stripped.rstrip("0") or "0", point
