"""Access tokens as a forger would make them: over a hundred, each wrong in one way.

Sources of the ways: RFC 8725, RFC 9068 section 4, PortSwigger's list of JWT attacks
(https://portswigger.net/web-security/jwt), and what JSON readers disagree on (RFC 8259, 4).
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

from aigne_hub.crypto.jose.keys import Algorithm, NewKey, new_key, signed

ISSUER = "https://hub.example"
NOW_S = 1_767_225_600
ACCESS = "at+jwt"


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def written(value: object) -> str:
    return part(json.dumps(value, separators=(",", ":")).encode())


@dataclass(frozen=True)
class Mint:
    """A hub's two keys, an issuer, an instant, and who a token is for."""

    issuer: str = ISSUER
    now_s: int = NOW_S
    eddsa: NewKey = field(default_factory=lambda: new_key(Algorithm.EDDSA))
    es256: NewKey = field(default_factory=lambda: new_key(Algorithm.ES256))
    subject: str = "did:abt:z1subject"
    client_id: str = "client"
    grant_id: str = "grant"
    family_id: str | None = "family"

    @property
    def published(self) -> dict[str, tuple[str, dict[str, str]]]:
        return {key.id: (key.algorithm.value, key.public) for key in (self.eddsa, self.es256)}

    def claims(self, **changed: object) -> dict[str, Any]:
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": self.subject,
            "client_id": self.client_id,
            "scope": "inference models",
            "iat": self.now_s - 10,
            "exp": self.now_s + 3_000,
            "jti": "token",
            "gid": self.grant_id,
        }
        if self.family_id is not None:
            claims["fid"] = self.family_id
        claims |= changed
        return {name: value for name, value in claims.items() if value is not ...}

    def header(self, **changed: object) -> dict[str, Any]:
        header: dict[str, Any] = {"alg": "EdDSA", "kid": self.eddsa.id, "typ": ACCESS}
        header |= changed
        return {name: value for name, value in header.items() if value is not ...}

    def token(self, **changed: object) -> str:
        return self.raw(written(self.header()), written(self.claims(**changed)))

    def raw(self, header: str, claims: str, key: NewKey | None = None) -> str:
        """Return a token of these very parts, signed by a key of the hub."""
        return f"{header}.{claims}.{part(self.signature(f'{header}.{claims}', key))}"

    def signature(self, text: str, key: NewKey | None = None) -> bytes:
        by = key or self.eddsa
        known = json.loads(by.private)
        operation = import_key(known).get_op_key("sign")
        if by.algorithm is Algorithm.EDDSA:
            return operation.sign(text.encode())
        return jws.JWSRegistry.algorithms["ES256"].sign(text.encode(), import_key(known))

    def with_header(self, **changed: object) -> str:
        return self.raw(written(self.header(**changed)), written(self.claims()))

    def with_json(self, claims: str) -> str:
        return self.raw(written(self.header()), part(claims.encode()))

    def with_header_json(self, header: str) -> str:
        return self.raw(part(header.encode()), written(self.claims()))


def _hmac_with(mint: Mint, secret: bytes, **changed: object) -> str:
    text = f"{written(mint.header(alg='HS256', **changed))}.{written(mint.claims())}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def _foreign(mint: Mint, key: Any, algorithm: str, **header: object) -> str:
    text = f"{written(mint.header(alg=algorithm, **header))}.{written(mint.claims())}"
    signature = jws.JWSRegistry.algorithms[algorithm].sign(text.encode(), key)
    return f"{text}.{part(signature)}"


def _own_key(mint: Mint) -> tuple[Any, dict[str, str]]:
    key = OKPKey.generate_key("Ed25519")
    return key, {k: str(v) for k, v in key.as_dict(private=False).items()}


def _embedded(mint: Mint, name: str) -> str:
    key, public = _own_key(mint)
    values: dict[str, object] = {
        "jwk": public,
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/cert.pem",
        "x5c": ["MIIB"],
        "x5t": "abc",
        "x5t#S256": "abc",
    }
    return _foreign(mint, key, "Ed25519", **{name: values[name]})


