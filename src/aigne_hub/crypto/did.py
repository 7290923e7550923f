"""The `did:abt` codec: the address of a public key, and what an address says.

A typed address is 26 bytes: type (role 6 bits, key 5, hash 5), the first 20 bytes of
H(public key), the first 4 bytes of H(type and those 20) as a checksum, H being the hash that
the type names. Its text is `z` and base58, or `0x` and hex. An Ethereum address is `0x` and
20 bytes, has no type, and its checksum is the case of its letters (EIP-55).
Source: the ABT DID specification, https://arcblock.github.io/abt-did-spec.
"""

import hashlib
import re
from dataclasses import dataclass
from enum import IntEnum

from aigne_hub.crypto import base58, keccak

ADDRESS_BYTES = 26
DID_TEXT_MAX = 100  # the longest, did:spaces: with a hex address, has 65 characters
PASSKEY_KEY_MAX_BYTES = 1024  # a COSE key; RSA-4096 needs some 530

_METHOD = "did:abt:"
_METHODS = frozenset({"abt", "afs", "aos", "spaces"})
_HASH_BYTES = 20
_ETHEREUM = re.compile(r"0x[0-9a-fA-F]{40}")
_TYPED_HEX = re.compile(r"0x[0-9a-f]{52}")
_SECP256K1_UNCOMPRESSED = 0x04


class KeyType(IntEnum):
    ED25519 = 0
    SECP256K1 = 1
    ETHEREUM = 2
    PASSKEY = 3


class HashType(IntEnum):
    KECCAK = 0
    SHA3 = 1
    KECCAK_384 = 2
    SHA3_384 = 3
    KECCAK_512 = 4
    SHA3_512 = 5
    SHA2 = 6


_HASHLIB_NAMES = {
    HashType.SHA3: "sha3_256",
    HashType.SHA3_384: "sha3_384",
    HashType.SHA3_512: "sha3_512",
    HashType.SHA2: "sha256",
}
_KECCAK_BITS: dict[HashType, keccak.KeccakBits] = {
    HashType.KECCAK: 256,
    HashType.KECCAK_384: 384,
    HashType.KECCAK_512: 512,
}


class RoleType(IntEnum):
    ACCOUNT = 0
    NODE = 1
    DEVICE = 2
    APPLICATION = 3
    SMART_CONTRACT = 4
    BOT = 5
    ASSET = 6
    STAKE = 7
    VALIDATOR = 8
    GROUP = 9
    TX = 10
    TETHER = 11
    SWAP = 12
    DELEGATION = 13
    VC = 14
    BLOCKLET = 15
    STORE = 16
    TOKEN = 17
    FACTORY = 18
    ROLLUP = 19
    STORAGE = 20
    PROFILE = 21
    PASSKEY = 22
    TOKEN_FACTORY = 23
    PROVIDER = 24
    ANY = 63


_SHA2_ROLES = frozenset({RoleType.NODE, RoleType.VALIDATOR, RoleType.TETHER, RoleType.SWAP})


