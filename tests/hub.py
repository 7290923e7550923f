"""A real hub for tests: the shipped server in its own process, killed and restarted at will."""

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import yaml

from aigne_hub.cli import main
from aigne_hub.storage.calls import list_calls
from aigne_hub.storage.engine import create_engine, reading
from tests.nursery import Child, nursery
from tests.patience import PATIENCE_S

START_S = PATIENCE_S
STOP_S = PATIENCE_S
_ONE_AT_A_TIME = threading.Lock()
# A large hub.yaml takes seconds to write without libyaml, which is not everywhere.
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class HubProcess:
    """A data directory and the server over it.

    `config` is hub.yaml as a value; the database is SQLite unless another is named. `cli` runs
    one command and returns its JSON.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        *,
        workers: int = 1,
        start: bool = True,
        database_url: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.database_url = database_url or f"sqlite:///{folder / 'hub.db'}"
        self._environ = environ or {}
        self.config_file = folder / "hub.yaml"
        self.workers = workers
        self.configure(config)
        self.owner: dict[str, Any] = self.cli("init")
        self.key: str = self.owner["api_key"]
        self.process: Child | None = None
        self.port = 0
        if start:
            self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        return f"{self.address}/v1"

    @property
    def user(self) -> str:
        return str(self.owner["owner"]["email"])

    def configure(self, config: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(yaml.dump({"version": 1, **config}, Dumper=_DUMPER))

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AIGNE_")}
        return {
            **kept,
            "AIGNE_HUB_CONFIG": str(self.config_file),
            "AIGNE_HUB_DATABASE_URL": self.database_url,
            **self._environ,
        }

    def start(self) -> None:
        """Start serving, on the same port as before; returns once the hub says it is ready."""
        with (self.folder / "log.txt").open("ab") as log:
            self.process = nursery().start(self.command()[3:], self.environment(), log)
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(START_S) else b""
        text = line.decode().strip()
        assert text.startswith("ready http://"), f"{text!r}: {self.log()[-3000:]}"
        self.port = int(text.rpartition(":")[2])

    def command(self) -> list[str]:
        command = [sys.executable, "-m", "aigne_hub", "serve", "--data-dir", str(self.folder)]
        return [*command, "--port", str(self.port), "--workers", str(self.workers)]

    def spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Run a command in the hub's environment, with its log as standard error."""
        with (self.folder / "log.txt").open("ab") as log:
            return subprocess.Popen(
                command, env=self.environment(), stdout=subprocess.PIPE, stderr=log
            )

    def stop(self, number: int = signal.SIGTERM) -> int | None:
        """End the server and return its exit code."""
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(number)
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            process.stdout.close()
        return code

    def kill(self) -> None:
        """Die as in a power cut: no handler runs."""
        self.stop(signal.SIGKILL)

    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the command line does, without the start of a process each time."""
        command = [*arguments, "--json", "--data-dir", str(self.folder)]
        out, err = StringIO(), StringIO()
        with (
            _ONE_AT_A_TIME,  # the environment and the output are the whole process's
            patch.dict(os.environ, self.environment(), clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main(command)
        return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

    def cli(self, *arguments: str) -> Any:
        """Run a command that must succeed and return the JSON it prints."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.returncode} {done.stdout} {done.stderr}"
        return json.loads(done.stdout)

    def grant(self, amount: str, *arguments: str) -> Any:
        return self.cli("credits", "grant", "--user", self.user, "--amount", amount, *arguments)

    def balance(self) -> dict[str, str]:
        balance: dict[str, str] = self.cli("credits", "balance", "--user", self.user)
        return balance

    def calls(self, limit: int = 1000) -> list[dict[str, Any]]:
        """Return what `calls list` prints, without the start of a process each time."""
        database = create_engine(self.database_url)
        try:
            with reading(database) as connection:
                return list(list_calls(connection, user=None, status=None, limit=limit))
        finally:
            database.dispose()

    def calls_when_closed(self, count: int, within_s: float = PATIENCE_S) -> list[dict[str, Any]]:
        """Return all calls once there are `count` and none is `processing`."""
        deadline = time.monotonic() + within_s
        while True:
            calls = self.calls()
            if len(calls) == count and all(call["status"] != "processing" for call in calls):
                return calls
            assert time.monotonic() < deadline, f"not closed in {within_s} s: {calls[:3]}"
            time.sleep(0.1)

    def verified(self) -> None:
        """Assert that the books are in order."""
        done = self.run("ledger", "verify")
        assert done.returncode == 0, done.stdout
        assert json.loads(done.stdout)["ok"] is True
