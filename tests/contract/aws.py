"""Messages of AWS's binary event streams, as its services write them."""

import base64
import json
import struct
import zlib
from typing import Any


def message(headers: dict[str, str], payload: bytes) -> bytes:
    packed = b""
    for name, text in headers.items():
        value = text.encode()
        packed += struct.pack(">B", len(name)) + name.encode()
        packed += struct.pack(">BH", 7, len(value)) + value
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    body = prelude + packed + payload
    return body + struct.pack(">I", zlib.crc32(body))


def chunk(event: Any) -> bytes:
    """Return an event of InvokeModelWithResponseStream."""
    headers = {
        ":event-type": "chunk",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    data = base64.b64encode(json.dumps(event).encode()).decode()
    return message(headers, json.dumps({"bytes": data, "p": "abcd"}).encode())


def event(name: str, value: Any) -> bytes:
    """Return an event of ConverseStream, whose padding hides how long it is."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, json.dumps({**value, "p": "abcdef"}).encode())


def exception(kind: str, words: str) -> bytes:
    headers = {
        ":exception-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, json.dumps({"message": words}).encode())