def _pem(mint: Mint) -> bytes:
    return import_key(dict(mint.eddsa.public)).as_pem(private=False)


def _without_signature(mint: Mint) -> str:
    return mint.token().rpartition(".")[0] + "."


def _flipped(mint: Mint, at: int) -> str:
    head, claims, signature = mint.token().split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[at] ^= 1
    return f"{head}.{claims}.{part(bytes(raw))}"


def _swapped(mint: Mint) -> str:
    head, _, signature = mint.token().split(".")
    return f"{head}.{written(mint.claims(scope='admin'))}.{signature}"


def _high_order(mint: Mint) -> str:
    """Return a signature whose S is not below the group's order: malleable (RFC 8032, 5.1.7)."""
    head, claims, signature = mint.token().split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(raw[32:], "little") + order
    return f"{head}.{claims}.{part(raw[:32] + s.to_bytes(32, 'little'))}"


Make = Callable[[Mint], str]


def _text(name: str, value: object) -> tuple[str, Make]:
    return f"claims: {name} is {value!r:.40}", lambda mint: mint.token(**{name: value})


def _head(name: str, value: object) -> tuple[str, Make]:
    return f"header: {name} is {value!r:.40}", lambda mint: mint.with_header(**{name: value})


def forgeries() -> Iterator[tuple[str, Make]]:
    """Yield a name and a maker of each token that nobody may accept."""
    yield from _forged_algorithms()
    yield from _forged_keys()
    yield from _wrong_claims()
    yield from _ambiguous()


def _forged_algorithms() -> Iterator[tuple[str, Make]]:
    for name in ("none", "None", "NONE", "nOnE", "", " none"):
        yield (
            f"alg {name!r} without a signature",
            lambda m, n=name: f"{written(m.header(alg=n))}.{written(m.claims())}.",
        )
        yield (
            f"alg {name!r} with the old signature",
            lambda m, n=name: (
                f"{written(m.header(alg=n))}.{written(m.claims())}.{m.token().rpartition('.')[2]}"
            ),
        )
    yield "no signature at all", _without_signature
    yield (
        "HMAC with the public key as JSON",
        lambda m: _hmac_with(m, json.dumps(m.eddsa.public).encode()),
    )
    yield "HMAC with the public key as PEM", lambda m: _hmac_with(m, _pem(m))
    yield (
        "HMAC with the public key's bytes",
        lambda m: _hmac_with(m, base64.urlsafe_b64decode(m.eddsa.public["x"] + "==")),
    )
    yield "HMAC with nothing", lambda m: _hmac_with(m, b"")
    yield "HMAC with the key's id", lambda m: _hmac_with(m, m.eddsa.id.encode())
    for algorithm in ("HS256", "HS384", "HS512", "RS256", "PS256", "ES384", "ES512", "ES256K"):
        yield f"EdDSA signature said to be {algorithm}", lambda m, a=algorithm: m.with_header(alg=a)
    yield "EdDSA signature said to be ES256", lambda m: m.with_header(alg="ES256")
    yield "EdDSA in small letters", lambda m: m.with_header(alg="eddsa")
    yield "Ed25519 for EdDSA", lambda m: m.with_header(alg="Ed25519")
    yield (
        "ES256 with the other key's id",
        lambda m: m.raw(written(m.header(alg="ES256")), written(m.claims()), m.es256),
    )
    yield "alg a list", lambda m: m.with_header(alg=["EdDSA"])
    yield "alg null", lambda m: m.with_header(alg=None)
    yield "alg missing", lambda m: m.with_header(alg=...)


