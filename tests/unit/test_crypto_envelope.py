import itertools
import os

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aigne_hub.crypto import envelope
from aigne_hub.crypto.envelope import Keyring, SealBroken, key_id_of

PLACE = {"table": "credential", "row": "r1", "column": "secret"}
SECRET = b"sk-proj-0123456789"
KEY_ID = "2026"
WRAP_AT = 2 + len(KEY_ID)
PAYLOAD_AT = WRAP_AT + 60
REGIONS = {
    "version": range(1),
    "length of the key id": range(1, 2),
    "key id": range(2, WRAP_AT),
    "nonce of the wrapping": range(WRAP_AT, WRAP_AT + 12),
    "wrapped key": range(WRAP_AT + 12, WRAP_AT + 44),
    "tag of the wrapping": range(WRAP_AT + 44, PAYLOAD_AT),
    "nonce of the payload": range(PAYLOAD_AT, PAYLOAD_AT + 12),
    "ciphertext": range(PAYLOAD_AT + 12, PAYLOAD_AT + 12 + len(SECRET)),
    "tag of the payload": range(PAYLOAD_AT + 12 + len(SECRET), PAYLOAD_AT + 28 + len(SECRET)),
}

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def keyring():
    return Keyring(os.urandom(32), key_id=KEY_ID, randbytes=os.urandom)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), names, names, names)
def test_what_was_sealed_opens(keyring, plaintext, table, row, column):
    sealed = keyring.seal(plaintext, table=table, row=row, column=column)
    assert keyring.open(sealed, table=table, row=row, column=column) == plaintext
    assert key_id_of(sealed) == KEY_ID


@settings(max_examples=60, deadline=None)
@given(st.tuples(names, names, names), st.tuples(names, names, names))
def test_it_opens_nowhere_else(keyring, place, other):
    assume(place != other)
    sealed = keyring.seal(SECRET, table=place[0], row=place[1], column=place[2])
    with pytest.raises(SealBroken, match="moved there from another place"):
        keyring.open(sealed, table=other[0], row=other[1], column=other[2])


@pytest.mark.parametrize(
    "other",
    [
        {"row": "r2"},
        {"column": "secret2"},
        {"table": "credential2"},
        {"table": "credentialr1", "row": ""},
        {"table": "credentia", "row": "lr1"},
        {"row": "r1s", "column": "ecret"},
        {"row": "secret", "column": "r1"},
    ],
)
def test_swapped_rows_and_shifted_boundaries_do_not_open(keyring, other):
    sealed = keyring.seal(SECRET, **PLACE)
    with pytest.raises((SealBroken, ValueError)):
        keyring.open(sealed, **PLACE | other)


def test_contexts_are_unambiguous():
    fields = ["a", "aa", "\x01a", "a\x01", "a\x01a"]
    contexts = [
        envelope._context(*each)
        for length in (1, 2, 3)
        for each in itertools.product(fields, repeat=length)
    ]
    assert len(set(contexts)) == len(contexts)


@pytest.mark.parametrize("region", REGIONS)
def test_a_change_in_any_byte_is_noticed(keyring, region):
    sealed = keyring.seal(SECRET, **PLACE)
    for position in REGIONS[region]:
        for flip in (0x01, 0x80):
            tampered = bytearray(sealed)
            tampered[position] ^= flip
            with pytest.raises(SealBroken):
                keyring.open(bytes(tampered), **PLACE)


def test_the_regions_cover_a_sealed_value(keyring):
    covered = [position for region in REGIONS.values() for position in region]
    assert covered == list(range(len(keyring.seal(SECRET, **PLACE))))


def test_no_truncation_and_no_extension_opens(keyring):
    sealed = keyring.seal(SECRET, **PLACE)
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            keyring.open(sealed[:length], **PLACE)
    with pytest.raises(SealBroken):
        keyring.open(sealed + b"\0", **PLACE)


def test_parts_of_two_values_of_one_place_do_not_mix(keyring):
    first, second = keyring.seal(b"first", **PLACE), keyring.seal(b"other", **PLACE)
    with pytest.raises(SealBroken, match=r"the payload of credential\.secret of row 'r1'"):
        keyring.open(first[:PAYLOAD_AT] + second[PAYLOAD_AT:], **PLACE)


def test_equal_secrets_look_unrelated(keyring):
    first, second = keyring.seal(SECRET, **PLACE), keyring.seal(SECRET, **PLACE)
    assert SECRET not in first
    for region in ("nonce of the wrapping", "wrapped key", "nonce of the payload", "ciphertext"):
        part = slice(REGIONS[region].start, REGIONS[region].stop)
        assert first[part] != second[part]


def test_another_key_is_named(keyring):
    other = Keyring(os.urandom(32), key_id="2027", randbytes=os.urandom)
    with pytest.raises(
        SealBroken, match="sealed with key '2026', and this hub runs with key '2027'"
    ):
        other.open(keyring.seal(SECRET, **PLACE), **PLACE)


def test_another_key_of_the_same_name_does_not_open(keyring):
    impostor = Keyring(os.urandom(32), key_id=KEY_ID, randbytes=os.urandom)
    with pytest.raises(SealBroken, match="sealed with another key called '2026'"):
        impostor.open(keyring.seal(SECRET, **PLACE), **PLACE)


