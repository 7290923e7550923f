"""A program that speaks Payment Kit's API to a running hub, over real sockets."""

import http.client
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tests.hub import HubProcess

# What @blocklet/payment-js 1.27.2 adds to every request.
LIVEMODE = {"livemode": "true"}


@dataclass(frozen=True, slots=True)
class Program:
    """Calls with one key; None for nobody's."""

    hub: HubProcess
    key: str | None = field(repr=False)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> tuple[int, Any]:
        sent = {"content-type": "application/json", **(headers or {})}
        if self.key is not None:
            sent["authorization"] = f"Bearer {self.key}"
        target = f"/payment/api{path}?{urlencode({**LIVEMODE, **query})}"
        connection = http.client.HTTPConnection("127.0.0.1", self.hub.port, timeout=60)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, target, content, sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(content) if content else None

    def get(self, path: str, **query: Any) -> Any:
        status, answer = self.call("GET", path, **query)
        assert status == 200, answer
        return answer

    def post(self, path: str, body: Any, **query: Any) -> Any:
        status, answer = self.call("POST", path, body, **query)
        assert status == 200, answer
        return answer

    def put(self, path: str, body: Any = None, **query: Any) -> Any:
        status, answer = self.call("PUT", path, body, **query)
        assert status == 200, answer
        return answer

    def grant(self, customer: str, amount: str, **more: Any) -> Any:
        return self.post("/credit-grants", {"customer_id": customer, "amount": amount, **more})

    def meter(self, customer: str, value: str, identifier: str, **more: Any) -> Any:
        return self.post("/meter-events", event(customer, value, identifier, **more))

    def summary(self, customer: str) -> Any:
        return self.get("/credit-grants/summary", customer_id=customer)["credits"]

    def pending(self, customer: str) -> str:
        owed: dict[str, str] = self.get("/meter-events/pending-amount", customer_id=customer)
        return owed["credits"]


def event(customer: str, value: str, identifier: str, **more: Any) -> dict[str, Any]:
    payload = {"customer_id": customer, "value": value}
    return {"event_name": "pictures", "payload": payload, "identifier": identifier, **more}


def admin_of(hub: HubProcess) -> Program:
    made = hub.cli("keys", "create", "--user", hub.user, "--scope", "admin", "--name", "programs")
    return Program(hub, made["key"])


def customer_of(hub: HubProcess, email: str) -> tuple[Program, str]:
    """Make a user; return a program with its key, and its id."""
    user = hub.cli("users", "create", "--email", email)
    return Program(hub, hub.cli("keys", "create", "--user", email)["key"]), user["id"]


def quoted(text: str) -> str:
    return quote(text, safe="")
