"""The corpus of raw HTTP messages, with what each deserves.

`{key}` stands for an API key. The first half of most pairs is a data-plane call, the second
a page of the control plane.
"""

import json
from dataclasses import dataclass

BODY = json.dumps(
    {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
).encode()
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
TE = b"Transfer-Encoding: chunked\r\n"
KEY = b"Authorization: Bearer {key}\r\n"
CALL = b"POST /v1/chat/completions HTTP/1.1\r\n"
PAGE = b"POST /health/live HTTP/1.1\r\n"  # the control plane's: 405 when it is read
LIVE = b"GET /health/live HTTP/1.1\r\n"
MODELS = b"GET /v1/models HTTP/1.1\r\n"
HOST = b"Host: hub.test\r\n"
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def call(
    fields: bytes = b"", body: bytes = BODY, *, line: bytes = CALL, host: bytes = HOST
) -> bytes:
    """Return a chat call; its length is declared unless `fields` say how it is framed."""
    framed = b"content-length" in fields.lower() or b"transfer-encoding" in fields.lower()
    length = b"" if framed else b"Content-Length: %d\r\n" % len(body)
    return line + host + KEY + fields + length + b"\r\n" + body


def get(fields: bytes = b"", *, line: bytes = LIVE, host: bytes = HOST) -> bytes:
    return line + host + fields + b"\r\n"


def sized(line: bytes) -> bytes:
    """Return a request with that line and an ordinary head."""
    return call(line=line)


@dataclass(frozen=True)
class Case:
    """`served` calls reach the upstream; `end` is how the connection is left."""

    message: bytes
    statuses: tuple[int, ...]
    end: str = "closed"
    served: int = 0


def bad(message: bytes, status: int = 400) -> Case:
    return Case(message, (status,))


def fine(message: bytes, *, end: str = "open", served: int = 1) -> Case:
    return Case(message, (200,), end, served)


def answered(message: bytes, status: int, end: str = "open") -> Case:
    """A message that HTTP allows and the hub refuses: the connection may be used again."""
    return Case(message, (status,), end)


CASES: dict[str, Case] = {"a good call": fine(call()), "a good page": fine(get(), served=0)}

# Framing: who else reads these may see other requests in them.
FRAMINGS = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "identity then chunked": b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "quoted chunked": b'Transfer-Encoding: "chunked"\r\n',
    "chunked and a comma": b"Transfer-Encoding: chunked,\r\n",
    "space before the colon": b"Transfer-Encoding : chunked\r\n",
    "vertical tab": b"Transfer-Encoding: \x0bchunked\r\n",
    "folded chunked": b"Transfer-Encoding:\r\n chunked\r\n",
    "chunked; parameter": b"Transfer-Encoding: chunked;q=1\r\n",
}
for name, fields in FRAMINGS.items():
    CASES[f"framing, {name}"] = bad(call(fields, CHUNKED))
    CASES[f"framing on a page, {name}"] = bad(PAGE + HOST + fields + b"\r\n" + CHUNKED)
LENGTHS = (b"+4", b"-1", b"0x10", b"4, 4", b"4,4", b"4 4", b"", b"9" * 23, b"1e2", b"\xd9\xa4")
for value in LENGTHS:
    field = b"Content-Length: " + value + b"\r\n"
    CASES[f"length {value!r}"] = bad(call(field, b"abcd"))
    CASES[f"length on a page {value!r}"] = bad(PAGE + HOST + field + b"\r\nabcd")
CASES |= {
    "two equal lengths": bad(call(LENGTH + LENGTH)),
    "two different lengths": bad(call(LENGTH + b"Content-Length: 4\r\n")),
    "chunked": fine(call(TE, CHUNKED)),
    "chunked after a tab": fine(call(b"Transfer-Encoding:\tchunked\r\n", CHUNKED)),
    "CHUNKED": fine(call(b"TRANSFER-ENCODING: CHUNKED\r\n", CHUNKED)),
    "chunked in HTTP/1.0": bad(
        call(TE, CHUNKED, line=b"POST /v1/chat/completions HTTP/1.0\r\n"),
    ),
    "a body longer than its length": Case(call(b"Content-Length: 10\r\n"), (400,)),
    "a smuggled request in the body": Case(
        call(b"Content-Length: 4\r\n", b"{}\r\n" + get()), (400,)
    ),
    "a request behind chunked": Case(call(TE, CHUNKED + call()), (200,), "closed", 1),
    "a GET with a body": fine(get(b"Content-Length: 5\r\n") + b"hello", served=0),
    "a models GET with a body": fine(
        get(KEY + b"Content-Length: 5\r\n", line=MODELS) + b"hello", served=0
    ),
}

