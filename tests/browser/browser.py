"""How pages are looked at: Chromium without a window, and the pictures it takes."""

import struct
import zlib
from dataclasses import dataclass

BROWSER_S = 60
LIGHT, DARK = 1, 0  # Blink's PreferredColorScheme
BACKGROUND = {LIGHT: (0xFB, 0xFB, 0xFA), DARK: (0x10, 0x15, 0x14)}
PHONE = (390, 1600)
DESK = (1280, 400)
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
