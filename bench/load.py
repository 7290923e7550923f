"""Run one load against one address: wrk for unary calls, our own client for streams."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.loads import LEAVE_AFTER, Kind, Load
from bench.process import HOST

WRK = shutil.which("wrk") or "/usr/bin/wrk"
# What a load may take beyond its duration before it is killed.
GRACE_S = 150.0
WRK_SCRIPT = """
local file = assert(io.open("{body}", "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
{headers}
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\nRESULT {{"calls":%d,"seconds":%.6f,"p50_us":%.1f,"p99_us":%.1f,' ..
    '"status":%d,"broken":%d,"timeout":%d}}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
"""


# Each request is made once, so that taking turns costs wrk nothing.
WRK_TURNS = """
local calls, turn = {{}}, 0
function init(args)
  for key in io.lines("{keys}") do
    wrk.headers["authorization"] = "Bearer " .. key
    calls[#calls + 1] = wrk.format()
  end
end
function request()
  turn = turn % #calls + 1
  return calls[turn]
end
"""


class LoadError(RuntimeError):
    """A load generator did not finish or printed no result."""


@dataclass(frozen=True)
class Request:
    """One call as the client sends it. With `keys` its callers take turns (wrk only)."""

    port: int
    path: str
    headers: dict[str, str]
    body: bytes
    keys: tuple[str, ...] = ()

    def raw(self) -> bytes:
        headers = {
            "host": f"{HOST}:{self.port}",
            "content-length": str(len(self.body)),
            **self.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + self.body


@dataclass(frozen=True)
class Result:
    """What the client saw.

    `loose` calls may have been under way, unanswered, when it stopped. `reads` says, for
    streams, how many pieces the answers arrived in: with fewer than chunks they travelled together.
    `first` is the time to the first byte of an answer's body, `gap` the time between two pieces.
    """

    calls: int
    seconds: float
    p50_ms: float | None  # None when no call was answered
    p99_ms: float | None
    left: int = 0
    refused: int = 0
    loose: int = 0
    reads: int | None = None
    first_p50_ms: float | None = None
    first_p99_ms: float | None = None
    gap_p50_ms: float | None = None
    gap_p99_ms: float | None = None
    errors: list[str] = field(default_factory=list)


def run(load: Load, request: Request, connections: int, seconds: float, folder: Path) -> Result:
    """Apply the load for `seconds`; raises LoadError when the generator fails."""
    if load.kind is Kind.UNARY:
        return _wrk(request, connections, seconds, folder)
    leave_after = LEAVE_AFTER if load.kind is Kind.LEAVE else 0
    return call(
        request,
        folder,
        connections=connections,
        seconds=seconds,
        chunks=load.chunks,
        leave_after=leave_after,
    )


def call(request: Request, folder: Path, **order: Any) -> Result:
    """Make calls that are all finished, as the client is told by `order` (`Order`)."""
    told = Order(**order)
    return _reported(json.loads(_output(_client([request], folder, told), told.seconds)))


@dataclass(frozen=True)
class Order:
    """What the load client is told: no call begins after `seconds` or beyond `count`."""

    connections: int
    seconds: float
    chunks: int
    leave_after: int = 0
    count: int | None = None
    pause_ms: float = 0.0
    refusable: bool = False

    def words(self) -> list[str]:
        options = {name.replace("_", "-"): value for name, value in asdict(self).items()}
        flags = ["--refusable"] if options.pop("refusable") else []
        known = {name: value for name, value in options.items() if value is not None}
        return [
            *flags,
            *(word for name, value in known.items() for word in (f"--{name}", f"{value}")),
        ]


class Held:
    """Calls that are under way in another process."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen

    @property
    def ended(self) -> bool:
        return self._popen.poll() is not None

    def result(self, within_s: float = GRACE_S) -> Result:
        """Wait for the end of all calls."""
        try:
            output, _ = self._popen.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            raise LoadError(f"calls did not end within {within_s:.0f} s") from None
        if self._popen.returncode:
            raise LoadError("the load client failed")
        return _reported(json.loads(output))


@contextmanager
def begun(requests: Sequence[Request], folder: Path, order: Order) -> Iterator[Held]:
    """Begin calls that take turns among `requests`, which differ in their headers alone."""
    command = _client(requests, folder, order)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as popen:
        try:
            yield Held(popen)
        finally:
            if popen.poll() is None:
                popen.kill()


def _client(requests: Sequence[Request], folder: Path, order: Order) -> list[str]:
    """Return the command of the load client."""
    command = [sys.executable, "-m", "bench.call_client", "--port", str(requests[0].port)]
    command.append("--request")
    for request in requests:
        handle, name = tempfile.mkstemp(dir=folder, prefix="request-", suffix=".http")
        with os.fdopen(handle, "wb") as file:
            file.write(request.raw())
        command.append(name)
    return command + order.words()


def _reported(report: dict[str, Any]) -> Result:
    shown = ", ".join(report["messages"])
    return Result(
        calls=report["calls"],
        seconds=report["seconds"],
        p50_ms=report["p50_ms"],
        p99_ms=report["p99_ms"],
        left=report["left"],
        refused=report["refused"],
        reads=report["reads"],
        first_p50_ms=report["first_p50_ms"],
        first_p99_ms=report["first_p99_ms"],
        gap_p50_ms=report["gap_p50_ms"],
        gap_p99_ms=report["gap_p99_ms"],
        errors=[f"{report['errors']} calls failed: {shown}"] if report["errors"] else [],
    )


def _wrk(request: Request, connections: int, seconds: float, folder: Path) -> Result:
    body, script = folder / "body.json", folder / "wrk.lua"
    body.write_bytes(request.body)
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}"
        for name, value in request.headers.items()
    )
    text = WRK_SCRIPT.format(body=body, headers=headers)
    if request.keys:
        keys = folder / "keys.txt"
        keys.write_text("\n".join(request.keys))
        text += WRK_TURNS.format(keys=keys)
    script.write_text(text)
    output = _output(
        [
            *(WRK, "-t1", f"-c{connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "10s"),
            *("-s", str(script), f"http://{HOST}:{request.port}{request.path}"),
        ],
        seconds,
    )
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise LoadError(f"wrk printed no result:\n{output}")
    report = json.loads(lines[0].removeprefix("RESULT "))
    wrong = {"status": "were not 2xx", "broken": "broke", "timeout": "timed out"}
    return Result(
        calls=report["calls"] - report["status"],
        seconds=report["seconds"],
        p50_ms=report["p50_us"] / 1000,
        p99_ms=report["p99_us"] / 1000,
        loose=connections,
        errors=[f"{report[name]} calls {what}" for name, what in wrong.items() if report[name]],
    )


def _output(command: list[str], seconds: float) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + GRACE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise LoadError(f"{command[0]} did not end {GRACE_S:.0f} s after its time") from None
    if done.returncode:
        raise LoadError(f"{' '.join(command[:3])} failed:\n{done.stderr[-2000:]}")
    return done.stdout
