"""The client of Payment Kit's API against one that answers what it is told to."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest

from aigne_hub.billing.kit_grants import KitGrant
from aigne_hub.providers.payment_kit import (
    KitBalance,
    KitMeter,
    KitRefused,
    KitUnavailable,
    PaymentKit,
    grant_of,
    nano_of,
)
from aigne_hub.transport import Client, Timeouts

METER = {"id": "mtr_1", "currency_id": "pc_1", "paymentCurrency": {"id": "pc_1", "decimal": 10}}
DID = "did:abt:z1abc"
FOUND = KitMeter("pc_1", 10)


@dataclass
class Script:
    """Answers in turn, and what was asked."""

    answers: list = field(default_factory=list)
    asked: list = field(default_factory=list)

    def say(self, body, status=200):
        self.answers.append((status, body))

    async def serve(self, reader, writer):
        while (line := await reader.readline()).strip():
            method, target, _ = line.decode().split()
            headers = {}
            while header := (await reader.readline()).decode().strip():
                name, _, value = header.partition(": ")
                headers[name] = value
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            url = urlsplit(target)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            asked = (method, url.path, query, json.loads(body) if body else None)
            self.asked.append((*asked, headers.get("authorization")))
            status, answer = self.answers.pop(0)
            if answer is None:
                break
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n\r\n"
            writer.write(head.encode() + content)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def talking(script):
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    timeouts = Timeouts(connect=2.0, first_byte=2.0, idle=2.0, total=5.0)
    client = Client(timeouts=timeouts, body_max=64 * 1024)
    try:
        yield PaymentKit(client, f"http://127.0.0.1:{port}/kit/", "secret")
    finally:
        await client.close()
        server.close()


async def test_a_meter_is_found_with_its_currency():
    script = Script()
    script.say(METER)
    async with talking(script) as kit:
        assert await kit.ensure_meter("a meter") == FOUND
    ((method, path, query, body, authorization),) = script.asked
    assert (method, path, body) == ("GET", "/kit/api/meters/a%20meter", None)
    assert query == {"livemode": "true"}
    assert authorization == "Bearer secret"


async def test_a_meter_that_is_not_there_is_made():
    script = Script()
    script.say({"error": "meter not found"}, 404)
    script.say(METER)
    async with talking(script) as kit:
        assert await kit.ensure_meter("m") == FOUND
    method, path, _, body, _ = script.asked[1]
    assert (method, path) == ("POST", "/kit/api/meters")
    assert (body["event_name"], body["aggregation_method"]) == ("m", "sum")


async def test_a_currency_that_would_round_charges_away_is_not_used():
    script = Script()
    script.say({**METER, "paymentCurrency": {"decimal": 2}})
    async with talking(script) as kit:
        with pytest.raises(KitUnavailable, match="2 decimals; 9 are needed"):
            await kit.ensure_meter("m")


async def test_a_customer_is_asked_for_as_the_sdk_asks():
    script = Script()
    script.say({"id": "cus_1"})
    async with talking(script) as kit:
        await kit.ensure_customer(DID)
    method, path, query, body, _ = script.asked[0]
    assert (method, path) == ("GET", "/kit/api/customers/z1abc")
    assert (query["create"], body) == ("true", {"create": True})


async def report(kit):
    await kit.report(event_name="m", identifier="call", did=DID, value=1_500, timestamp=7)


async def test_usage_is_reported_in_credits():
    script = Script()
    script.say({"id": "mevt_1"})
    async with talking(script) as kit:
        await report(kit)
    assert script.asked[0][3] == {
        "event_name": "m",
        "identifier": "call",
        "payload": {"customer_id": "z1abc", "value": "0.0000015"},
        "timestamp": 7,
    }


async def test_an_identifier_that_was_seen_is_taken():
    script = Script()
    script.say({"error": 'Event with identifier "call" already exists'}, 400)
    async with talking(script) as kit:
        await report(kit)


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
@pytest.mark.parametrize("error", ["no such thing", {"message": "no such thing"}])
async def test_what_is_refused_says_why(status, error):
    script = Script()
    script.say({"error": error}, status)
    async with talking(script) as kit:
        with pytest.raises(KitRefused, match="no such thing") as refusal:
            await report(kit)
    assert refusal.value.status == status


@pytest.mark.parametrize("status", [301, 401, 403, 408, 425, 429, 500, 502, 503])
async def test_what_may_pass_is_waited_for(status):
    script = Script()
    script.say({"error": "not now"}, status)
    async with talking(script) as kit:
        with pytest.raises((KitUnavailable, KitRefused)) as failure:
            await report(kit)
    assert isinstance(failure.value, KitUnavailable) == (status != 301)


@pytest.mark.parametrize("body", [b"<html>", b"{", None, b'{"a": 1}' * 20_000])
async def test_an_answer_that_is_none_is_waited_for(body):
    script = Script()
    script.say(body)
    async with talking(script) as kit:
        with pytest.raises(KitUnavailable) as failure:
            await report(kit)
    assert "secret" not in failure.value.message


async def test_nobody_there_is_waited_for():
    client = Client(timeouts=Timeouts(connect=1.0), body_max=1024)
    kit = PaymentKit(client, "http://127.0.0.1:1", "secret")
    with pytest.raises(KitUnavailable, match="cannot be reached"):
        await report(kit)
    await client.close()


@pytest.mark.parametrize(
    "meter",
    [
        [],
        {},
        {**METER, "paymentCurrency": None},
        {**METER, "paymentCurrency": {"decimal": "10"}},
        {**METER, "paymentCurrency": {"decimal": -1}},
        {**METER, "currency_id": 5},
    ],
)
async def test_a_meter_that_is_none_is_waited_for(meter):
    script = Script()
    script.say(meter)
    async with talking(script) as kit:
        with pytest.raises(KitUnavailable):
            await kit.ensure_meter("m")


async def test_grants_are_listed_newest_first():
    script = Script()
    script.say({"count": 1, "list": [{"id": "cg_1"}]})
    script.say({"count": 1})
    async with talking(script) as kit:
        assert await kit.grants(FOUND, 3, "voided") == [{"id": "cg_1"}]
        with pytest.raises(KitUnavailable):
            await kit.grants(FOUND, 1)
    query = script.asked[0][2]
    assert (query["currency_id"], query["page"], query["status"]) == ("pc_1", "3", "voided")
    assert query["order"] == "created_at:DESC"


async def test_a_balance_is_in_nano_credits():
    script = Script()
    script.say({"pc_1": {"remainingAmount": "123456789015"}})
    script.say({"pc_1": "10"})
    script.say({})
    script.say({})
    async with talking(script) as kit:
        assert await kit.balance(FOUND, DID) == KitBalance(12_345_678_902, 1)
        assert await kit.balance(FOUND, DID) == KitBalance(0, 0)


async def test_whether_a_customer_can_continue():
    script = Script()
    for answer in ({"can_continue": True}, {"can_continue": False, "reason": "x"}, {}):
        script.say(answer)
    async with talking(script) as kit:
        assert [await kit.can_continue(FOUND, DID) for _ in range(3)] == [True, False, False]


async def test_where_credit_is_bought():
    script = Script()
    script.say({"id": "plink_1"})
    script.say({"error": "x"}, 404)
    script.say({})
    async with talking(script) as kit:
        assert (await kit.payment_link()).endswith("/kit/checkout/pay/plink_1")
        assert await kit.payment_link() is None
        assert await kit.payment_link() is None
    assert script.asked[0][1] == "/kit/api/payment-links/DEFAULT_CREDIT_PAYMENT_LINK"


GRANT = {
    "id": "cg_1",
    "customer": {"did": "z1abc"},
    "amount": "20000000000",
    "remaining_amount": "10000000000",
    "category": "paid",
    "priority": 20,
    "name": "Top-up",
    "status": "granted",
    "created_at": "2026-01-01T00:00:00.000Z",
    "effective_at": None,
    "expires_at": 1_800_000_000,
}


def test_a_grant_is_read_in_nano_credits():
    assert grant_of(GRANT, 10) == KitGrant(
        id="cg_1",
        did="z1abc",
        amount=2_000_000_000,
        remaining=1_000_000_000,
        category="paid",
        priority=20,
        name="Top-up",
        status="granted",
        created_us=1_767_225_600_000_000,
        effective_us=None,
        expires_us=1_800_000_000_000_000,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": 5},
        {"customer": None},
        {"customer": {"did": ""}},
        {"amount": "-1"},
        {"amount": "1.5"},
        {"amount": None},
        {"amount": "٣"},
        {"amount": "9" * 61},
        {"remaining_amount": None},
        {"priority": "high"},
        {"expires_at": 10**15},
        {"effective_at": -1},
        {"created_at": "yesterday"},
    ],
)
def test_a_grant_that_is_none_says_why(change):
    with pytest.raises(ValueError, match=r"."):
        grant_of({**GRANT, **change}, 10)


@pytest.mark.parametrize(
    ("text", "decimals", "nano"),
    [("15", 10, 2), ("14", 10, 1), ("1", 9, 1), ("7", 2, 70_000_000), ("1" + "0" * 18, 18, 10**9)],
)
def test_amounts_of_other_currencies_become_nano_credits(text, decimals, nano):
    assert nano_of(text, decimals) == nano
