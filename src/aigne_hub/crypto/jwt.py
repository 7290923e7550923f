"""JSON Web Tokens signed with an RSA key (RFC 7515, RFC 7518 section 3.3: RS256)."""

import base64
import json
from collections.abc import Mapping


def signed_rs256(claims: Mapping[str, object], key_id: str, private_key: str) -> str:
    """Return the compact form of a token. Raises ValueError for what is no RSA key in PEM."""
    # A tenth of a second and some MiB, for the few hubs that sign.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - as above

    try:
        key = load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the private key is not one in PEM, without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the private key is not an RSA key")  # noqa: TRY004 - a value of theirs, not a type of ours
    head = {"alg": "RS256", "typ": "JWT", "kid": key_id}
    signed = f"{_part(head)}.{_part(claims)}"
    signature = key.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{_encoded(signature)}"


def _part(value: Mapping[str, object]) -> str:
    return _encoded(json.dumps(value, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
