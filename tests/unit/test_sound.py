"""How long sound is said to be, by its container: never negative, never longer than its bytes."""

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.gateway.dialects.sound import BYTES_PER_MS_USUAL, Length, length_of


def wav(ms: int, rate: int = 16_000, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(b"\x00" * (rate * width * ms // 1000))
    return file.getvalue()


def flac(samples: int, rate: int) -> bytes:
    packed = rate << 44 | 1 << 41 | 15 << 36 | samples
    return b"fLaC\x80\x00\x00\x22" + bytes(10) + packed.to_bytes(8, "big") + bytes(16 + 40_000)


def ogg(granule: int, head: bytes) -> bytes:
    first = b"OggS\x00\x02" + struct.pack("<q", 0) + bytes(14) + head + bytes(9_000)
    return first + b"OggS\x00\x04" + struct.pack("<q", granule) + bytes(20)


def mp4(timescale: int, duration: int, *, long: bool = False) -> bytes:
    if long:
        fields = b"\x01\x00\x00\x00" + struct.pack(">QQIQ", 0, 0, timescale, duration)
    else:
        fields = bytes(4) + struct.pack(">IIII", 0, 0, timescale, duration)
    return b"\x00\x00\x00\x18ftypM4A " + bytes(90_000) + b"mvhd" + fields


def matroska(ticks: float, scale: int | None = None) -> bytes:
    named = b"" if scale is None else b"\x2a\xd7\xb1\x83" + scale.to_bytes(3, "big")
    told = b"\x44\x89\x88" + struct.pack(">d", ticks)
    return b"\x1a\x45\xdf\xa3" + bytes(20) + named + told + bytes(9_000)


# MPEG 1 layer III, 128 kbit/s, 44.1 kHz.
FRAME = b"\xff\xfb\x90\x00"
XING = FRAME + bytes(32) + b"Xing" + struct.pack(">II", 1, 100)
OPUS = b"OpusHead\x01\x01" + struct.pack("<HI", 312, 16_000)
VORBIS = b"\x01vorbis" + bytes(5) + struct.pack("<I", 44_100)


@pytest.mark.parametrize(
    ("data", "ms"),
    [
        (wav(1_500), 1_500),
        (flac(16_000 * 3, 16_000), 3_000),
        (ogg(48_000 * 2 + 312, OPUS), 2_000),
        (ogg(44_100 * 2, VORBIS), 2_000),
        (mp4(1_000, 4_500), 4_500),
        (mp4(48_000, 96_000, long=True), 2_000),
        (matroska(2_500.0), 2_500),
        (matroska(2_500.0, 500_000), 1_250),
        (FRAME + bytes(16_000 - 4), 1_000),
        (b"ID3\x04\x00\x00\x00\x00\x00\x0a" + b"\xff" * 10 + FRAME + bytes(16_000 - 4), 1_000),
        (XING + bytes(9_000), 100 * 1_152 * 1_000 // 44_100),
        (b"what is this" * 1_000, 12_000 // BYTES_PER_MS_USUAL),
        (b"", 0),
    ],
)
def test_the_length_is_that_of_the_header(data: bytes, ms: int):
    found = length_of(data)
    assert found.counted_ms == ms
    assert found.bound_ms >= ms


def test_the_length_of_plain_samples_is_held_for_exactly():
    assert length_of(wav(1_500)) == Length(1_500, 1_500)
    # A header that says less than there is does not make it shorter.
    short = bytearray(wav(1_500))
    short[40:44] = struct.pack("<I", 32)
    assert length_of(bytes(short)) == Length(1, 1_500)
    # Nor does one that does not know.
    short[40:44] = b"\xff\xff\xff\xff"
    assert length_of(bytes(short)) == Length(1_500, 1_500)


def test_a_header_that_lies_is_bounded_by_the_bytes():
    for data in (mp4(1, 2**31), flac(2**36 - 1, 1), ogg(2**62, OPUS), matroska(1e300)):
        found = length_of(data)
        assert 0 <= found.counted_ms <= found.bound_ms == len(data)


HEADS = [wav(1)[:60], flac(9, 9)[:60], ogg(9, OPUS)[:90], mp4(1, 1)[:60], matroska(1.0)[:60], XING]


@given(st.sampled_from(HEADS), st.integers(0, 60), st.binary(max_size=80), st.binary(max_size=99))
def test_whatever_it_is_nothing_raises(head: bytes, keep: int, middle: bytes, end: bytes):
    data = head[:keep] + middle + head[keep + len(middle) :] + end
    found = length_of(data)
    assert 0 <= found.counted_ms <= max(found.bound_ms, len(data))
