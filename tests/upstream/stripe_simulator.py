"""A small simulator of Stripe, not Stripe: what localstripe lacks, and no more.

Checkout Sessions, payment links, their payments, refunds and disputes, over real HTTP and
signed with Stripe's own package. Objects have the members of Stripe's published fixtures (a
test compares them). It knows idempotency keys, refuses parameters that Stripe's package does
not declare, and sends webhooks when a test says what the payer or their bank did.
"""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import stripe
from stripe.params import PaymentLinkCreateParams, RefundCreateParams
from stripe.params.checkout import SessionCreateParams

KEY = "sk_test_simulated"
SECRET = "whsec_simulated"
LIFE_S = 24 * 3600
TIMEOUT_S = 20

_DECLARED = {
    "/v1/checkout/sessions": SessionCreateParams,
    "/v1/payment_links": PaymentLinkCreateParams,
    "/v1/refunds": RefundCreateParams,
}
Object = dict[str, Any]


class Refused(Exception):
    """What Stripe answers instead of a result."""

    def __init__(self, status: int, code: str, param: str | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.body = {"error": {"type": "invalid_request_error", "code": code, "param": param}}


class StripeSimulator:
    """`address` is what a hub takes as `api_base`; webhooks go to `deliver_to`.

    `requests` are the calls so far: path, parameters and headers. While `broken`, it answers
    500 to everything.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.requests: list[tuple[str, Object, Mapping[str, str]]] = []
        self.deliver_to = ""
        self.broken = False
        self._answers: dict[str, tuple[str, Object]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"simulator": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- what the payer and their bank do -------------------------------------------------

    def sessions(self) -> list[Object]:
        """Return the Checkout Sessions, oldest first."""
        return [one for one in self.objects.values() if one["object"] == "checkout.session"]

    def visit(self, link: Object) -> Object:
        """Open a payment link: each visitor gets a Checkout Session."""
        limit = link["restrictions"]["completed_sessions"]["limit"]
        assert link["_completed"] < limit, "the link was paid as often as it may be"
        session = self._session(link["_amount"], link["currency"], link["metadata"])
        session["payment_link"] = link["id"]
        return session

    def pay(self, session: Object, *, settled: bool = True, **changed: Any) -> Object:
        """Complete a session, and return the event; `settled` False: by a slow method."""
        intent = self._new("pi", "payment_intent", amount=session["amount_total"])
        intent |= {"currency": session["currency"], "status": "succeeded", "metadata": {}}
        intent |= {"amount_received": session["amount_total"]}
        if session["customer_creation"] == "always" and session["customer"] is None:
            session["customer"] = self._new("cus", "customer")["id"]
        session |= {"status": "complete", "payment_intent": intent["id"]}
        session |= {"payment_status": "paid" if settled else "unpaid", **changed}
        link = self.objects.get(session["payment_link"] or "")
        if link is not None:
            link["_completed"] += 1
        return self.event("checkout.session.completed", session)

    def settle(self, session: Object, *, paid: bool = True) -> Object:
        """End what `pay` began by a slow method."""
        if paid:
            session["payment_status"] = "paid"
        return self.event(
            f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}", session
        )

    def expire(self, session: Object) -> Object:
        session["status"] = "expired"
        return self.event("checkout.session.expired", session)

    def refund(self, session: Object, amount: int) -> Object:
        """Refund from Stripe's dashboard; the refund is the object of the event returned."""
        refund = self._refund({"payment_intent": session["payment_intent"], "amount": amount})
        return self.event("refund.created", refund)

    def fail_refund(self, refund: Object) -> Object:
        refund["status"] = "failed"
        return self.event("refund.failed", refund)

    def charge_refunded(self, session: Object, total: int) -> Object:
        """Tell the total of the refunds of a payment, as older endpoints are told."""
        charge = self._new("ch", "charge", amount=session["amount_total"], amount_refunded=total)
        charge |= {"currency": session["currency"], "payment_intent": session["payment_intent"]}
        return self.event("charge.refunded", charge)

    def dispute(self, session: Object, status: str = "needs_response") -> Object:
        dispute = self._new("dp", "dispute", amount=session["amount_total"], status=status)
        dispute |= {"currency": session["currency"], "payment_intent": session["payment_intent"]}
        return self.event("charge.dispute.created", dispute)

    def close_dispute(self, dispute: Object, status: str) -> Object:
        dispute["status"] = status
        return self.event("charge.dispute.closed", dispute)

    # -- webhooks -----------------------------------------------------------------------

    def event(self, kind: str, item: Object, *, live: bool = False) -> Object:
        """Return an event about an object as it is now."""
        shown = {name: value for name, value in item.items() if not name.startswith("_")}
        event = self._new("evt", "event", type=kind, data={"object": json.loads(json.dumps(shown))})
        event["livemode"] = live
        return event

    def send(self, event: Object, **options: Any) -> int:
        """Deliver an event and return the hub's status. See `signed` for the options."""
        body, signature = signed(event, **options)
        target = urlsplit(self.deliver_to)
        connection = http.client.HTTPConnection(target.hostname, target.port, timeout=TIMEOUT_S)
        try:
            headers = {"content-type": "application/json; charset=utf-8"}
            if signature is not None:
                headers["Stripe-Signature"] = signature
            connection.request("POST", target.path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    # -- the API ------------------------------------------------------------------------

    def answer(self, method: str, path: str, params: Object, headers: Mapping[str, str]) -> Object:
        with self._lock:
            self.requests.append((path, params, headers))
            if self.broken:
                raise Refused(500, "simulated_failure")
            if headers.get("authorization") != f"Bearer {KEY}":
                raise Refused(401, "invalid_api_key")
            if method == "GET":
                return self._read(path)
            key = headers.get("idempotency-key", "")
            content = json.dumps([path, params], sort_keys=True)
            if key in self._answers:
                known, answer = self._answers[key]
                if known != content:
                    raise Refused(400, "idempotency_key_in_use")
                return answer
            made = self._make(path, params)
            if key:
                self._answers[key] = (content, made)
            return made

    def _read(self, path: str) -> Object:
        if path == "/v1/balance":
            return {"object": "balance", "livemode": False, "available": [], "pending": []}
        found = self.objects.get(path.rpartition("/")[2])
        if found is None:
            raise Refused(404, "resource_missing", "id")
        return found

    def _make(self, path: str, params: Object) -> Object:
        if path not in _DECLARED:
            raise Refused(404, "resource_missing")
        for name in params:
            if name not in _DECLARED[path].__annotations__:
                raise Refused(400, "parameter_unknown", name)
        if path == "/v1/refunds":
            return self._refund(params)
        (item,) = params["line_items"].values()
        price, quantity = item["price_data"], int(item["quantity"])
        amount, currency = int(price["unit_amount"]) * quantity, price["currency"]
        assert price["product_data"]["name"]
        if path == "/v1/payment_links":
            link = self._new(
                "plink", "payment_link", currency=currency, metadata=params["metadata"]
            )
            completed = params["restrictions"]["completed_sessions"]
            link["restrictions"] = {
                "completed_sessions": {"count": 0, "limit": int(completed["limit"])}
            }
            link |= {"url": f"{self.address}/pay/{link['id']}", "active": True}
            link |= {"_amount": amount, "_completed": 0}
            return link
        session = self._session(amount, currency, params["metadata"])
        assert params["mode"] == "payment"
        for name in ("client_reference_id", "customer_email", "customer", "customer_creation"):
            session[name] = params.get(name)
        session |= {"success_url": params["success_url"], "cancel_url": params["cancel_url"]}
        return session

    def _session(self, amount: int, currency: str, metadata: Object) -> Object:
        session = self._new("cs_test", "checkout.session", mode="payment", metadata=metadata)
        session |= {"amount_total": amount, "amount_subtotal": amount, "currency": currency}
        session |= {"status": "open", "payment_status": "unpaid", "payment_intent": None}
        session |= {"client_reference_id": None, "customer": None, "customer_email": None}
        session |= {"customer_creation": None, "payment_link": None, "setup_intent": None}
        session |= {"url": f"{self.address}/pay/{session['id']}"}
        session["expires_at"] = int(time.time()) + LIFE_S
        return session

    def _refund(self, params: Object) -> Object:
        intent = self.objects.get(params["payment_intent"])
        if intent is None:
            raise Refused(404, "resource_missing", "payment_intent")
        intent.setdefault("_refunded", 0)
        amount = int(params.get("amount", intent["amount"] - intent["_refunded"]))
        if intent["_refunded"] + amount > intent["amount"]:
            raise Refused(400, "charge_already_refunded")
        intent["_refunded"] += amount
        refund = self._new("re", "refund", amount=amount, currency=intent["currency"])
        refund |= {"payment_intent": intent["id"], "status": "succeeded"}
        refund["metadata"] = params.get("metadata", {})
        return refund

    def _new(self, prefix: str, kind: str, **members: Any) -> Object:
        name = f"{prefix}_{next(self._numbers):06d}"
        made = {"id": name, "object": kind, "created": int(time.time()), **members}
        if kind != "refund":
            made["livemode"] = False
        self.objects[name] = made
        return made


def signed(
    event: Object, *, secret: str = SECRET, age_s: int = 0, sent: bytes | None = None
) -> tuple[bytes, str | None]:
    """Return the body of a webhook and its signature by Stripe's own package.

    `sent` is another body than the one that is signed; an empty secret signs with nothing.
    """
    body = json.dumps(event, indent=2)
    stamp = int(time.time()) - age_s
    signature = stripe.WebhookSignature.generate_signature_header(body, secret, stamp)
    return sent if sent is not None else body.encode(), signature


class _Handler(BaseHTTPRequestHandler):
    simulator: StripeSimulator
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve("GET", {})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        self._serve("POST", _nested(self.rfile.read(length).decode()))

    def _serve(self, method: str, params: Object) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            answer = self.simulator.answer(method, urlsplit(self.path).path, params, headers)
            status, body = 200, {k: v for k, v in answer.items() if not k.startswith("_")}
        except Refused as refused:
            status, body = refused.status, refused.body
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


def _nested(text: str) -> Object:
    """Return form fields like `a[b][0]=c` as what they mean."""
    found: Object = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, *rest = name.replace("]", "").split("[")
        place = found
        steps = [first, *rest]
        for step in steps[:-1]:
            place = place.setdefault(step, {})
        place[steps[-1]] = value
    return found
