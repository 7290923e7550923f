"""Signatures of Standard Webhooks 1.0: HMAC-SHA-256 over id, time and body.

A receiver that knows the secret can tell that a message is ours, whole, and recent.
"""

import base64
import hmac
from collections.abc import Callable

SECRET_BYTES = 32

_MARK = "whsec_"


def new_secret(randbytes: Callable[[int], bytes]) -> str:
    """Make a secret. `randbytes(n)` returns n bytes from a cryptographically secure source."""
    return _MARK + base64.b64encode(randbytes(SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, at_s: int, body: bytes) -> str:
    """Return the value of `webhook-signature` for a message sent at a Unix second.

    `message_id` has no full stop. Raises ValueError for a text that is not a secret.
    """
    if not secret.startswith(_MARK):
        raise ValueError(f"a webhook secret begins with {_MARK}")
    key = base64.b64decode(secret.removeprefix(_MARK), validate=True)
    signed = b"%b.%d.%b" % (message_id.encode("ascii"), at_s, body)
    return f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"
