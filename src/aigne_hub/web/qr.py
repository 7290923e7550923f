"""QR codes for addresses, as pictures without script (ISO/IEC 18004: byte mode, level L).

A scanner on another screen reads level L well, and it keeps the squares large. A library would
be a dependency for these hundred lines, which tests read back with another's decoder.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

TEXT_BYTES_MAX: Final = 858  # version 20, level L

# Of versions 1 to 20 at level L: check bytes of a block, and blocks (ISO/IEC 18004, table 9).
_CHECK_BYTES: Final = (
    7,
    10,
    15,
    20,
    26,
    18,
    20,
    24,
    30,
    18,
    20,
    24,
    26,
    30,
    22,
    24,
    28,
    30,
    28,
    28,
)
_BLOCKS: Final = (1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8)
_LEVEL_L: Final = 0b01
_BYTE_MODE: Final = 0b0100
_QUIET: Final = 4

# A polynomial over GF(256) of the field's own, and the two of BCH codes.
_FIELD: Final = 0x11D
_FORMAT_CODE, _FORMAT_MASK, _VERSION_CODE = 0x537, 0x5412, 0x1F25

_MASKS: Final[tuple[Callable[[int, int], int], ...]] = (
    lambda x, y: (x + y) % 2,
    lambda _, y: y % 2,
    lambda x, _: x % 3,
    lambda x, y: (x + y) % 3,
    lambda x, y: (x // 3 + y // 2) % 2,
    lambda x, y: x * y % 2 + x * y % 3,
    lambda x, y: (x * y % 2 + x * y % 3) % 2,
    lambda x, y: ((x + y) % 2 + x * y % 3) % 2,
)
_RUN: Final = re.compile(r"0{5,}|1{5,}")
_LIKE_A_FINDER: Final = ("10111010000", "00001011101")

Grid = list[list[int | None]]


def svg(text: str) -> Markup:
    """Return the picture of a text. Raises ValueError for one over TEXT_BYTES_MAX in UTF-8."""
    rows = modules(text)
    side = len(rows) + 2 * _QUIET
    path = "".join(
        f"M{match.start() + _QUIET} {y + _QUIET}h{len(match[0])}v1h-{len(match[0])}z"
        for y, row in enumerate(rows)
        for match in re.finditer("1+", row)
    )
    return Markup(
        '<svg class="qr" viewBox="0 0 {} {}" role="img" aria-label="QR code" '
        'shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{}v{}H0z"/>'
        '<path fill="#000" d="{}"/></svg>'
    ).format(side, side, side, side, path)


def modules(text: str) -> list[str]:
    """Return the rows of the code of a text, a `1` for each dark square."""
    data = text.encode()
    version = _version_for(len(data))
    size = 17 + 4 * version
    fixed = _fixed(version, size)
    bits = "".join(f"{byte:08b}" for byte in _codewords(data, version))
    places = [(x, y) for x, y in _zigzag(size) if fixed[y][x] is None]
    candidates = []
    for number, mask in enumerate(_MASKS):
        grid = [list(row) for row in fixed]
        for place, (x, y) in enumerate(places):
            bit = place < len(bits) and bits[place] == "1"
            grid[y][x] = int(bit) ^ (mask(x, y) == 0)
        _write_format(grid, number)
        rows = ["".join(map(str, row)) for row in grid]
        candidates.append((_penalty(rows), rows))
    return min(candidates)[1]


@dataclass(frozen=True, slots=True)
class _Room:
    """How the bytes of a version are cut into blocks."""

    total: int
    checks: int
    blocks: int

    @property
    def data(self) -> int:
        return self.total - self.checks * self.blocks


def _room(version: int) -> _Room:
    # All squares but those of fixed patterns (ISO/IEC 18004, table 1).
    squares = (16 * version + 128) * version + 64
    if version >= 2:
        count = version // 7 + 2
        squares -= (25 * count - 10) * count - 55
        if version >= 7:
            squares -= 36
    return _Room(squares // 8, _CHECK_BYTES[version - 1], _BLOCKS[version - 1])


def _version_for(count: int) -> int:
    for version in range(1, len(_BLOCKS) + 1):
        if _room(version).data * 8 >= 4 + _length_bits(version) + 8 * count:
            return version
    raise ValueError(f"a QR code here holds at most {TEXT_BYTES_MAX} bytes, got {count}")


def _length_bits(version: int) -> int:
    return 8 if version < 10 else 16


def _codewords(data: bytes, version: int) -> bytes:
    """Return the text's bytes and its check bytes, interleaved."""
    room = _room(version)
    bits = f"{_BYTE_MODE:04b}{len(data):0{_length_bits(version)}b}"
    bits += "".join(f"{byte:08b}" for byte in data)
    bits += "0" * min(4, room.data * 8 - len(bits))
    bits += "0" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8)
    body += (b"\xec\x11" * room.data)[: room.data - len(body)]
    short, longer = room.data // room.blocks, room.data % room.blocks
    blocks, at = [], 0
    for number in range(room.blocks):
        end = at + short + (number >= room.blocks - longer)
        blocks.append(body[at:end])
        at = end
    checks = [_check(block, room.checks) for block in blocks]
    return bytes(_interleaved(blocks)) + bytes(_interleaved(checks))


