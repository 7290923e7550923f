"""The hub as its user runs it: billing on, an API key, credits, SQLite, everything recorded."""

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.installed import Installed, of_distribution
from bench.load import Request, Result, call, run
from bench.loads import ALL, LOADS, Load, Route
from bench.process import HOST, Process, free_port
from bench.targets import JSON_HEADERS, UPSTREAM_KEY, Target, UnavailableError
from bench.upstreams import Upstreams

USER = "bench@example.com"
GRANT = "1000000"
MAX_ROWS = 1_000_000
# A large database takes a while to verify.
COMMAND_S = 900.0
# How long a call that its client left may still be settling.
SETTLING_S = 2.0
# A hub has noticed by now what a command changed, and has forgotten which keys it knew.
NOTICED_S = 1.2
# How long each round lasts in which new accounts make their first call.
MEETING_S = 2.0
EXACT_CALLS = 200
EXACT_STREAMS = 50
# Credits for a million tokens.
PRICES = {
    "chat": {"input": Decimal("0.15"), "output": Decimal("0.60"), "cache_read": Decimal("0.075")},
    "embedding": {"input": Decimal("0.02")},
}


@dataclass
class Expected:
    """What the clients of one life saw, in calls."""

    answered: int = 0
    left: int = 0
    loose: int = 0

    def add(self, result: Result) -> None:
        self.answered += result.calls
        self.left += result.left
        self.loose += result.loose


@dataclass(frozen=True)
class Charge:
    """A call as it is on record; credits."""

    model: str
    outcome: str
    credits: Decimal


@dataclass(frozen=True)
class Total:
    """What calls of a kind add up to; nano-credits."""

    calls: int
    nano: int


