"""The browser of somebody who signs in, known by a cookie of its own.

Before anybody signs in, it is what ties a form to the browser that it was made for. After that
it also proves that this browser has signed in to an account, so that nobody else's wrong tries
keep its owner out (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
"""

import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from fastapi import Request, Response

from aigne_hub.crypto import base58
from aigne_hub.web.backend import Backend
from aigne_hub.web.cookies import cookie_name, put_cookie

COOKIE: Final = "aigne-hub-device"
KEPT_S: Final = 365 * 24 * 3600
_NAME_BYTES: Final = 16
_FORM: Final = re.compile(r"([1-9A-HJ-NP-Za-km-z]{16,22})(?:\.([0-9a-f]{64}))?")


@dataclass(frozen=True, slots=True)
class Device:
    """A browser: a random name, and perhaps the proof of an account it has signed in to."""

    name: str = field(repr=False)
    proof: str = field(default="", repr=False)

    @property
    def cookie(self) -> str:
        return f"{self.name}.{self.proof}" if self.proof else self.name


def device_of(request: Request) -> Device | None:
    """Return the browser that asks, None for one never seen before."""
    found = _FORM.fullmatch(request.cookies.get(cookie_name(request, COOKIE), ""))
    return None if found is None else Device(found[1], found[2] or "")


def new_device(hub: Backend) -> Device:
    return Device(base58.encode(hub.randbytes(_NAME_BYTES)))


def keep(response: Response, request: Request, device: Device) -> None:
    put_cookie(response, request, COOKIE, device.cookie, KEPT_S)


def known(device: Device, hub: Backend, user_id: str) -> bool:
    """Tell whether a browser has signed in to a user's account before."""
    return hmac.compare_digest(device.proof, _proof(hub, device.name, user_id))


def proven(device: Device, hub: Backend, user_id: str) -> Device:
    """Return the browser as it is after signing in to an account."""
    return Device(device.name, _proof(hub, device.name, user_id))


def csrf_of(device: Device, hub: Backend) -> str:
    """Return what forms for people who are not signed in carry in this browser."""
    return hmac.digest(hub.pepper, b"sign-in form\0" + device.name.encode(), "sha256").hex()


def _proof(hub: Backend, name: str, user_id: str) -> str:
    text = f"device\0{name}\0{user_id}".encode()
    return hmac.digest(hub.pepper, text, "sha256").hex()
