"""The hub's own API as programs call it: one request, its status and its JSON."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.hub import HubProcess

WAIT_S = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `headers` have lower-cased names."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str:
        """The stable code of an error."""
        return str(self.json["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


@dataclass(frozen=True, slots=True)
class Api:
    """A hub and the key that asks it; without one, nobody."""

    hub: HubProcess
    key: str | None = field(default=None, repr=False)

    def get(self, path: str, **query: object) -> Answer:
        return self.send("GET", path, query=query)

    def post(self, path: str, **body: object) -> Answer:
        return self.send("POST", path, body=body)

    def put(self, path: str, **body: object) -> Answer:
        return self.send("PUT", path, body=body)

    def delete(self, path: str, **query: object) -> Answer:
        return self.send("DELETE", path, query=query)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.hub.port, timeout=WAIT_S)
        sent = {"content-type": "application/json", **(headers or {})}
        if self.key is not None:
            sent["authorization"] = f"Bearer {self.key}"
        target = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else json.dumps(body)
        try:
            connection.request(method, target, content, sent)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read().decode())
        finally:
            connection.close()


def admin_of(hub: HubProcess) -> Api:
    """Return the API as the owner's key with the scope `admin` sees it."""
    made = hub.cli("keys", "create", "--user", hub.user, "--scope", "admin")
    return Api(hub, made["key"])
