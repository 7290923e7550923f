"""The local servers behind every target: fixed unary answers and streams, plain and TLS."""

import contextlib
import json
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import certificate, nginx
from bench.loads import Route
from bench.process import HOST, Process, allow_many_files, free_port


@dataclass(frozen=True)
class Upstreams:
    """Where each route's upstream listens, and the certificate that vouches for the TLS ones."""

    ports: dict[Route, int]
    trust: Path

    def base_url(self, route: Route) -> str:
        return f"{'https' if route.tls else 'http'}://{HOST}:{self.ports[route]}/v1"

    def chunks_streamed(self) -> int:
        """Return how many content chunks the streaming upstream has written so far."""
        address = f"http://{HOST}:{self.ports[Route.STREAM]}/stats"
        with urllib.request.urlopen(address, timeout=5) as answer:
            chunks: int = json.load(answer)["chunks"]
        return chunks


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Upstreams]:
    """Start the upstreams for the length of a `with` block."""
    allow_many_files()
    made = certificate.make(folder)
    ports = {route: free_port() for route in Route}
    command = [sys.executable, "-m", "bench.stream_upstream"]
    command += ["--plain", str(ports[Route.STREAM]), "--tls", str(ports[Route.STREAM_TLS])]
    command += ["--certfile", str(made.chain), "--keyfile", str(made.key)]
    unary = nginx.start_upstream(
        folder / "upstream", ports[Route.UNARY], ports[Route.UNARY_TLS], made
    )
    with unary, Process("stream-upstream", command, folder) as streaming:
        streaming.line("ready")
        yield Upstreams(ports, made.chain)