def test_errors_hold_no_secret(keyring):
    sealed = bytearray(keyring.seal(SECRET, **PLACE))
    sealed[-1] ^= 1
    with pytest.raises(SealBroken) as caught:
        keyring.open(bytes(sealed), **PLACE)
    assert "sk-proj" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_rotation_leaves_the_payload_untouched(keyring):
    new = Keyring(os.urandom(32), key_id=None, randbytes=os.urandom)
    sealed = keyring.seal(SECRET, **PLACE)
    rewrapped = keyring.rewrap(sealed, to=new, **PLACE)
    assert key_id_of(rewrapped) == new.key_id
    assert rewrapped.endswith(sealed[PAYLOAD_AT:])
    assert new.open(rewrapped, **PLACE) == SECRET
    assert keyring.open(sealed, **PLACE) == SECRET
    with pytest.raises(SealBroken, match="sealed with key"):
        keyring.open(rewrapped, **PLACE)
    with pytest.raises(SealBroken, match="sealed with key"):
        keyring.rewrap(rewrapped, to=new, **PLACE)


def test_rotation_does_not_launder_a_moved_or_tampered_value(keyring):
    new = Keyring(os.urandom(32), key_id="2027", randbytes=os.urandom)
    sealed = bytearray(keyring.seal(SECRET, **PLACE))
    with pytest.raises(SealBroken, match="moved there"):
        keyring.rewrap(bytes(sealed), to=new, **PLACE | {"row": "r2"})
    sealed[-1] ^= 1
    rewrapped = keyring.rewrap(bytes(sealed), to=new, **PLACE)
    with pytest.raises(SealBroken, match="payload"):
        new.open(rewrapped, **PLACE)


def test_a_key_without_a_name_is_named_by_its_fingerprint():
    kek = os.urandom(32)
    first, again = (Keyring(kek, key_id=None, randbytes=os.urandom) for _ in range(2))
    other = Keyring(os.urandom(32), key_id=None, randbytes=os.urandom)
    assert first.key_id == again.key_id != other.key_id
    assert bytes.fromhex(first.key_id) not in kek
    assert again.open(first.seal(SECRET, **PLACE), **PLACE) == SECRET


def test_derived_keys_differ_by_purpose_and_key_and_last():
    kek = bytes(range(32))
    keyring = Keyring(kek, key_id="a", randbytes=os.urandom)
    renamed = Keyring(kek, key_id="b", randbytes=os.urandom)
    other = Keyring(bytes(32), key_id="a", randbytes=os.urandom)
    assert keyring.derive("api-key") == renamed.derive("api-key")
    derived = {keyring.derive("api-key"), keyring.derive("session"), other.derive("api-key"), kek}
    assert len(derived) == 4
    # A changed value here would make every stored API key unknown.
    assert keyring.derive("api-key").hex() == (
        "03f626f7b7d4452f28ae169c65dfc0110edf22a12a559277da88a9fe07751566"
    )


@pytest.mark.parametrize("purpose", ["", "x" * 65, "é", "a\nb"])
def test_purposes_are_plain_names(keyring, purpose):
    with pytest.raises(ValueError, match="a purpose is 1 to 64 printable ASCII characters"):
        keyring.derive(purpose)


@pytest.mark.parametrize("key_id", ["", "x" * 65, "é", "a\0b"])
def test_key_ids_are_plain_names(key_id):
    with pytest.raises(ValueError, match="a key id is 1 to 64 printable ASCII characters"):
        Keyring(bytes(32), key_id=key_id, randbytes=os.urandom)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_encryption_key_has_32_bytes(size):
    with pytest.raises(ValueError, match=f"has 32 bytes, got {size}"):
        Keyring(bytes(size), key_id=None, randbytes=os.urandom)


def test_the_limits_are_exact(keyring):
    largest = bytes(envelope.PLAINTEXT_MAX_BYTES)
    assert keyring.open(keyring.seal(largest, **PLACE), **PLACE) == largest
    with pytest.raises(ValueError, match="at most 65536 bytes"):
        keyring.seal(largest + b"\0", **PLACE)
    for name in ("", "x" * 256):
        with pytest.raises(ValueError, match="have 1 to 255 bytes each"):
            keyring.seal(SECRET, **PLACE | {"row": name})
    assert keyring.seal(SECRET, **PLACE | {"row": "x" * 255})


@given(st.binary(max_size=150))
def test_any_bytes_are_refused_cleanly(keyring, sealed):
    with pytest.raises(SealBroken):
        keyring.open(sealed, **PLACE)


def test_sealed_values_of_this_version_stay_readable():
    """A pinned value: whatever changes, hubs must open what earlier ones sealed."""
    keyring = Keyring(bytes(range(32)), key_id="pinned", randbytes=os.urandom)
    sealed = bytes.fromhex(
        "010670696e6e656433892414b130e8898787fdb6fd3a6e198e48eb6efc456a165ec94f3de37a1683"
        "6ef8f5ccbcc6dddbbbd07965f7c716f20f3a73ffdd657e9fa3dba75bb588427776d3b1d1c4b30fbb"
        "1e3ec9593e28d111fbc1aedb12e084503a04febe7cbee7350ac3039adb566a449e50"
    )
    assert keyring.open(sealed, **PLACE) == SECRET