def _forged_keys() -> Iterator[tuple[str, Make]]:
    yield (
        "another Ed25519 key with our kid",
        lambda m: _foreign(m, OKPKey.generate_key("Ed25519"), "Ed25519"),
    )
    yield (
        "another P-256 key with our kid",
        lambda m: _foreign(m, ECKey.generate_key("P-256"), "ES256", kid=m.es256.id),
    )
    yield "an RSA key with our kid", lambda m: _foreign(m, RSAKey.generate_key(2048), "RS256")
    yield "another hub's token", lambda m: Mint(m.issuer, m.now_s).token()
    for name in ("jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"):
        yield f"its own key in {name}", lambda m, n=name: _embedded(m, n)
        yield f"our signature and a stray {name}", lambda m, n=name: m.with_header(**{n: "x"})
    paths = (
        "../../../dev/null",
        "/dev/null",
        "' OR '1'='1",
        "| ls",
        "https://evil.example/key",
        "\0",
        "",
        "a" * 600,
    )
    for path in paths:
        yield _head("kid", path)
    for value in (None, 1, ["a"], {"a": 1}, ...):
        yield _head("kid", value)
    yield (
        "the signature of another token",
        lambda m: f"{m.token().rpartition('.')[0]}.{m.token(jti='other').rpartition('.')[2]}",
    )
    for at in (0, 31, 32, 63):
        yield f"a bit of the signature's byte {at} flipped", lambda m, at=at: _flipped(m, at)
    yield "claims swapped under a signature", _swapped
    yield "an S beyond the order", _high_order
    yield (
        "an all-zero ES256 signature",
        lambda m: ".".join(
            (written(m.header(alg="ES256", kid=m.es256.id)), written(m.claims()), part(bytes(64)))
        ),
    )
    yield "an ES256 signature as DER", _der
    yield "a signature too short", lambda m: m.token()[:-4]
    yield "a signature too long", lambda m: m.token() + "AAAA"


def _der(mint: Mint) -> str:
    text = f"{written(mint.header(alg='ES256', kid=mint.es256.id))}.{written(mint.claims())}"
    raw = mint.signature(text, mint.es256)
    halves = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
    return f"{text}.{part(encode_dss_signature(*halves))}"


def _wrong_claims() -> Iterator[tuple[str, Make]]:
    for kind in ("JWT", "jwt", "id+jwt", "logout+jwt", "dpop+jwt", "at+JWT ", "", None, 1, ...):
        yield _head("typ", kind)
    for name in ("iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti", "gid"):
        yield _text(name, ...)
        yield _text(name, None)
    yield _text("iss", "https://other.example")
    yield "claims: iss with a slash", lambda m: m.token(iss=m.issuer + "/")
    yield "claims: iss in capitals", lambda m: m.token(iss=m.issuer.upper())
    yield "claims: iss a list", lambda m: m.token(iss=[m.issuer])
    yield _text("aud", "https://other.example")
    yield "claims: aud with a slash", lambda m: m.token(aud=m.issuer + "/")
    yield "claims: aud a list of the hub", lambda m: m.token(aud=[m.issuer])
    yield "claims: aud a list with another", lambda m: m.token(aud=[m.issuer, "https://b.example"])
    yield "claims: aud the client, as an ID token has it", lambda m: m.token(aud=m.client_id)
    yield _text("aud", "*")
    yield "claims: exp a text", lambda m: m.token(exp=str(m.now_s + 3_000))
    yield "claims: exp a date", lambda m: m.token(exp="2099-01-01T00:00:00Z")
    yield "claims: exp with a fraction", lambda m: m.token(exp=m.now_s + 3_000.5)
    yield "claims: exp passed", lambda m: m.token(exp=m.now_s - 1)
    yield "claims: exp now", lambda m: m.token(exp=m.now_s)
    yield "claims: exp beyond an hour", lambda m: m.token(exp=m.now_s + 3_700)
    yield "claims: exp before iat", lambda m: m.token(exp=m.now_s + 20, iat=m.now_s + 30)
    yield _text("exp", True)
    yield _text("exp", -1)
    yield _text("exp", 10**30)
    yield "claims: iat ahead", lambda m: m.token(iat=m.now_s + 120, exp=m.now_s + 600)
    yield "claims: iat a text", lambda m: m.token(iat=str(m.now_s))
    yield _text("iat", 0)
    yield _text("scope", "")
    yield _text("scope", "inference everything")
    yield _text("scope", ["inference"])
    yield _text("sub", "")
    yield _text("sub", 7)
    yield _text("jti", "")
    yield _text("gid", {"a": 1})
    yield _text("fid", None)
    yield "claims: nbf, which nobody reads", lambda m: m.token(nbf=m.now_s + 600)
    yield _text("cnf", {"jkt": "abc"})
    yield _text("sub", "a" * 3_000)


