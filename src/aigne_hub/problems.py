"""What is wrong with a configuration: where, on which line, and why.

A message never contains a value, because any of them may be a secret.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from pydantic_core import ErrorDetails

_MEANINGS: Final = {
    "missing": "is required",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "string_type": "must be a string; put quotes around it",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: where (`providers[0].name` or a variable), on which line, and why.

    `line` counts from 1; 0 means that the problem is not on a line of a file.
    """

    path: str
    line: int
    message: str


class ConfigError(Exception):
    """The configuration cannot be used. `problems` is every one that was found, never empty."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(self._text(problem) for problem in self.problems)

    def _text(self, problem: Problem) -> str:
        where = [f"{self.source}:{problem.line}"] if problem.line else []
        if problem.path:
            where.append(problem.path)
        return ": ".join([*(where or [self.source]), problem.message])


def suggestion(name: str, choices: Sequence[str]) -> str:
    """Return what to write instead of `name`: the closest choice, or all when none is close."""
    close = get_close_matches(name, choices, n=1)
    return f'did you mean "{close[0]}"?' if close else f"known are {', '.join(choices)}"


def meaning(error: ErrorDetails) -> str:
    """Return what a validation error asks for, without the value that failed."""
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    text = _MEANINGS.get(error["type"]) or error["msg"].partition(" after validation")[0]
    if text.startswith("Value should"):  # pydantic calls the characters of a secret items
        text = re.sub("items?$", "characters", text)
    return re.sub(r"^\w+ should", "must", text)
