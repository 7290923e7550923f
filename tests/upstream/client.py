"""Start the upstream as a process of its own and read back what it saw."""

import json
import selectors
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]
START_S = PATIENCE_S
STOP_S = PATIENCE_S
Records = list[dict[str, Any]]


class FakeUpstream:
    """A running upstream: `with FakeUpstream() as upstream: ... upstream.base_url`.

    The constructor starts the process and returns once it listens; further `arguments` go to
    its command line. `base_url` ends in `/v1`. Raises RuntimeError when it does not start.
    """

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.upstream.fake_openai", *arguments]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            self.port = self._announced_port()
        except BaseException:
            self.stop()
            raise
        self.origin = f"http://127.0.0.1:{self.port}"
        self.base_url = f"{self.origin}/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self) -> Records:
        """Return the calls so far, oldest first, as `record.Record` describes them."""
        with urllib.request.urlopen(f"{self.origin}/_control/log", timeout=START_S) as answer:
            records: Records = json.load(answer)
        return records

    def log_when(
        self, condition: Callable[[Records], bool], within_s: float = PATIENCE_S
    ) -> Records:
        """Return the log once `condition` holds of it; raises AssertionError when it never does."""
        deadline = time.monotonic() + within_s
        while not condition(records := self.log()):
            assert time.monotonic() < deadline, f"not within {within_s} s: {records}"
            time.sleep(0.01)
        return records

    def reset(self) -> None:
        """Forget the calls so far."""
        request = urllib.request.Request(f"{self.origin}/_control/reset", b"", method="POST")
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            answer.read()

    def stop(self) -> None:
        """End the process; calling it again does nothing."""
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _announced_port(self) -> int:
        output = self._process.stdout
        assert output is not None
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            line = output.readline() if selector.select(START_S) else ""
        if not line.startswith("port "):
            raise RuntimeError(f"the upstream printed {line!r} instead of its port")
        return int(line.removeprefix("port "))