def _interleaved(blocks: list[bytes]) -> Iterator[int]:
    for place in range(max(map(len, blocks))):
        yield from (block[place] for block in blocks if place < len(block))


def _check(block: bytes, count: int) -> bytes:
    """Return the remainder by the generator with the roots 1, 2, 4, … (Reed-Solomon)."""
    generator, root = [0] * (count - 1) + [1], 1
    for _ in range(count):
        generator = [
            _times(term, root) ^ (generator[place + 1] if place + 1 < count else 0)
            for place, term in enumerate(generator)
        ]
        root = _times(root, 2)
    rest = [0] * count
    for byte in block:
        factor = byte ^ rest.pop(0)
        rest.append(0)
        rest = [term ^ _times(known, factor) for term, known in zip(rest, generator, strict=True)]
    return bytes(rest)


def _times(one: int, other: int) -> int:
    product = 0
    for bit in range(7, -1, -1):
        product = product << 1 ^ (product >> 7) * _FIELD
        product ^= (other >> bit & 1) * one
    return product


def _fixed(version: int, size: int) -> Grid:
    """Return the patterns that every code of a version has; None where data goes."""
    grid: Grid = [[None] * size for _ in range(size)]
    for place in range(size):
        grid[6][place] = grid[place][6] = 1 - place % 2
    last = size - 4
    for x, y in ((3, 3), (last, 3), (3, last)):
        _square(grid, x, y, 4, dark=(0, 1, 3))
    centres = _centres(version, size)
    for x in centres:
        for y in centres:
            if (x, y) not in {(6, 6), (6, size - 7), (size - 7, 6)}:
                _square(grid, x, y, 2, dark=(0, 2))
    _write_format(grid, 0)
    if version >= 7:
        code = version << 12 | _remainder(version, _VERSION_CODE, 12)
        for bit in range(18):
            x, y = size - 11 + bit % 3, bit // 3
            grid[y][x] = grid[x][y] = code >> bit & 1
    return grid


def _square(grid: Grid, x: int, y: int, radius: int, *, dark: tuple[int, ...]) -> None:
    """Draw rings around a centre, those that lie on the code."""
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if 0 <= x + dx < len(grid) and 0 <= y + dy < len(grid):
                grid[y + dy][x + dx] = int(max(abs(dx), abs(dy)) in dark)


def _centres(version: int, size: int) -> list[int]:
    if version == 1:
        return []
    count = version // 7 + 2
    step = (version * 4 + count * 2 + 1) // (count * 2 - 2) * 2
    return [6, *sorted(size - 7 - place * step for place in range(count - 1))]


def _write_format(grid: Grid, mask: int) -> None:
    size, said = len(grid), _LEVEL_L << 3 | mask
    code = (said << 10 | _remainder(said, _FORMAT_CODE, 10)) ^ _FORMAT_MASK
    bits = [code >> bit & 1 for bit in range(15)]
    for bit in range(6):
        grid[bit][8], grid[8][5 - bit] = bits[bit], bits[9 + bit]
    grid[7][8], grid[8][8], grid[8][7] = bits[6:9]
    for bit in range(8):
        grid[8][size - 1 - bit] = bits[bit]
    for bit in range(8, 15):
        grid[size - 15 + bit][8] = bits[bit]
    grid[size - 8][8] = 1


def _remainder(value: int, code: int, degree: int) -> int:
    rest = value
    for _ in range(degree):
        rest = rest << 1 ^ (rest >> degree - 1) * code
    return rest


def _zigzag(size: int) -> Iterator[tuple[int, int]]:
    """Yield all squares in the order in which data fills them: two columns up, two down."""
    upward = True
    for right in (*range(size - 1, 6, -2), *range(5, 0, -2)):
        for step in range(size):
            y = size - 1 - step if upward else step
            yield right, y
            yield right - 1, y
        upward = not upward


def _penalty(rows: list[str]) -> int:
    """Return how hard a code is to read: long runs, look-alikes of corners, one colour too much."""
    lines = [*rows, *map("".join, zip(*rows, strict=True))]
    runs = sum(len(run) - 2 for line in lines for run in _RUN.findall(line))
    alike = sum(line.count(pattern) for line in lines for pattern in _LIKE_A_FINDER)
    dark = sum(row.count("1") for row in rows) / len(rows) ** 2
    return runs + 40 * alike + 10 * int(abs(dark - 0.5) * 20)
