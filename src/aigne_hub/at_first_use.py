"""What most hubs never need is loaded when it is first used.

A function below `at_first_use` imports what it returns: what that costs is paid once, by the
first caller. Who runs on the event loop has it run in a thread, or sees to it before it serves.
"""

import gc
from collections.abc import Callable
from functools import cache
from typing import TypeVar

Loaded = TypeVar("Loaded")


def at_first_use(load: Callable[[], Loaded]) -> Callable[[], Loaded]:
    """Return `load` such that it runs once.

    In a process that has settled its memory, what was loaded joins what no collection looks at.
    """

    @cache
    def loaded() -> Loaded:
        found = load()
        if gc.get_freeze_count():
            gc.freeze()
        return found

    return loaded
