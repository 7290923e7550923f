"""Run one load against one address: wrk for unary calls, our own client for streams."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench.loads import LEAVE_AFTER, Kind, Load
from bench.process import HOST

WRK = shutil.which("wrk") or "/usr/bin/wrk"
# What a load may take beyond its duration before it is killed.
GRACE_S = 90.0
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
    """

    calls: int
    seconds: float
    p50_ms: float | None  # None when no call was answered
    p99_ms: float | None
    left: int = 0
    loose: int = 0
    reads: int | None = None
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


def call(
    request: Request,
    folder: Path,
    *,
    connections: int,
    seconds: float,
    chunks: int,
    leave_after: int = 0,
    count: int | None = None,
) -> Result:
    """Make calls that are all finished, at most `count` of them."""
    file = folder / "request.http"
    file.write_bytes(request.raw())
    command = [sys.executable, "-m", "bench.call_client", "--request", str(file)]
    numbers = {
        "port": request.port,
        "connections": connections,
        "seconds": seconds,
        "chunks": chunks,
        "leave-after": leave_after,
    }
    if count is not None:
        numbers["count"] = count
    for name, number in numbers.items():
        command += [f"--{name}", str(number)]
    report = json.loads(_output(command, seconds))
    shown = ", ".join(report["messages"])
    return Result(
        calls=report["calls"],
        seconds=report["seconds"],
        p50_ms=report["p50_ms"],
        p99_ms=report["p99_ms"],
        left=report["left"],
        reads=report["reads"],
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
