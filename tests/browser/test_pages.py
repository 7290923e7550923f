"""The real pages in a real browser, through the real edge, below the mount point and beside it.

Needs Debian's package `chromium` (`apt-get install chromium`): without it these tests fail,
they are never skipped.
"""

import re
import socket
import threading
import time
from dataclasses import dataclass, field
from functools import partial

import pytest
import uvicorn
from tests.browser.browser import BACKGROUND, DARK, DESK, LIGHT, PHONE, picture

from aigne_hub.gateway.client_connection import ClientConnection
from aigne_hub.gateway.edge import Edge, EdgeLimits
from aigne_hub.telemetry import Counters
from aigne_hub.web.app import create_app
from aigne_hub.web.gauges import Routing
from aigne_hub.web.operations import Check, Readiness

START_S = 60
PAGES = ("/", "/docs", "/nothing/here")


@dataclass
class Process:
    """A running hub, as the web layer sees one."""

    address: str
    demo: bool = True
    billing: bool = True
    counters: Counters = field(default_factory=Counters)

    async def ready(self):
        return Readiness(ok=True, checks=(Check("database", ok=True, detail="It commits."),))

    def routing(self):
        return Routing()

    def gauges(self):
        return {}

    def public_url(self):
        return self.address


@pytest.fixture(scope="module")
def address():
    """The address of the control plane behind an edge that has no data plane."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    edge = Edge(lambda *_: None, EdgeLimits())
    http = partial(ClientConnection, edge)
    config = uvicorn.Config(create_app(Process(url), None), http=http, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started, "the server did not start"
    yield url
    server.should_exit = True
    thread.join(START_S)
    assert not thread.is_alive(), "the server did not stop"


@pytest.mark.parametrize("mount", ["", "/ai-kit"])
@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_the_home_page_is_painted_in_the_preferred_colours(
    address, chromium, tmp_path, mount, scheme
):
    shot = tmp_path / "home.png"
    chromium(f"{address}{mount}/", f"--screenshot={shot}", scheme=scheme)
    painted = picture(shot)
    assert (painted.width, painted.height) == DESK
    # Only the style sheet sets this colour.
    assert painted.pixel(0, 0) == BACKGROUND[scheme]
    assert any(row != painted.rows[0] for row in painted.rows)


@pytest.mark.parametrize("page", PAGES)
def test_a_phone_shows_a_page_without_anything_cut_off_at_the_side(
    address, chromium, tmp_path, page
):
    shot = tmp_path / "phone.png"
    chromium(f"{address}/ai-kit{page}", f"--screenshot={shot}", size=PHONE)
    painted = picture(shot)
    margin = range(PHONE[0] - 8, PHONE[0])
    stray = {painted.pixel(x, y) for y in range(painted.height) for x in margin}
    assert stray == {BACKGROUND[LIGHT]}


@pytest.mark.parametrize("page", PAGES)
def test_the_browser_has_nothing_to_complain_about(address, chromium, page):
    _, log = chromium(f"{address}/ai-kit{page}", "--dump-dom")
    # The browser reports the status of a page that is itself a 404, and nothing else.
    complaints = [line for line in log.splitlines() if ":CONSOLE" in line]
    assert complaints == []
    assert "Content Security Policy" not in log


def test_the_home_page_says_how_to_call(address, chromium):
    dom, _ = chromium(f"{address}/", "--dump-dom")
    assert f"curl {address}/v1/chat/completions" in dom
    assert '"model": "demo/echo"' in dom
    assert f"<code>{address}</code>" in dom


def test_the_reference_links_lead_to_their_places(address, chromium):
    dom, _ = chromium(f"{address}/docs", "--dump-dom")
    targets = set(re.findall(r'\bid="([^"]+)"', dom))
    links = set(re.findall(r'href="#([^"]+)"', dom))
    assert {"createChatCompletion", "schema-ErrorObject", "status-402"} <= links <= targets


def test_a_wrong_path_below_the_mount_point_leads_back_to_it(address, chromium):
    dom, _ = chromium(f"{address}/ai-kit/chat/completions", "--dump-dom")
    assert "There is no such page" in dom
    assert f"{address}/v1/chat/completions" in dom
    assert 'href="../docs"' in dom
