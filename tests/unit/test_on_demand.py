"""The control plane is made once, when something but a probe is asked for."""

import asyncio
import subprocess
import sys
import threading

import pytest
from starlette.responses import PlainTextResponse

from aigne_hub.telemetry import Counters
from aigne_hub.web.gauges import Routing
from aigne_hub.web.on_demand import OnDemand
from aigne_hub.web.operations import Readiness


class Process:
    counters = Counters()

    async def ready(self):
        return Readiness(ok=True, checks=())

    def routing(self):
        return Routing()

    def gauges(self):
        return {}


async def ask(app, path, method="GET"):
    sent = []

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": []}
    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[-1]["body"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/metrics"])
async def test_probes_are_answered_without_it(path, method):
    def make():
        raise AssertionError("a probe needs no control plane")

    status, headers, body = await ask(OnDemand(Process(), make), path, method)
    assert status == 200
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert bool(body) == (method == "GET")


async def test_a_probe_that_fails_is_answered():
    class Failing(Process):
        async def ready(self):
            raise RuntimeError("secret")

    status, _, body = await ask(OnDemand(Failing(), PlainTextResponse), "/health/ready")
    assert status == 500
    assert b"secret" not in body


async def test_it_is_made_once_and_off_the_loop():
    made = []

    def make():
        made.append(threading.current_thread())
        return PlainTextResponse("control plane")

    app = OnDemand(Process(), make)
    answers = await asyncio.gather(*(ask(app, "/api/x") for _ in range(3)))
    answers.append(await ask(app, "/health/live", "POST"))
    assert [body for _, _, body in answers] == [b"control plane"] * 4
    (thread,) = made
    assert thread is not threading.main_thread()


def test_a_worker_starts_without_the_framework():
    code = "import sys, aigne_hub.server.worker; sys.exit('fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
