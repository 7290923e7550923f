"""The real pages in a real browser, through the real edge, below the mount point and beside it.

Needs Debian's package `chromium` (`apt-get install chromium`): without it these tests fail,
they are never skipped.
"""

import re
import shutil
import socket
import struct
import subprocess
import threading
import time
import zlib
from dataclasses import dataclass, field

import pytest
import uvicorn

from aigne_hub.gateway.edge import Edge, EdgeLimits
from aigne_hub.telemetry import Counters
from aigne_hub.web.app import create_app
from aigne_hub.web.operations import Check, Readiness

START_S = 10
BROWSER_S = 60
LIGHT, DARK = 1, 0  # Blink's PreferredColorScheme
BACKGROUND = {LIGHT: (0xFB, 0xFB, 0xFA), DARK: (0x10, 0x15, 0x14)}
PHONE = (390, 1600)
DESK = (1280, 900)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--enable-logging=stderr",
)
PAGES = ("/", "/docs", "/payment/checkout/pay/order-1", "/nothing/here")


@dataclass
class Process:
    """A running hub, as the web layer sees one."""

    address: str
    demo: bool = True
    billing: bool = True
    counters: Counters = field(default_factory=Counters)

    async def ready(self):
        return Readiness(ok=True, checks=(Check("database", ok=True, detail="It commits."),))

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
    config = uvicorn.Config(create_app(Process(url), None), http=edge.protocol, log_level="warning")
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


@pytest.fixture
def chromium(tmp_path):
    """Run Chromium; returns its output and what it logged."""
    path = shutil.which("chromium")
    assert path, "Chromium is missing: apt-get install chromium"

    def run(url, *flags, size=DESK, scheme=LIGHT):
        command = [
            path,
            *FLAGS,
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--window-size={size[0]},{size[1]}",
            *flags,
            url,
        ]
        done = subprocess.run(command, capture_output=True, timeout=BROWSER_S, check=True)
        return done.stdout.decode(), done.stderr.decode()

    return run


@dataclass(frozen=True)
class Picture:
    """A decoded PNG: rows of bytes, `depth` bytes a pixel."""

    width: int
    height: int
    depth: int
    rows: list[bytes]

    def pixel(self, x, y):
        return tuple(self.rows[y][x * self.depth : x * self.depth + 3])


def picture(path):
    """Decode an 8-bit RGB or RGBA PNG without interlacing (W3C PNG, sections 7 to 9)."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    position, packed, header = 8, b"", b""
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + size]
        header = body if kind == b"IHDR" else header
        packed += body if kind == b"IDAT" else b""
        position += 12 + size
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    assert (bits, interlaced) == (8, 0)
    depth = {2: 3, 6: 4}[colour]
    raw, stride = zlib.decompress(packed), width * depth
    rows, above = [], bytes(stride)
    for start in range(0, len(raw), stride + 1):
        above = _unfiltered(raw[start], raw[start + 1 : start + 1 + stride], above, depth)
        rows.append(above)
    return Picture(width, height, depth, rows)


def _unfiltered(kind, row, above, depth):
    if kind == 0:
        return bytes(row)
    if kind == 2:
        return bytes((value + up) & 255 for value, up in zip(row, above, strict=True))
    found = bytearray(depth) + bytearray(len(row))
    padded = bytes(depth) + above
    for index, value in enumerate(row):
        left, up, corner = found[index], above[index], padded[index]
        guess = {1: left, 3: (left + up) // 2, 4: _paeth(left, up, corner)}[kind]
        found[index + depth] = (value + guess) & 255
    return bytes(found[depth:])


def _paeth(left, up, corner):
    guess = left + up - corner
    return min((left, up, corner), key=lambda near: abs(guess - near))


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
    assert "Not served yet" in dom


def test_the_reference_links_lead_to_their_places(address, chromium):
    dom, _ = chromium(f"{address}/docs", "--dump-dom")
    targets = set(re.findall(r'\bid="([^"]+)"', dom))
    links = set(re.findall(r'href="#([^"]+)"', dom))
    assert {"createChatCompletion", "schema-ErrorObject", "status-402"} <= links <= targets


def test_the_pay_page_sends_people_to_the_operator(address, chromium):
    dom, _ = chromium(f"{address}/payment/checkout/pay/order-1", "--dump-dom")
    assert "Ask the operator of this hub." in dom
    assert "aigne-hub credits grant --user U --amount 10" in dom


def test_a_wrong_path_below_the_mount_point_leads_back_to_it(address, chromium):
    dom, _ = chromium(f"{address}/ai-kit/chat/completions", "--dump-dom")
    assert "There is no such page" in dom
    assert f"{address}/v1/chat/completions" in dom
    assert 'href="../docs"' in dom
