"""Somebody at a hub's door: one HTTP request at a time, redirects shown instead of followed."""

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.hub import HubProcess

TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    set_cookies: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of an error."""
        return str(self.json["error"]["code"])


def ask(
    hub: HubProcess,
    method: str,
    path: str,
    *,
    form: Mapping[str, str] | None = None,
    body: object = None,
    raw: bytes | Iterable[bytes] | None = None,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send a form, a JSON `body` or `raw` bytes (an iterable goes in chunks)."""
    sent = dict(headers or {})
    content: Any = raw
    if form is not None:
        content = urlencode(form)
        sent.setdefault("content-type", "application/x-www-form-urlencoded")
    elif body is not None:
        content = json.dumps(body)
        sent.setdefault("content-type", "application/json")
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=TIMEOUT_S)
    try:
        connection.request(
            method, path, content, sent, encode_chunked=not isinstance(content, str | bytes | None)
        )
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        cookies = tuple(answer.headers.get_all("set-cookie", ()))
        return Answer(answer.status, found, answer.read(), cookies)
    finally:
        connection.close()
