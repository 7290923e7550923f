"""The examples of RFC 9421, appendix B, byte for byte, in the library the hub verifies with."""

import base64
from dataclasses import dataclass, field

import pytest
from http_message_signatures import HTTPMessageVerifier, InvalidSignature, MappingKeyResolver
from http_message_signatures.algorithms import ED25519, HMAC_SHA256
from http_message_signatures.digests import ContentDigest

BODY = b'{"hello": "world"}'
# B.1.4 and B.1.5
ED25519_PEM = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
"""
SECRET = base64.b64decode(
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
)
CREATED = 1618884473
# B.2.5 and B.2.6: what is covered, by which key, and the signature.
EXAMPLES = {
    "hmac": (
        '("date" "@authority" "content-type")',
        "test-shared-secret",
        "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
        HMAC_SHA256,
    ),
    "ed25519": (
        '("date" "@method" "@path" "@authority" "content-type" "content-length")',
        "test-key-ed25519",
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
        ED25519,
    ),
}
BASES = {
    "hmac": (
        '"date": Tue, 20 Apr 2021 02:07:55 GMT\n'
        '"@authority": example.com\n'
        '"content-type": application/json\n'
        '"@signature-params": ("date" "@authority" "content-type")'
        ';created=1618884473;keyid="test-shared-secret"'
    ),
    "ed25519": (
        '"date": Tue, 20 Apr 2021 02:07:55 GMT\n'
        '"@method": POST\n'
        '"@path": /foo\n'
        '"@authority": example.com\n'
        '"content-type": application/json\n'
        '"content-length": 18\n'
        '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" '
        '"content-length");created=1618884473;keyid="test-key-ed25519"'
    ),
}


@dataclass
class Message:
    """The request of B.2."""

    headers: dict[str, str]
    method: str = "POST"
    url: str = "https://example.com/foo?param=Value&Pet=dog"


@dataclass
class Example:
    name: str
    message: Message = field(init=False)

    def __post_init__(self) -> None:
        covered, key_id, signature, _ = EXAMPLES[self.name]
        self.message = Message(
            {
                "Host": "example.com",
                "Date": "Tue, 20 Apr 2021 02:07:55 GMT",
                "Content-Type": "application/json",
                "Content-Digest": (
                    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyea"
                    "ldVLvRwEmTHWXvJwew==:"
                ),
                "Content-Length": "18",
                "Signature-Input": f'sig={covered};created={CREATED};keyid="{key_id}"',
                "Signature": f"sig=:{signature}:",
            }
        )

    def verified(self) -> str:
        keys = MappingKeyResolver(
            public_keys={"test-key-ed25519": ED25519_PEM, "test-shared-secret": SECRET},
            private_keys={},
        )
        verifier = HTTPMessageVerifier(
            signature_algorithm=EXAMPLES[self.name][3], key_resolver=keys
        )
        (result,) = verifier.verify(self.message, max_age=None)
        return "\n".join(f"{name}: {value}" for name, value in result.covered_components.items())


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_rfc_hold_byte_for_byte(name: str):
    assert Example(name).verified() == BASES[name]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("header", ["Date", "Content-Type", "Signature"])
def test_a_changed_example_does_not_hold(name: str, header: str):
    example = Example(name)
    value = example.message.headers[header]
    example.message.headers[header] = value[:8] + ("x" if value[8] != "x" else "y") + value[9:]
    with pytest.raises(InvalidSignature):
        example.verified()


def test_the_digest_of_the_rfc_is_the_bodys():
    value = Example("hmac").message.headers["Content-Digest"]
    ContentDigest.verify(value, BODY)
    for body in (b"", BODY + b"\n"):
        with pytest.raises(InvalidSignature):
            ContentDigest.verify(value, body)