class InvalidDid(ValueError):
    """The text is not a DID or address. `cause` says why, in words safe to show."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"not a valid DID: {cause}")
        self.cause = cause


@dataclass(frozen=True, slots=True)
class DidType:
    """What an identity is and how its address is made.

    Roles node, validator, tether and swap always hash with SHA2, whatever is asked for. An
    Ethereum address has no room for a type, so any type but account and KECCAK is refused
    with ValueError.
    """

    role: RoleType = RoleType.ACCOUNT
    key: KeyType = KeyType.ED25519
    hash: HashType = HashType.SHA3

    def __post_init__(self) -> None:
        if self.role in _SHA2_ROLES:
            object.__setattr__(self, "hash", HashType.SHA2)
        if self.key is KeyType.ETHEREUM and (
            self.role is not RoleType.ACCOUNT or self.hash is not HashType.KECCAK
        ):
            raise ValueError("an Ethereum identity is an account and hashes with KECCAK")


ETHEREUM_TYPE = DidType(RoleType.ACCOUNT, KeyType.ETHEREUM, HashType.KECCAK)


@dataclass(frozen=True, slots=True)
class Did:
    """A checked identity. Two spellings of one identity parse to equal values.

    `address` is its canonical text: base58, or for Ethereum the EIP-55 spelling.
    `public_key_hash` has 20 bytes.
    """

    address: str
    type: DidType
    public_key_hash: bytes


def hash_of(hash_type: HashType, data: bytes) -> bytes:
    """Return the digest of `data`; SHA2 is one round of SHA-256, as DIDs use it."""
    bits = _KECCAK_BITS.get(hash_type)
    if bits is not None:
        return keccak.digest(data, bits)
    return hashlib.new(_HASHLIB_NAMES[hash_type], data).digest()


def address_of(public_key: bytes, did_type: DidType) -> str:
    """Return the canonical address of a public key.

    Key shapes: Ed25519 32 bytes; secp256k1 65 bytes, uncompressed, with its 0x04; Ethereum 64
    bytes, the same point without it; passkey a COSE key. Raises ValueError for another shape.
    """
    if not _has_shape_of(public_key, did_type.key):
        raise ValueError(
            f"{len(public_key)} bytes are not an uncompressed public key of type"
            f" {did_type.key.name}"
        )
    return _address(_hash_of_key(public_key, did_type), did_type)


def did_of(address: str) -> str:
    """Return `did:abt:` and the canonical spelling of an address. Raises InvalidDid."""
    return _METHOD + parse(address).address


def matches(did: Did | str, public_key: bytes) -> bool:
    """Tell whether `public_key` is the key the identity was made from.

    A key of another shape does not match. Raises InvalidDid for a text that is not a DID.
    """
    identity = did if isinstance(did, Did) else parse(did)
    return (
        _has_shape_of(public_key, identity.type.key)
        and _hash_of_key(public_key, identity.type) == identity.public_key_hash
    )


def parse(did_or_address: str) -> Did:
    """Return the identity that a DID or a bare address names.

    Strict: a known method (abt, afs, aos, spaces), known enum values, exactly 26 bytes, a right
    checksum, one spelling each in base58 and lower-case hex. An Ethereum address in mixed case
    must have the right case. Raises InvalidDid.
    """
    if len(did_or_address) > DID_TEXT_MAX:
        raise InvalidDid(f"longer than {DID_TEXT_MAX} characters")
    address = _without_method(did_or_address)
    if _ETHEREUM.fullmatch(address):
        return _parse_ethereum(address)
    return _parse_typed(_typed_bytes(address))


def _without_method(text: str) -> str:
    if not text.startswith("did:"):
        return text
    method, colon, address = text.removeprefix("did:").partition(":")
    if not colon or method not in _METHODS:
        raise InvalidDid(f"the method is none of {', '.join(sorted(_METHODS))}")
    return address


def _typed_bytes(address: str) -> bytes:
    if address.startswith("0x"):
        if not _TYPED_HEX.fullmatch(address):
            raise InvalidDid("after 0x come neither 40 hex digits nor 52 lower-case ones")
        return bytes.fromhex(address[2:])
    if not address.startswith("z"):
        raise InvalidDid("an address starts with z or 0x")
    try:
        data = base58.decode(address[1:])
    except ValueError as error:
        raise InvalidDid(f"after the z, {error}") from None
    if len(data) != ADDRESS_BYTES:
        raise InvalidDid(f"the address has {len(data)} bytes, not {ADDRESS_BYTES}")
    return data


def _parse_typed(data: bytes) -> Did:
    bits = int.from_bytes(data[:2])
    try:
        role, key, hash_type = (
            RoleType(bits >> 10),
            KeyType(bits >> 5 & 0b11111),
            HashType(bits & 0b11111),
        )
    except ValueError as error:
        raise InvalidDid(f"unknown type bits: {error}") from None
    if key is KeyType.ETHEREUM:
        raise InvalidDid("an Ethereum address carries no type")
    did_type = DidType(role, key, hash_type)
    if did_type.hash is not hash_type:
        raise InvalidDid(f"role {role.name} hashes with {did_type.hash.name}")
    public_key_hash = data[2 : 2 + _HASH_BYTES]
    if _typed_address_bytes(public_key_hash, did_type) != data:
        raise InvalidDid("the checksum is wrong")
    return Did(_address(public_key_hash, did_type), did_type, public_key_hash)


def _parse_ethereum(address: str) -> Did:
    public_key_hash = bytes.fromhex(address[2:])
    canonical = _address(public_key_hash, ETHEREUM_TYPE)
    digits = address[2:]
    one_case = digits in {digits.lower(), digits.upper()}
    if not one_case and address != canonical:
        raise InvalidDid("the case of the letters is not their EIP-55 checksum")
    return Did(canonical, ETHEREUM_TYPE, public_key_hash)


def _has_shape_of(public_key: bytes, key: KeyType) -> bool:
    match key:
        case KeyType.ED25519:
            return len(public_key) == 32
        case KeyType.SECP256K1:
            return len(public_key) == 65 and public_key[0] == _SECP256K1_UNCOMPRESSED
        case KeyType.ETHEREUM:
            return len(public_key) == 64
        case KeyType.PASSKEY:
            return 0 < len(public_key) <= PASSKEY_KEY_MAX_BYTES


def _hash_of_key(public_key: bytes, did_type: DidType) -> bytes:
    digest = hash_of(did_type.hash, public_key)
    return digest[-_HASH_BYTES:] if did_type.key is KeyType.ETHEREUM else digest[:_HASH_BYTES]


def _address(public_key_hash: bytes, did_type: DidType) -> str:
    if did_type.key is KeyType.ETHEREUM:
        return _eip55(public_key_hash)
    return "z" + base58.encode(_typed_address_bytes(public_key_hash, did_type))


def _typed_address_bytes(public_key_hash: bytes, did_type: DidType) -> bytes:
    bits = did_type.role << 10 | did_type.key << 5 | did_type.hash
    body = bits.to_bytes(2) + public_key_hash
    return body + hash_of(did_type.hash, body)[:4]


def _eip55(public_key_hash: bytes) -> str:
    """A letter is upper case where the hash of the lower-case text has a digit of 8 or more."""
    lower = public_key_hash.hex()
    guide = keccak.digest(lower.encode(), 256).hex()
    return "0x" + "".join(
        letter.upper() if digit >= "8" else letter
        for letter, digit in zip(lower, guide, strict=False)
    )
