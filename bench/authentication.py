"""What it costs to know who calls, once a process has seen the key or token before.

    python -m bench.authentication

Prints microseconds a call, the median and the best of several runs: a known key, a known access
token, and a token's first time with its signature (without the database). No call is made.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable

from aigne_hub.auth.access_tokens import Issuer, checked
from aigne_hub.auth.verifier import Verifier, fields_of
from aigne_hub.crypto.api_key import new_key
from aigne_hub.crypto.jose.keys import Algorithm, signed
from aigne_hub.crypto.jose.keys import new_key as new_signing_key
from aigne_hub.domain.access import DEFAULT_SCOPES, Principal, Role

RUNS = 9
CALLS = 50_000
FIRST_TIMES = 2_000
_ISSUER = "https://hub.example.com"


class _Everybody:
    """auth.verifier's directories, which know whoever asks."""

    async def find(self, _: object) -> Principal:
        return Principal(
            user_id="u",
            user_did="did:abt:z1user",
            key_id="k",
            app_did="did:abt:zNKapp",
            role=Role.MEMBER,
            scopes=DEFAULT_SCOPES,
            expires_us=2**60,
        )


def _token() -> tuple[str, Issuer, int]:
    """Return a token as the hub makes them, who checks it, and an instant at which it is live."""
    key = new_signing_key(Algorithm.EDDSA)
    now = 1_800_000_000
    claims: dict[str, object] = {
        "iss": _ISSUER,
        "aud": _ISSUER,
        "sub": "did:abt:z1eaozS4YYPTCFheLYcB3KQFwiDvY7mbGJK",
        "client_id": "01a2160e-60ec-7000-9004-10a773b0b060",
        "scope": "openid inference models",
        "iat": now,
        "exp": now + 3600,
        "jti": "01a2160e-612b-7000-b416-1c0f09b6ae6b",
        "gid": "01a2160e-611b-7000-b41d-003bd629278d",
        "fid": "01a2160e-6125-7000-88fb-fa77a4325a2e",
        "auth_time": now,
    }
    token = signed(
        claims,
        kind="at+jwt",
        key_id=key.id,
        algorithm=Algorithm.EDDSA,
        private=key.private,
    )
    published = {key.id: (key.algorithm.value, key.public)}
    return token, Issuer(_ISSUER, _ISSUER, published), now * 1_000_000


async def _timed(ask: Callable[[], Awaitable[object]]) -> list[float]:
    await ask()
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        for _ in range(CALLS):
            await ask()
        took.append((time.perf_counter() - began) / CALLS * 1e6)
    return took


async def measured() -> dict[str, dict[str, float]]:
    """Return microseconds a call for each kind of credential."""
    everybody = _Everybody()
    verifier = Verifier(everybody, everybody, os.urandom(32), lambda: 1)
    token, issuer, now_us = _token()
    found = {}
    for name, credential in (("known key", new_key(os.urandom)), ("known token", token)):
        fields = fields_of([(b"authorization", f"Bearer {credential}".encode())])
        found[name] = _summary(await _timed(lambda fields=fields: verifier.verify(fields)))
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        for _ in range(FIRST_TIMES):
            checked(token, issuer, now_us)
        took.append((time.perf_counter() - began) / FIRST_TIMES * 1e6)
    found["a token's signature and claims, the first time"] = _summary(took)
    return found


def _summary(took: list[float]) -> dict[str, float]:
    return {"median_us": round(statistics.median(took), 2), "best_us": round(min(took), 2)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured()), indent=2))
