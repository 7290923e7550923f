"""What a command prints: one JSON document, or text that fits where it goes.

On a terminal a list is a table; in a pipe it is lines of fields separated by tabs, which
never wrap, truncate or colour. Hints and progress go to standard error.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain, islice
from types import ModuleType
from typing import TYPE_CHECKING

from aigne_hub.at_first_use import at_first_use

if TYPE_CHECKING:
    from rich.progress import Progress

# A table needs all its rows before it can draw the first; more than these are lines.
TABLE_ROWS_MAX = 1_000

Document = Mapping[str, object]


class Output:
    """Prints what one command has to say, once."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def document(self, document: object, text: str | None = None) -> None:
        """Print one object: as JSON, as `text`, or as its fields."""
        if self.as_json:
            write_json(document)
        elif text is not None:
            sys.stdout.write(f"{text}\n")
        elif isinstance(document, Mapping):
            self._fields(document)

    def rows(self, rows: Iterable[Document], columns: Sequence[str]) -> None:
        """Print a list: whole as JSON, else the columns named. Takes one row at a time."""
        if self.as_json:
            _write_json_list(rows)
            return
        remaining = iter(rows)
        first = list(islice(remaining, TABLE_ROWS_MAX + 1))
        if sys.stdout.isatty() and len(first) <= TABLE_ROWS_MAX:
            shown_rows = [[shown(row[column]) for column in columns] for row in first]
            _terminal().table(columns, shown_rows)
            return
        _line(columns)
        for row in chain(first, remaining):
            _line([shown(row[column]) for column in columns])

    def checks(self, document: Document) -> None:
        """Print checks, `{"name", "ok", "detail"}` and perhaps `fix` each, failures in full."""
        if self.as_json:
            write_json(document)
            return
        checks = document["checks"]
        assert isinstance(checks, list)
        _terminal().checks(
            (
                bool(check["ok"]),
                printable(check["name"]),
                printable(check["detail"] or ""),
                printable(check.get("fix") or ""),
            )
            for check in checks
        )

    def note(self, text: str) -> None:
        """Say something that is no result, unless a program is listening."""
        if not self.as_json:
            sys.stderr.write(f"{text}\n")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show a spinner on a terminal while something takes its time."""
        lively = sys.stderr.isatty() and not self.as_json
        with _terminal().status(what) if lively else nullcontext():
            yield

    def progress(self) -> "Progress":
        """Return a progress bar, which shows itself on a terminal only."""
        bar: Progress = _terminal().progress(hidden=self.as_json or not sys.stderr.isatty())
        return bar

    def _fields(self, document: Document) -> None:
        if sys.stdout.isatty():
            _terminal().fields((name, shown(value)) for name, value in document.items())
            return
        for name, value in document.items():
            _line([name, shown(value)])


def write_json(document: object) -> None:
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(f"{json.dumps(document, indent=indent)}\n")


def shown(value: object) -> str:
    """Return a value as one line of text: `-` for nothing, lists with commas."""
    if value is None or value in ([], {}, ""):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return printable(", ".join(value))
    if isinstance(value, list | dict):
        return json.dumps(value)
    return printable(value)


def printable(value: object) -> str:
    """Return text without the control characters that could steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def _write_json_list(rows: Iterable[Document]) -> None:
    separator = "["
    for row in rows:
        sys.stdout.write(f"{separator}\n{json.dumps(row)}")
        separator = ","
    sys.stdout.write("[]\n" if separator == "[" else "\n]\n")


@at_first_use
def _terminal() -> ModuleType:
    """Return what draws. Its library is 6 MiB, which a command in a pipe and a server save."""
    from aigne_hub.cli import terminal  # noqa: PLC0415 - at first use

    return terminal


def _line(fields: Iterable[str]) -> None:
    sys.stdout.write("\t".join(fields) + "\n")
