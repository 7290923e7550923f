"""Bedrock's runtime: one model's address there, called with a key of its own or signed.

https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html; stored copy, November 2026.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote

from aigne_hub.catalog.snapshot import Provider
from aigne_hub.crypto import sigv4
from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.faults import Fault
from aigne_hub.ports import Clock
from aigne_hub.providers.profiles import profile_of
from aigne_hub.providers.upstream import Answer
from aigne_hub.transport import Client, Origin, request_head

_JSON = "application/json"
_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-[0-9])\.")


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A pair of AWS keys with what goes with it."""

    key_id: str
    region: str
    secret: str = field(repr=False)
    session_token: str = field(repr=False, default="")

    @classmethod
    def parse(cls, text: str, host: str) -> Self:
        """Read `{"access_key_id": …, "secret_access_key": …}`, which may have a session token.

        The region is in it, or else in the host. Raises ValueError, which shows nothing of it.
        """
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        keys = value if isinstance(value, dict) else {}
        key_id, secret = keys.get("access_key_id"), keys.get("secret_access_key")
        if not isinstance(key_id, str) or not isinstance(secret, str) or not key_id or not secret:
            raise ValueError("is JSON without access_key_id and secret_access_key")
        found = _REGION.search(f".{host}")
        region = str(keys.get("region") or (found[1] if found else ""))
        if not region:
            raise ValueError("needs a region, which the address does not tell")
        return cls(key_id, region, secret, str(keys.get("session_token") or ""))


class Runtime:
    """Where a provider's models are, and what opens them."""

    def __init__(
        self, client: Client, provider: Provider, secret: str, language: str, clock: Clock
    ) -> None:
        profile = profile_of(provider.kind, provider.base_url)
        self.limit_field = profile.spoken(language).limit_field
        self._client = client
        self._clock = clock
        address = profile.address(provider.base_url, language)
        self._origin = Origin.parse(address, trusted=provider.trusted)
        self._secret = secret
        self._keys: AccessKey | None = None
        self._unusable = ""
        if is_pair(secret):
            try:
                self._keys = AccessKey.parse(secret, self._origin.host)
            except ValueError as error:
                self._unusable = str(error)

    async def post(self, model: str, action: str, body: bytes) -> Answer:
        """Ask a model for something. Raises TransportError, and UpstreamError without a key."""
        if self._unusable:
            words = f"The hub's own credential {self._unusable}."
            raise UpstreamError(words, fault=Fault.REFUSED)
        path = f"/model/{quote(model, safe='')}/{action}"
        headers = {"content-type": _JSON}
        if self._keys is None:
            headers["authorization"] = f"Bearer {self._secret}"
        else:
            headers |= self._signed(self._keys, self._origin.base_path + path, body)
        head = request_head("POST", self._origin, path, list(headers.items()))
        return await self._client.send(self._origin, head, body)

    def _signed(self, keys: AccessKey, path: str, body: bytes) -> dict[str, str]:
        said = {"x-amz-date": sigv4.stamp(self._clock.now_us())}
        if keys.session_token:
            said["x-amz-security-token"] = keys.session_token
        signature = sigv4.authorisation(
            "POST",
            path,
            {"content-type": _JSON, "host": self._origin.host_header.decode(), **said},
            body,
            key_id=keys.key_id,
            secret=keys.secret,
            scope=sigv4.Scope(keys.region, "bedrock"),
        )
        return {**said, "authorization": signature}


def is_pair(secret: str) -> bool:
    """Tell a pair of AWS keys, as JSON, from a key of Bedrock's own."""
    return secret.startswith("{")
