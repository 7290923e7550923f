"""What is drawn on a terminal. The texts it is given hold nothing that could steer one."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

LINE_MAX = 10_000


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    drawn = Table(*columns, box=None, padding=(0, 2, 0, 0), header_style="bold")
    for row in rows:
        drawn.add_row(*map(Text, row))
    console = Console()
    # A line too long is left to the terminal to wrap: ids stay in one piece for copying.
    unbounded = console.options.update(max_width=LINE_MAX)
    console.width = max(console.width, console.measure(drawn, options=unbounded).maximum)
    console.print(drawn)


def fields(named: Iterable[tuple[str, str]]) -> None:
    grid = Table.grid(padding=(0, 2))
    for name, value in named:
        grid.add_row(Text(name, style="bold"), Text(value, overflow="fold"))
    Console().print(grid)


def checks(made: Iterable[tuple[bool, str, str, str]]) -> None:
    """Print checks: whether each is fine, its name, a detail and how to mend it, or ""."""
    console = Console(highlight=False, soft_wrap=True)
    for ok, name, detail, fix in made:
        mark = ("ok  ", "green") if ok else ("FAIL", "bold red")
        console.print(Text.assemble(mark, f" {name}{f': {detail}' if detail else ''}"))
        if fix:
            console.print(Text(f"     fix: {fix}"))


def status(what: str) -> Status:
    return Console(stderr=True).status(what)


def progress(*, hidden: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=hidden,
    )
