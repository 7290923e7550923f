"""did:key: one text for each public key."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.crypto import base58, custodial, did_key
from aigne_hub.crypto.did import InvalidDid
from aigne_hub.crypto.did import parse as parse_abt
from aigne_hub.crypto.did_key import Codec, DidKey, parse

P = 2**255 - 19
# Examples of the method's specification (https://w3c-ccg.github.io/did-key-spec/).
KNOWN = {
    "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK": Codec.ED25519,
    "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme": Codec.SECP256K1,
    "did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169": Codec.P256,
}


def text_of(data: bytes) -> str:
    return "did:key:z" + base58.encode(data)


@pytest.mark.parametrize("text", KNOWN)
def test_the_examples_of_the_specification(text: str):
    found = parse(text)
    assert found.codec is KNOWN[text]
    assert str(found) == text
    assert did_key.of(found.codec, found.public_key) == found


@given(st.binary(min_size=32, max_size=32))
def test_an_ed25519_key_survives_a_round_trip(seed: bytes):
    identity = custodial.new_identity(custodial.RoleType.ACCOUNT, lambda _: seed)
    key = did_key.of(Codec.ED25519, identity.public_key)
    assert parse(str(key)) == key


@pytest.mark.parametrize(
    ("curve", "codec"), [(ec.SECP256K1(), Codec.SECP256K1), (ec.SECP256R1(), Codec.P256)]
)
def test_a_compressed_point_survives_a_round_trip(curve: ec.EllipticCurve, codec: Codec):
    for number in range(1, 20):
        public = ec.derive_private_key(number, curve).public_key()
        point = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        key = DidKey(codec, point)
        assert parse(str(key)) == key
        uncompressed = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        with pytest.raises(InvalidDid, match="65 bytes are no"):
            parse(text_of(codec.prefix + uncompressed))


def test_the_multicodec_and_the_length_belong_together():
    ed25519, secp256k1, _ = (parse(text).public_key for text in KNOWN)
    for data in (
        b"\xe7\x01" + ed25519,
        b"\xed\x01" + secp256k1,
        b"\xed\x01" + ed25519[:-1],
        b"\xed\x01" + ed25519 + b"\0",
        b"\xed\x81\x00" + ed25519,  # the same multicodec as a longer varint
        b"\xed" + ed25519,
        b"\xec\x01" + ed25519,  # X25519
        b"\x12\x00" + ed25519,
        b"",
    ):
        with pytest.raises(InvalidDid):
            parse(text_of(data))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(":z", ":z1"),
        lambda text: text + "1",
        lambda text: text + "#" + text[8:],
        lambda text: text.replace(":z", ":Z"),
        lambda text: text.replace("did:key", "did:KEY"),
        lambda text: text.replace("did:key:", ""),
        lambda text: text + "\n",
        lambda text: text.replace("6", "0"),
        lambda text: text[:-1],
        lambda text: text + "z" * 200,
    ],
)
@pytest.mark.parametrize("text", KNOWN)
def test_a_key_has_one_text(text: str, spoil):
    if spoil(text) == text:
        return
    with pytest.raises(InvalidDid):
        parse(spoil(text))


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("y", sorted(custodial._SMALL_ORDER_Y))
def test_points_of_small_order_are_nobody(y: int, sign: int):
    encoded = bytearray(y.to_bytes(32, "little"))
    encoded[31] |= sign
    with pytest.raises(InvalidDid, match="no point by which somebody can be known"):
        parse(text_of(b"\xed\x01" + encoded))


@pytest.mark.parametrize("y", [P + 2, P + 3, P + 18, 2**255 - 1])
def test_a_second_encoding_of_an_ed25519_point_is_refused(y: int):
    with pytest.raises(InvalidDid):
        parse(text_of(b"\xed\x01" + y.to_bytes(32, "little")))


def test_half_of_all_bytes_are_no_point_of_ed25519():
    sound = [custodial.is_sound(number.to_bytes(32, "little")) for number in range(2, 200)]
    assert 60 < sum(sound) < 140


def test_bytes_that_are_no_point_of_their_curve_are_refused():
    for codec in (Codec.SECP256K1, Codec.P256):
        for data in (b"\x02" + b"\xff" * 32, b"\x05" + bytes(31) + b"\1", bytes(33)):
            with pytest.raises(InvalidDid, match="no point of its curve"):
                parse(text_of(codec.prefix + data))


@pytest.mark.parametrize(
    "text",
    [
        "did:web:127.0.0.1%3A1",
        "did:ethr:0x1",
        "did:ion:x",
        "did:plc:x",
        "did:key",
        "did:",
        "did::z1",
    ],
)
def test_no_did_is_looked_up_anywhere(text: str, monkeypatch: pytest.MonkeyPatch):
    """A resolver would fetch what a stranger names."""

    def refuse(*_: object) -> None:
        raise AssertionError(text)

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(InvalidDid):
        parse(text)
    with pytest.raises(InvalidDid):
        parse_abt(text)


@given(st.text(max_size=150))
def test_any_text_is_refused_cleanly(text: str):
    with pytest.raises(InvalidDid):
        parse("did:key:z" + text + "\0")