class Hub(Target):
    """A hub with a fresh data directory, driven through its command line only."""

    name = "hub"

    def __init__(self, upstreams: Upstreams, *, more: Sequence[Load] = ()) -> None:
        """Sell what all loads ask for, and `more`."""
        super().__init__(upstreams)
        self._sold = (*ALL, *more)
        self.limits: dict[str, int] = {}
        self._command = _command()
        # What says where its database is; SQLite in its data directory otherwise.
        self.environment: dict[str, str] = {}

    def start(self, folder: Path) -> None:
        self._folder = folder / self.name
        self._data = self._folder / "data"
        self._data.mkdir(parents=True)
        self.expected = Expected()
        configuration = self._folder / "hub.yaml"
        configuration.write_text(_configuration(self.upstreams, self._sold, self.limits))
        self._run("init")
        self._did = self._run("users", "create", "--email", USER)["did"]
        self._key = self._run("keys", "create", "--user", USER, "--name", "bench")["key"]
        self._run("credits", "grant", "--user", USER, "--amount", GRANT)
        self._serve(configuration)
        self._check_exactly()
        # The start that is measured is the one users meet: on a database that exists.
        self.stop()
        self._serve(configuration)

    def request(self, load: Load) -> Request:
        headers = {**JSON_HEADERS, "authorization": f"Bearer {self._key}"}
        body = load.body(f"{load.route}/{load.model}")
        request = Request(self._port, load.path, headers, body)
        return request if load.accounts <= 1 else replace(request, keys=self._known(load, request))

    def keys(self, accounts: int) -> tuple[str, ...]:
        """Make so many accounts with credit and return a key of each."""
        script = [sys.executable, "-m", "bench.accounts", "--data-dir", str(self._data)]
        made = tuple(self._output([*script, "--count", str(accounts)]).split())
        time.sleep(NOTICED_S)
        return made

    def _known(self, load: Load, request: Request) -> tuple[str, ...]:
        """Return the keys of as many accounts, all of which the hub has seen before."""
        keys = self.keys(load.accounts)
        met = 0
        while met < load.accounts:
            result = run(load, replace(request, keys=keys), 32, MEETING_S, self._folder)
            self.note(result)
            met += result.calls
        return keys

    def installed_size(self) -> Installed | None:
        return of_distribution("aigne-hub") if self.name == Hub.name else None

    def charges(self) -> list[Charge]:
        """Return what is on record of each call."""
        return [
            Charge(row["model"], row["outcome"], Decimal(row["credits"])) for row in self._rows()
        ]

    def totals(self) -> dict[tuple[str, str], Total]:
        """Return the calls on record by model and outcome."""
        query = "SELECT model, outcome, count(*), sum(charge) FROM model_call GROUP BY 1, 2"
        return {
            (model, outcome): Total(count, int(nano or 0))
            for model, outcome, count, nano in self._selected(query)
        }

    def shares(self) -> Mapping[str, int]:
        if self.workers == 1:
            return {}
        query = "SELECT process_id, count(*) FROM model_call GROUP BY process_id"
        return dict(self._selected(query))

    def _selected(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._data}/hub.db?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()

    def note(self, result: Result) -> None:
        self.expected.add(result)

    def problems(self) -> list[str]:
        """Return what is wrong with the records of this life, in sentences; [] when nothing."""
        time.sleep(SETTLING_S)
        rows = self._rows()
        expected, outcomes = self.expected, Counter(row["outcome"] for row in rows)
        found = [] if self._failure is None else [self._failure]
        least = expected.answered + expected.left
        if not least <= len(rows) <= least + expected.loose:
            found.append(
                f"{len(rows)} calls recorded for {expected.answered} answers and"
                f" {expected.left} clients that left (up to {expected.loose} more were under way)"
            )
        completed = outcomes["completed"]
        if not expected.answered <= completed <= expected.answered + expected.loose:
            found.append(f"{completed} calls completed for {expected.answered} answers")
        others = set(outcomes) - {"completed", "client_cancelled"}
        found += [f"{outcomes[name]} calls ended as {name}" for name in sorted(others)]
        return found + self._money(rows)

    def _check_exactly(self) -> None:
        """Make a known number of calls and note in `_failure` when the records differ."""
        unary, streamed = (
            next(load for load in LOADS if load.route is route)
            for route in (Route.UNARY, Route.STREAM)
        )
        made = 0
        self._failure: str | None = None
        for load, count in ((unary, EXACT_CALLS), (streamed, EXACT_STREAMS)):
            result = call(
                self.request(load),
                self._folder,
                connections=8,
                seconds=COMMAND_S,
                chunks=load.chunks,
                count=count,
            )
            self.expected.add(result)
            made += count
            if result.errors:
                self._failure = f"{load.name}: {'; '.join(result.errors)}"
        time.sleep(SETTLING_S / 4)
        rows = self._rows()
        completed = [row for row in rows if row["outcome"] == "completed"]
        if not self._failure and not len(rows) == len(completed) == made:
            self._failure = f"{made} calls were answered, {len(completed)} of {len(rows)} recorded"

    def _money(self, rows: list[dict[str, Any]]) -> list[str]:
        found = []
        free = sum(row["outcome"] == "completed" and not Decimal(row["credits"]) for row in rows)
        if free:
            found.append(f"{free} completed calls cost nothing")
        own = [row for row in rows if row["user_did"] == self._did]
        charged = sum((Decimal(row["credits"]) for row in own), Decimal(0))
        spent = Decimal(self._run("credits", "balance", "--user", USER)["spent"])
        if charged != spent:
            found.append(f"the calls' credits add to {charged}, the account spent {spent}")
        return found + self.unbalanced()

    def unbalanced(self) -> list[str]:
        """Return what `ledger verify` finds, in sentences."""
        verified = self._run("ledger", "verify", codes=(0, 1))
        failed = [check for check in verified["checks"] if not check["ok"]]
        found = [f"ledger verify: {check['name']}: {check['detail']}" for check in failed]
        if not verified["ok"] and not failed:
            found.append("ledger verify is not ok")
        return found

    def _serve(self, configuration: Path) -> None:
        self._port = free_port()
        command = [*self._command, "serve", "--host", HOST, "--port", str(self._port)]
        command += ["--config", str(configuration), "--data-dir", str(self._data)]
        command += ["--workers", str(self.workers)]
        environment = {"SSL_CERT_FILE": str(self.upstreams.trust), **self.environment}
        process = Process("hub", command, self._folder, environment=environment)
        self.process = process
        process.line("ready ")
        self._started(process)

    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._run("calls", "list", "--limit", str(MAX_ROWS))
        return rows

    def _run(self, *words: str, codes: tuple[int, ...] = (0,)) -> Any:
        """Run a command of the hub and return the JSON it prints."""
        command = [*self._command, *words, "--data-dir", str(self._data), "--json"]
        return json.loads(self._output(command, codes=codes))

    def _output(self, command: list[str], codes: tuple[int, ...] = (0,)) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
            env={**os.environ, **self.environment},
        )
        if done.returncode not in codes:
            said = (done.stderr or done.stdout)[-2000:]
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
        return done.stdout


class HubOfTwo(Hub):
    """The same with two serving processes on one SQLite file."""

    name = "hub-2-workers"
    workers = 2
    footprint = False

    def takes(self, load: Load) -> bool:
        return load.scaled


def _command() -> list[str]:
    script = Path(sys.executable).with_name("aigne-hub")
    if script.exists():
        return [str(script)]
    if importlib.util.find_spec("aigne_hub.__main__") is not None:
        return [sys.executable, "-m", "aigne_hub"]
    raise UnavailableError(f"there is no aigne-hub beside {sys.executable}")


def _configuration(upstreams: Upstreams, sold: Sequence[Load], limits: Mapping[str, int]) -> str:
    """Return hub.yaml; JSON is YAML."""
    kinds = {
        f"{load.route}/{load.model}": "embedding" if "embed" in load.model else "chat"
        for load in sold
    }
    document = {
        "version": 1,
        "providers": [
            {
                "name": route,
                "kind": "openai",
                "base_url": upstreams.base_url(route),
                "credentials": [{"name": "main", "api_key": UPSTREAM_KEY}],
            }
            for route in Route
        ],
        "models": [
            {"model": name, "type": kind, "rates": PRICES[kind]} for name, kind in kinds.items()
        ],
        "billing": {"enabled": True},
        "limits": limits,
    }
    return json.dumps(document, default=str)