# Chunks.
HEX = b"%x" % len(BODY)
CHUNKS = {
    "no number": b"zz\r\n" + BODY,
    "minus": b"-1\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "more than 64 bits": b"ffffffffffffffff1\r\n",
    "empty size": b"\r\nhello",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "space after": HEX + b" \r\n" + BODY + b"\r\n0\r\n\r\n",
    "bare LF": HEX + b"\n" + BODY + b"\n0\n\n",
    "LF in an extension": HEX + b";a\nb\r\n" + BODY + b"\r\n0\r\n\r\n",
    "line end in an extension": HEX + b';a="b;\r\nc"\r\n' + BODY + b"\r\n0\r\n\r\n",
    "no line end after the data": HEX + b"\r\n" + BODY + b"XX0\r\n\r\n",
    "a malformed trailer": HEX + b"\r\n" + BODY + b"\r\n0\r\nbad trailer\r\n\r\n",
    "NUL in a trailer": HEX + b"\r\n" + BODY + b"\r\n0\r\nX: a\0\r\n\r\n",
    "a length in a trailer": HEX + b"\r\n" + BODY + b"\r\n0\r\nContent-Length: 5\r\n\r\n",
    "an endless extension": b"5;" + b"a" * 600_000,
    "endless trailers": HEX + b"\r\n" + BODY + b"\r\n0\r\n" + b"X-A: b\r\n" * 80_000,
}
for name, chunks in CHUNKS.items():
    CASES[f"chunk, {name}"] = bad(call(TE, chunks))
for name in ("no number", "more than 64 bits", "bare LF"):
    CASES[f"chunk on a page, {name}"] = bad(PAGE + HOST + TE + b"\r\n" + CHUNKS[name])
CASES |= {
    "chunk extensions": fine(call(TE, HEX + b";a=b\r\n" + BODY + b"\r\n0;c\r\n\r\n")),
    "trailers": fine(call(TE, CHUNKED[:-2] + b"X-Trailer: a\r\n\r\n")),
    "a key that comes as a trailer": answered(
        CALL + HOST + TE + b"\r\n" + CHUNKED[:-2] + KEY + b"\r\n", 401
    ),
    "a Host that comes as a trailer": bad(
        CALL + KEY + TE + b"\r\n" + CHUNKED[:-2] + HOST + b"\r\n",
    ),
}

# Heads.
FIELDS = {
    "bare CR": b"X-A: a\rb\r\n",
    "NUL": b"X-A: a\0b\r\n",
    "control character": b"X-A: a\x01b\r\n",
    "DEL": b"X-A: a\x7fb\r\n",
    "fold": b"X-A: a\r\n b\r\n",
    "NUL in a name": b"X\0A: a\r\n",
    "8-bit name": b"X\xe9: a\r\n",
    "no name": b": a\r\n",
    "no colon": b"Xa\r\n",
    "space in a name": b"X A: a\r\n",
    "space after a name": b"X-A : a\r\n",
    "tab before a name": b"\tX-A: a\r\n",
    "bare LF": b"X-A: a\n",
}
for name, fields in FIELDS.items():
    CASES[f"field, {name}"] = bad(call(fields))
    CASES[f"field on a page, {name}"] = bad(get(fields))
MANY = b"".join(b"X-%d: a\r\n" % number for number in range(5_000))
CASES |= {
    "8-bit value": fine(call(b"X-A: \xff\xfe\r\n")),
    "LF only": bad(call().replace(b"\r\n", b"\n")),
    "a space before the first field": bad(CALL + b" Host: h\r\n\r\n"),
    "128 KiB of one field": bad(call(b"X-A: " + b"a" * 131_072 + b"\r\n"), 431),
    "128 KiB of one field on a page": bad(get(b"X-A: " + b"a" * 131_072 + b"\r\n"), 431),
    "700 KiB of one field": bad(call(b"X-A: " + b"a" * 700_000 + b"\r\n"), 431),
    "90 fields of 1 KiB": bad(call((b"X-A: " + b"a" * 1_024 + b"\r\n") * 90), 431),
    "5,000 fields": bad(call(MANY), 431),
    "5,000 fields on a page": bad(get(MANY), 431),
}
HOSTS = {
    "no": b"",
    "two": b"Host: a\r\nHost: b\r\n",
    "the same twice": b"Host: a\r\nHost: a\r\n",
    "with a path": b"Host: x/?\r\n",
    "with a fragment": b"Host: x/#\r\n",
    "with a user": b"Host: user@x\r\n",
    "empty": b"Host: \r\n",
    "with a space": b"Host: a b\r\n",
    "list": b"Host: a,b\r\n",
    "with a bad port": b"Host: a:99999999\r\n",
    "with an escape": b"Host: a%2eb\r\n",
    "8-bit": b"Host: \xc3\xa9\r\n",
}
for name, host in HOSTS.items():
    CASES[f"{name} Host"] = bad(call(host=host))
    CASES[f"{name} Host on a page"] = bad(get(host=host))
