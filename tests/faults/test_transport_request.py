"""What is written: origins and request heads, checked before anything is sent."""

import pytest

from aigne_hub import __version__
from aigne_hub.transport import Origin, request_head


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.x.com/v1", ("https", "api.x.com", 443, "/v1", b"api.x.com")),
        ("HTTP://API.X.com:80/v1/", ("http", "api.x.com", 80, "/v1", b"api.x.com")),
        ("https://api.x.com:80", ("https", "api.x.com", 80, "", b"api.x.com:80")),
        ("https://api.x.com./", ("https", "api.x.com", 443, "", b"api.x.com")),
        ("http://[::1]:9100/a/b", ("http", "::1", 9100, "/a/b", b"[::1]:9100")),
        ("http://my_host:65535", ("http", "my_host", 65535, "", b"my_host:65535")),
        (
            "https://xn--bcher-kva.test",
            ("https", "xn--bcher-kva.test", 443, "", b"xn--bcher-kva.test"),
        ),
    ],
)
def test_a_base_url_becomes_an_origin(url, expected):
    origin = Origin.parse(url)
    seen = (origin.scheme, origin.host, origin.port, origin.base_path, origin.host_header)
    assert seen == expected
    assert origin.tls is (origin.scheme == "https")
    assert origin.trusted is False


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "printable"),
        ("api.x.com", "http"),
        ("ftp://api.x.com", "http"),
        ("file:///etc/passwd", "http"),
        ("unix:///run/x.sock", "http"),
        ("https://", "no host"),
        ("https:///v1", "no host"),
        ("https://:443/", "no host"),
        ("https://secret:secret@api.x.com", "user name"),
        ("https://secret@api.x.com", "user name"),
        ("https://@api.x.com", "user name"),
        ("https://api.x.com/?a=b", "query"),
        ("https://api.x.com/v1?", "query"),
        ("https://api.x.com/#top", "fragment"),
        ("https://api.x.com:0/", "port"),
        ("https://api.x.com:/", "port"),
        ("https://api.x.com:65536/", "port"),
        ("https://api.x.com:-1/", "port"),
        ("https://api.x.com:8a/", "port"),
        ("https://api.x.com/ v1", "printable"),
        ("https://api.x.com/v1\r\nx: y", "printable"),
        ("https://api.x\t.com/", "printable"),
        ("https://bücher.test", "printable"),
        ("https://①②⑦.⓪.⓪.①/", "printable"),
        ("https://api.x.com\\@evil.test/", "user name|host name"),
        ("https://api..com/", "host name"),
        ("https://-api.com/", "host name"),
        ("https://a b.com/", "printable"),
        ("https://" + "a" * 64 + ".com/", "host name"),
        ("https://" + "a." * 127 + "com/", "host name"),
        ("https://api.x.com/a{b}", "percent-encoded"),
        ("http://[::1", "malformed"),
        ("http://[fe80::1%25eth0]/", "zone|IPv6|malformed"),
        ("http://[v1.x]/", "IPv6|malformed"),
    ],
)
def test_a_base_url_that_could_mislead_is_refused(url, reason):
    with pytest.raises(ValueError, match=reason) as raised:
        Origin.parse(url)
    assert "secret" not in str(raised.value)


def test_trust_and_scheme_and_port_tell_connections_apart_but_paths_do_not():
    parse = Origin.parse
    one = parse("https://x.test/a", trusted=True)
    assert one.key == parse("https://X.test:443/b", trusted=True).key
    others = [
        parse("https://x.test/a"),
        parse("http://x.test:443/a", trusted=True),
        parse("https://x.test:444/a", trusted=True),
        parse("https://y.test/a", trusted=True),
    ]
    assert len({one.key, *(other.key for other in others)}) == 5


def test_a_request_head_is_complete_but_for_its_length():
    origin = Origin.parse("https://api.x.com/v1")
    head = request_head(
        "POST", origin, "/chat?alt=sse", [("Authorization", "Bearer k"), ("x", "é")]
    )
    assert head == (
        b"POST /v1/chat?alt=sse HTTP/1.1\r\nhost: api.x.com\r\naccept-encoding: identity\r\n"
        b"authorization: Bearer k\r\nx: \xe9\r\nuser-agent: aigne-hub/%b\r\n" % __version__.encode()
    )
    mine = request_head("GET", origin, "/", [("User-Agent", "mine/1")])
    assert mine.endswith(b"user-agent: mine/1\r\n")
    assert mine.count(b"user-agent") == 1


@pytest.mark.parametrize(
    ("method", "path", "header"),
    [
        ("GET", "/", ("x", "a\r\nhost: evil")),
        ("GET", "/", ("x", "a\nb")),
        ("GET", "/", ("x", "a\rb")),
        ("GET", "/", ("x", "a\0b")),
        ("GET", "/", ("x", "\u20ac")),
        ("GET", "/", ("x y", "a")),
        ("GET", "/", ("x:", "a")),
        ("GET", "/", ("", "a")),
        ("GET", "/", ("x\r\ny", "a")),
        ("GET", "/", ("Host", "evil")),
        ("GET", "/", ("Content-Length", "0")),
        ("GET", "/", ("Transfer-Encoding", "chunked")),
        ("GET", "/", ("connection", "close")),
        ("GET", "/", ("accept-encoding", "br")),
        ("GET /x", "/", ("x", "a")),
        ("", "/", ("x", "a")),
        ("GET", "", ("x", "a")),
        ("GET", "x", ("x", "a")),
        ("GET", "/a b", ("x", "a")),
        ("GET", "/a\r\n", ("x", "a")),
        ("GET", "/a#b", ("x", "a")),
        ("GET", "/é", ("x", "a")),
    ],
)
def test_nothing_can_be_smuggled_into_a_head(method, path, header):
    with pytest.raises(ValueError, match=r"header|method|path") as raised:
        request_head(method, Origin.parse("http://x.test"), path, [header])
    assert "evil" not in str(raised.value)
