"""How long a piece of sound is, told from its own bytes without decoding it.

The containers' headers: RIFF/WAVE (RFC 2361), MPEG audio (ISO 11172-3), FLAC (RFC 9639), Ogg
(RFC 3533, 7845), MP4 (ISO 14496-12), Matroska (RFC 9559).
"""

import struct
from typing import NamedTuple

# The lowest bit rate speech is stored at, 8 kbit/s: a byte is a millisecond. Nothing is held for
# as longer than this makes it.
BYTES_PER_MS_MIN = 1
# What sound of unknown form is taken to be stored at: 64 kbit/s.
BYTES_PER_MS_USUAL = 8
# How far into a file its first frame, its boxes and its length are looked for.
SEARCHED_BYTES = 64 * 1024
CHUNKS_MAX = 64

_PCM = frozenset({1, 3, 0xFFFE})
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
# In kbit/s by (MPEG 1, layer); the other versions share theirs.
_KBITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class Length(NamedTuple):
    """Milliseconds of sound: the best guess, and the most it can be."""

    counted_ms: int
    bound_ms: int


def length_of(data: bytes) -> Length:
    """Return how long the sound in a file is; a header is believed as far as the bytes allow."""
    bound = len(data) // BYTES_PER_MS_MIN
    wave = _wave(data)
    if wave is not None:
        found, most = wave
        return Length(min(found, bound), bound if most is None else most)
    told = None
    for read in (_flac, _ogg, _mp4, _matroska, _mpeg):
        try:
            told = read(data)
        except (struct.error, IndexError, ZeroDivisionError, OverflowError, ValueError):
            continue
        if told and told > 0:
            break
    if not told or told < 0:
        told = len(data) // BYTES_PER_MS_USUAL
    return Length(min(told, bound), bound)


def _wave(data: bytes) -> tuple[int, int | None] | None:
    """Return the length of a wave file, and the most its bytes can be where that is sure."""
    if data[:4] not in {b"RIFF", b"RF64"} or data[8:12] != b"WAVE":
        return None
    at, form = 12, None
    for _ in range(CHUNKS_MAX):
        if at + 8 > len(data):
            return None
        kind, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if kind == b"fmt " and at + 16 <= len(data):
            form = struct.unpack_from("<HHIIHH", data, at)
        elif kind == b"data":
            break
        at += size + size % 2
    else:
        return None
    if form is None:
        return None
    tag, channels, rate, per_second, align, bits = form
    if not per_second:
        return None
    # One that was streamed does not know its size.
    rest = max(len(data) - at, 0)
    size = min(size, rest) if size else rest
    exact = tag in _PCM and bits >= 8 and align == channels * bits // 8 and align > 0
    exact = exact and per_second == rate * align
    return size * 1000 // per_second, -(-rest * 1000 // per_second) if exact else None


def _flac(data: bytes) -> int | None:
    if data[:4] != b"fLaC":
        return None
    packed = int.from_bytes(data[18:26], "big")
    rate, samples = packed >> 44, packed & (1 << 36) - 1
    return samples * 1000 // rate


def _ogg(data: bytes) -> int | None:
    if data[:4] != b"OggS":
        return None
    head = data[28:128]
    rate, skipped = 48_000, 0
    if (at := head.find(b"OpusHead")) >= 0:
        (skipped,) = struct.unpack_from("<H", head, at + 10)
    elif (at := head.find(b"\x01vorbis")) >= 0:
        (rate,) = struct.unpack_from("<I", head, at + 12)
    else:
        return None
    (samples,) = struct.unpack_from("<q", data, data.rindex(b"OggS") + 6)
    return int(max(samples - skipped, 0) * 1000 // rate)


def _mp4(data: bytes) -> int | None:
    if data[4:8] != b"ftyp":
        return None
    at = data.index(b"mvhd") + 4
    if data[at]:
        scale, length = struct.unpack_from(">IQ", data, at + 20)
    else:
        scale, length = struct.unpack_from(">II", data, at + 12)
    return int(length * 1000 // scale)


def _matroska(data: bytes) -> int | None:
    if data[:4] != b"\x1a\x45\xdf\xa3":
        return None
    head = data[:SEARCHED_BYTES]
    at = head.index(b"\x44\x89")
    form = {0x84: ">f", 0x88: ">d"}.get(head[at + 2])
    if form is None:
        return None
    (ticks,) = struct.unpack_from(form, head, at + 3)
    scale, named = 1_000_000, head.find(b"\x2a\xd7\xb1")
    if named >= 0:
        size = head[named + 3] & 0x0F
        scale = int.from_bytes(head[named + 4 : named + 4 + size], "big")
    return int(ticks * scale / 1_000_000)


def _mpeg(data: bytes) -> int | None:
    at = 0
    if data[:3] == b"ID3":
        size = 0
        for byte in data[6:10]:
            size = size << 7 | byte & 0x7F
        at = 10 + size
    end = min(at + SEARCHED_BYTES, len(data) - 4)
    while (at := data.find(b"\xff", at, end)) >= 0:
        told = _frame(data, at)
        if told is not None:
            return told
        at += 1
    return None


def _frame(data: bytes, at: int) -> int | None:
    """Return the length of MPEG audio whose first frame is there: told in it, or by its rate."""
    second, third = data[at + 1], data[at + 2]
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    kbits, rate = third >> 4, third >> 2 & 3
    if second < 0xE0 or version == 1 or layer == 4 or not 0 < kbits < 15 or rate == 3:
        return None
    first = version == 3
    per_second = _RATES[version][rate]
    samples = 384 if layer == 1 else 1152 if first or layer == 2 else 576
    speed = _KBITS[first, layer][kbits - 1]
    head = data[at : at + 192]
    for name, place in ((b"Xing", 8), (b"Info", 8), (b"VBRI", 14)):
        found = head.find(name)
        if found >= 0:
            if name != b"VBRI" and not head[found + 7] & 1:
                continue
            frames = int.from_bytes(head[found + place : found + place + 4], "big")
            if frames:
                return frames * samples * 1000 // per_second
    return (len(data) - at) * 8 // speed