CASES["an IPv6 Host"] = fine(call(host=b"Host: [::1]:8090\r\n"))

# Request lines.
BAD_LINES = {
    "a lower-case method": b"post /v1/chat/completions HTTP/1.1\r\n",
    "a mixed-case method": b"Post /v1/chat/completions HTTP/1.1\r\n",
    "an unknown method": b"FOO /v1/chat/completions HTTP/1.1\r\n",
    "a tab": b"POST\t/v1/chat/completions HTTP/1.1\r\n",
    "a leading space": b" POST /v1/chat/completions HTTP/1.1\r\n",
    "a space in the path": b"POST /v1/chat completions HTTP/1.1\r\n",
    "a trailing space": b"POST /v1/chat/completions HTTP/1.1 \r\n",
    "HTTP/1.2": b"POST /v1/chat/completions HTTP/1.2\r\n",
    "HTTP/0.9": b"POST /v1/chat/completions HTTP/0.9\r\n",
    "HTTP/2.0": b"POST /v1/chat/completions HTTP/2.0\r\n",
    "HTTP/3.0": b"POST /v1/chat/completions HTTP/3.0\r\n",
    "HTTP/11": b"POST /v1/chat/completions HTTP/11\r\n",
    "http/1.1": b"POST /v1/chat/completions http/1.1\r\n",
    "no version": b"POST /v1/chat/completions\r\n",
    "a relative path": b"POST v1/chat/completions HTTP/1.1\r\n",
    "a fragment": b"POST /v1/chat/completions#a HTTP/1.1\r\n",
    "a fragment after a query": b"POST /v1/chat/completions?a#b HTTP/1.1\r\n",
    "a URL with a user": b"POST http://user@hub.test/v1/chat/completions HTTP/1.1\r\n",
    "another scheme": b"POST ftp://hub.test/v1/chat/completions HTTP/1.1\r\n",
    "UTF-8 in the path": b"POST /v1/\xc3\xa9 HTTP/1.1\r\n",
    "0xFF in the path": b"POST /v1/\xff HTTP/1.1\r\n",
    "NUL in the path": b"POST /v1/a\0b HTTP/1.1\r\n",
    "DEL in the path": b"POST /v1/a\x7fb HTTP/1.1\r\n",
    "CONNECT to a host": b"CONNECT example.com:443 HTTP/1.1\r\n",
    "CONNECT to a path": b"CONNECT /v1/chat/completions HTTP/1.1\r\n",
}
for name, line in BAD_LINES.items():
    CASES[f"line, {name}"] = bad(sized(line))
GOOD_LINES = {
    "a whole URL": b"POST http://hub.test/v1/chat/completions HTTP/1.1\r\n",
    "a query": b"POST /v1/chat/completions?api-version=1 HTTP/1.1\r\n",
    "escaped slashes": b"POST /v1%2Fchat%2Fcompletions HTTP/1.1\r\n",
    "an escaped letter": b"POST /v1/chat/completion%73 HTTP/1.1\r\n",
    "the mount point": b"POST /ai-kit/v1/chat/completions HTTP/1.1\r\n",
    "empty lines before": b"\r\n\r\nPOST /v1/chat/completions HTTP/1.1\r\n",
}
for name, line in GOOD_LINES.items():
    CASES[f"line, {name}"] = fine(sized(line))
