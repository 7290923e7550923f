"""localstripe, a stateful mock of Stripe by others (GPL-3.0): a process of its own, never imported.

It has customers, cards, payment intents, refunds and signed webhooks; Checkout Sessions and
disputes it has not: see `stripe_simulator`.
"""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

import stripe

from tests.patience import PATIENCE_S

KEY = "sk_test_localstripe"
SECRET = "whsec_localstripe"
START_S = PATIENCE_S
GOOD = "4242424242424242"
DECLINED = "4000000000000341"  # can be saved, and is declined when it is charged
NEEDS_A_PERSON = "4000002760003184"


class LocalStripe:
    """`address` is what a hub takes as `api_base`; `client` is Stripe's own, for the test."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
        self._log = (folder / "localstripe.txt").open("wb")
        self._process = subprocess.Popen(command, cwd=folder, stdout=self._log, stderr=self._log)
        self.address = f"http://127.0.0.1:{port}"
        self.client = stripe.StripeClient(KEY, base_addresses={"api": self.address})
        self._await()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(START_S)
        self._log.close()

    def deliver_to(self, url: str) -> None:
        """Send webhooks to an address, signed with SECRET."""
        body = f'{{"url": "{url}", "secret": "{SECRET}"}}'.encode()
        request = urllib.request.Request(f"{self.address}/_config/webhooks/hub", body)
        request.add_header("content-type", "application/json")
        urllib.request.urlopen(request, timeout=START_S).close()

    def customer(self, card: str) -> str:
        """Make a customer with a saved card, as a checkout that keeps it does."""
        made = self.client.v1.customers.create({"email": "ada@example.com"})
        details = {"number": card, "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        method = self.client.v1.payment_methods.create({"type": "card", "card": details})
        self.client.v1.payment_methods.attach(method.id, {"customer": made.id})
        return made.id

    def _await(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(f"{self.address}/v1/none", timeout=1).close()
            except urllib.error.HTTPError as answer:
                answer.close()
                return
            except OSError:
                assert self._process.poll() is None, "localstripe did not start"
                assert time.monotonic() < deadline, "localstripe did not answer"
                time.sleep(0.05)
