"""AWS's signature of requests, version 4.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html,
looked up in a stored copy in November 2026.
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


class Scope(NamedTuple):
    region: str
    service: str


def stamp(now_us: int) -> str:
    """Return an instant as `x-amz-date` has it."""
    return datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")


def authorisation(
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    key_id: str,
    secret: str,
    scope: Scope,
) -> str:
    """Return the `authorization` header of a request without a query.

    `path` is encoded as it is sent. `headers` are those that are signed, by lower-case names:
    `host` and `x-amz-date` are among them.
    """
    moment = headers["x-amz-date"]
    signed = ";".join(sorted(headers))
    request = "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),
            "",
            *(f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers)),
            "",
            signed,
            hashlib.sha256(body).hexdigest(),
        )
    )
    within = f"{moment[:8]}/{scope.region}/{scope.service}/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in within.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"{_ALGORITHM}\n{moment}\n{within}\n{digest}"
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{_ALGORITHM} Credential={key_id}/{within}"
    return f"{credential}, SignedHeaders={signed}, Signature={signature}"
