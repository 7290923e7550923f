"""Ids of calls in the letters and the length that a wire takes, still each its own."""

import hashlib
import re

_NEITHER = re.compile(r"[^0-9A-Za-z]")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MARK_LENGTH = 9


def fitting(given: str, allowed: re.Pattern[str], most: int) -> str:
    """Return an id that `allowed` matches and that has at most so many letters.

    One that fits stays; another is made of its letters and a mark. The same one always
    becomes the same, so that a call and its result still belong together.
    """
    if len(given) <= most and allowed.fullmatch(given):
        return given
    plain = "".join(letter for letter in given if allowed.fullmatch(letter))
    return plain[: most - _MARK_LENGTH - 1] + "_" + mark(given, _MARK_LENGTH)


def mark(given: str, length: int) -> str:
    """Return so many letters and digits that stand for an id: the same for the same."""
    number = int.from_bytes(hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest())
    letters = ""
    while len(letters) < length:
        number, digit = divmod(number, len(_DIGITS))
        letters += _DIGITS[digit]
    return letters


def exact(given: str, length: int) -> str:
    """Return an id of letters and digits alone, exactly so many; one that is so stays."""
    if len(given) == length and not _NEITHER.search(given):
        return given
    return mark(given, length)
