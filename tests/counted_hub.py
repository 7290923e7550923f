"""What a hub's event loop does for a call, counted by the interpreter's own hooks.

`python -m tests.counted_hub count FOLDER` runs the serving process as it ships in this
interpreter, with the hooks on its thread alone; the caller and the upstream are another thread.
It prints what most calls cost as JSON, so that periodic duties do not count. `python -m
tests.counted_hub serve FOLDER` only serves what FOLDER/hub.yaml says, for a tracer, and prints
its port and a key.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import uvloop
import yaml
from sqlalchemy import Engine, event

from aigne_hub.bootstrap import initialise, open_hub
from aigne_hub.logs import configure_logging
from aigne_hub.server.supervisor import listen
from aigne_hub.server.worker import Place, Worker
from aigne_hub.settings import load_settings
from aigne_hub.storage import sqlite_journal
from tests.lockstep import Lockstep

WARM_CALLS = 30
CALLS = 50
WARM_CHUNKS = 40
CHUNKS = 60
# The loop has come to rest when nothing was counted for so many looks.
LOOKS = 3
LOOK_S = 0.001
# What periodic duties do too.
PERIODIC = {"opcodes", "c_calls"}

Counts = Counter[str]


class Hooks:
    """Counts what this thread does: instructions of Python, calls into C, statements."""

    def __init__(self) -> None:
        self.counts = Counts()

    def install(self) -> None:
        event.listen(Engine, "before_cursor_execute", self._read)
        sys.setprofile(self._profile)
        sys.settrace(self._trace)

    def watch(self, journal: Any) -> None:
        """Count the statements on the journal's own connection."""
        connection = journal._store._connection
        connection.set_trace_callback(self._statement)

    def rested(self) -> Counts:
        """Return the counts once nothing changes any more; for another thread."""
        seen, looks = self.counts.copy(), 0
        while looks < LOOKS:
            time.sleep(LOOK_S)
            now = self.counts.copy()
            looks = looks + 1 if now == seen else 0
            seen = now
        return seen

    def _trace(self, frame: Any, what: str, _argument: Any) -> Any:
        if what == "opcode":
            self.counts["opcodes"] += 1
        else:
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        return self._trace

    def _profile(self, _frame: Any, what: str, _argument: Any) -> None:
        if what == "c_call":
            self.counts["c_calls"] += 1

    def _read(self, *_: Any) -> None:
        self.counts["reads"] += 1

    def _statement(self, text: str) -> None:
        self.counts["statements"] += 1
        if text.startswith("COMMIT"):
            self.counts["commits"] += 1


def costs(hooks: Hooks, step: Callable[[], None], times: int) -> dict[str, float]:
    """Return what a step costs, by kind.

    What runs on and on, Python and C, is that of a step below which a tenth are: where steps
    are slow, periodic duties fall into most of them.
    """
    found: list[Counts] = []
    before = hooks.rested()
    for _ in range(times):
        step()
        after = hooks.rested()
        found.append(Counts({name: after[name] - before[name] for name in after}))
        before = after
    of: dict[str, list[int]] = {}
    for name in dict.fromkeys(name for counts in found for name in counts):
        of[name] = [counts[name] for counts in found]
    return {
        name: quantiles(each, n=10)[0] if name in PERIODIC else median(each)
        for name, each in of.items()
    }


def measured(hooks: Hooks, lockstep: Lockstep, port: int, key: str) -> dict[str, Any]:
    def call() -> None:
        lockstep.call(port, key)

    for _ in range(WARM_CALLS):
        call()
    with lockstep.stream(port, key) as stream:
        for _ in range(WARM_CHUNKS):
            stream.chunk()
        chunk = costs(hooks, stream.chunk, CHUNKS)
    return {"call": costs(hooks, call, CALLS), "chunk": chunk}


def serve(folder: Path, hooks: Hooks | None, ready: Callable[[Worker, int, str], None]) -> None:
    """Run a new hub in `folder` until a signal ends it."""
    environ = {"AIGNE_HUB_CONFIG": str(folder / "hub.yaml"), "AIGNE_HUB_LOG_LEVEL": "error"}
    configure_logging("error", as_json=False)
    # A thread that commits for a slow disk does more, and only sometimes.
    sqlite_journal.COMMIT_ON_LOOP_MAX_S = float("inf")
    hub = open_hub(load_settings(environ, data_dir=folder), environ)
    key = initialise(hub).api_key
    listener = listen("127.0.0.1", 0)
    worker = Worker(hub, environ)
    if hooks is not None:
        hooks.install()
    uvloop.run(worker.run(Place(listener), lambda: ready(worker, listener.getsockname()[1], key)))
    sys.settrace(None)
    sys.setprofile(None)


def count(folder: Path) -> dict[str, Any]:
    """Return what a call and a chunk cost."""
    hooks = Hooks()
    result: dict[str, Any] = {}
    drivers = []
    with Lockstep() as lockstep:
        (folder / "hub.yaml").write_text(yaml.safe_dump(lockstep.config()))

        def ready(worker: Worker, port: int, key: str) -> None:
            def drive() -> None:
                try:
                    result.update(measured(hooks, lockstep, port, key))
                finally:
                    os.kill(os.getpid(), signal.SIGTERM)

            hooks.watch(worker.journal)
            driver = threading.Thread(target=drive)
            driver.start()
            drivers.append(driver)

        serve(folder, hooks, ready)
        for driver in drivers:
            driver.join()
    return result


def main() -> None:
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "count":
        print(json.dumps(count(folder)))
    else:
        serve(folder, None, lambda _, port, key: print(port, key, flush=True))


if __name__ == "__main__":
    main()