def _ambiguous() -> Iterator[tuple[str, Make]]:
    yield _head("crit", ["exp"])
    yield _head("crit", ["b64"])
    yield _head("crit", [])
    yield "header: b64 false", lambda m: m.with_header(b64=False, crit=["b64"])
    yield _head("zip", "DEF")
    yield _head("cty", "JWT")
    yield _head("enc", "A128GCM")
    yield (
        "header: alg twice",
        lambda m: m.with_header_json(
            f'{{"alg":"none","alg":"EdDSA","kid":"{m.eddsa.id}","typ":"at+jwt"}}'
        ),
    )
    yield (
        "header: kid twice",
        lambda m: m.with_header_json(
            f'{{"alg":"EdDSA","kid":"x","kid":"{m.eddsa.id}","typ":"at+jwt"}}'
        ),
    )
    for name in ("sub", "aud", "iss", "exp", "scope"):
        yield (
            f"claims: {name} twice",
            lambda m, n=name: m.with_json(f'{{"{n}":"x",{json.dumps(m.claims())[1:]}'),
        )
    yield "claims: NaN", lambda m: m.with_json(json.dumps(m.claims(exp=float("nan"))))
    yield "claims: Infinity", lambda m: m.with_json(json.dumps(m.claims(exp=float("inf"))))
    yield "claims: a byte order mark", lambda m: m.with_json("\ufeff" + json.dumps(m.claims()))
    yield "claims: a list", lambda m: m.with_json("[]")
    yield "claims: a text", lambda m: m.with_json('"sub"')
    yield "claims: nothing", lambda m: m.with_json("")
    yield "claims: a comment", lambda m: m.with_json(json.dumps(m.claims()) + "// x")
    yield "claims: too deep", lambda m: m.with_json("[" * 3_000 + "]" * 3_000)
    yield "claims: broken UTF-8", lambda m: m.raw(written(m.header()), part(b'{"sub":"\xff"}'))
    yield "header: an empty object", lambda m: m.with_header_json("{}")
    yield "padding", lambda m: m.token() + "=="
    yield "space before", lambda m: m.token().replace(".", " .", 1)
    yield "a line break within", lambda m: m.token().replace(".", ".\n", 1)
    yield (
        "base64 of the other alphabet",
        lambda m: m.raw(written(m.header()), written(m.claims()) + "+/"),
    )
    yield "another spelling of the last character", _respelled
    yield "four parts", lambda m: m.token() + ".a"
    yield "two parts", lambda m: m.token().rpartition(".")[0]
    yield "five parts, as an encrypted token has", lambda m: m.token() + ".a.b"
    yield "only dots", lambda _: ".."
    yield "too long", lambda m: m.token() + "A" * 9_000


def _respelled(mint: Mint) -> str:
    """Return a token whose signature's last character has bits that mean nothing."""
    token = mint.token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) | 1]


def claims_of(token: str) -> dict[str, Any]:
    """Return what a token says, unverified."""
    text = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return claims


def id_token(mint: Mint) -> str:
    """Return an ID token of the hub, as its client has it."""
    return signed(
        {
            "iss": mint.issuer,
            "sub": mint.subject,
            "aud": mint.client_id,
            "iat": mint.now_s,
            "exp": mint.now_s + 600,
        },
        kind="JWT",
        key_id=mint.es256.id,
        algorithm=Algorithm.ES256,
        private=mint.es256.private,
    )