OTHER_LINES = {
    "two slashes first": (b"POST //v1/chat/completions HTTP/1.1\r\n", 404),
    "two slashes within": (b"POST /v1//chat/completions HTTP/1.1\r\n", 404),
    "dot segments": (b"POST /v1/./chat/completions HTTP/1.1\r\n", 404),
    "parent segments": (b"POST /x/../v1/chat/completions HTTP/1.1\r\n", 404),
    "escaped parent segments": (b"POST /x/%2e%2e/v1/chat/completions HTTP/1.1\r\n", 404),
    "a slash at the end": (b"POST /v1/chat/completions/ HTTP/1.1\r\n", 404),
    "an escaped NUL": (b"POST /v1/chat/completions%00 HTTP/1.1\r\n", 404),
    "an escape that is not UTF-8": (b"POST /v1/%ff HTTP/1.1\r\n", 404),
    "a broken escape": (b"POST /v1/%zz HTTP/1.1\r\n", 404),
    "an escape escaped": (b"POST /v1%252Fchat%252Fcompletions HTTP/1.1\r\n", 404),
    "the mount point twice": (b"POST /ai-kit/ai-kit/v1/chat/completions HTTP/1.1\r\n", 404),
    "the mount point run on": (b"POST /ai-kitv1/chat/completions HTTP/1.1\r\n", 404),
    "an asterisk": (b"OPTIONS * HTTP/1.1\r\n", 404),
    "PUT": (b"PUT /v1/chat/completions HTTP/1.1\r\n", 405),
    "DELETE": (b"DELETE /v1/chat/completions HTTP/1.1\r\n", 405),
    "PATCH": (b"PATCH /v1/chat/completions HTTP/1.1\r\n", 405),
    "TRACE": (b"TRACE /v1/chat/completions HTTP/1.1\r\n", 405),
    "OPTIONS": (b"OPTIONS /v1/chat/completions HTTP/1.1\r\n", 405),
    "PROPFIND": (b"PROPFIND /v1/chat/completions HTTP/1.1\r\n", 405),
    "GET": (b"GET /v1/chat/completions HTTP/1.1\r\n", 405),
}
for name, (line, status) in OTHER_LINES.items():
    CASES[f"line, {name}"] = answered(sized(line), status)
CASES |= {
    "a 9 KiB target": bad(sized(b"POST /v1/x?" + b"a" * 9_216 + b" HTTP/1.1\r\n"), 414),
    "a 9 KiB target of a page": bad(get(line=b"GET /" + b"a" * 9_216 + b" HTTP/1.1\r\n"), 414),
    "HTTP/0.9": bad(b"GET /health/live\r\n\r\n"),
    "HTTP/2": bad(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
    "TLS": bad(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 50),
    "HTTP/1.0": fine(call(line=b"POST /v1/chat/completions HTTP/1.0\r\n"), end="closed"),
    "HTTP/1.0 without Host": fine(
        call(line=b"POST /v1/chat/completions HTTP/1.0\r\n", host=b""), end="closed"
    ),
    "HTTP/1.0 with two Hosts": bad(
        call(line=b"POST /v1/chat/completions HTTP/1.0\r\n", host=HOST + HOST)
    ),
    "HTTP/1.0 keep-alive": fine(
        call(b"Connection: keep-alive\r\n", line=b"POST /v1/chat/completions HTTP/1.0\r\n"),
        end="closed",
    ),
    "a page in HTTP/1.0": fine(
        get(line=b"GET /health/live HTTP/1.0\r\n", host=b""), end="closed", served=0
    ),
}

# Several requests on one connection: the second is not read, and its client may send it again.
CASES |= {
    "two calls at once": Case(call() + call(), (200,), "closed", 1),
    "a call and a page at once": Case(call() + get(), (200,), "closed", 1),
    "a page and a call at once": Case(get() + call(), (200,)),
    "three pages at once": Case(get() * 3, (200,)),
    "a call after close": Case(call(b"Connection: close\r\n") + call(), (200,), "closed", 1),
    "a page after close": Case(get(b"Connection: close\r\n") + get(), (200,)),
    "junk behind a call": Case(call() + b"\0\1junk\r\n\r\n", (200,), "closed", 1),
    "junk behind a page": Case(get() + b"\0\1junk\r\n\r\n", (200,)),
    "a bad request behind a call": Case(call() + call(b"X A: b\r\n"), (200,), "closed", 1),
    "2 MiB behind a call": Case(call() + get() + b"a" * 2_097_152, (200,), "closed", 1),
}

# Expect and Upgrade.
NO_KEY = CALL + HOST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n"
CASES |= {
    "continue and a body": fine(call(b"Expect: 100-continue\r\n")),
    "no continue for a stranger": Case(NO_KEY, (401,)),
    "no continue for too much": Case(
        CALL + HOST + KEY + b"Expect: 100-continue\r\nContent-Length: 4000000\r\n\r\n", (413,)
    ),
    "another expectation": fine(call(b"Expect: something-else\r\n")),
    "a call that could be a websocket": fine(call(WEBSOCKET)),
    "a call that could be h2c": fine(
        call(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")
    ),
    "a chunked call that could be h2c": fine(
        call(b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + TE, CHUNKED)
    ),
    "a websocket": fine(get(WEBSOCKET), served=0),
    "a websocket of the data plane": fine(get(KEY + WEBSOCKET, line=MODELS), served=0),
    "a websocket and a page": Case(get(WEBSOCKET) + get(), (200,)),
    "a page and a websocket": Case(get() + get(WEBSOCKET), (200,)),
    "a websocket with two Hosts": bad(get(WEBSOCKET + HOST)),
}
