"""Payment Kit's API as programs written for it use it, on both databases."""

import http.client
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conftest import config_for
from tests.hub import HubProcess
from tests.payment_kit import Program, admin_of, event

from aigne_hub.crypto.custodial import new_identity
from aigne_hub.crypto.did import RoleType

NANO = 1_000_000_000


def _address():
    """Make a DID nobody has here, as Payment Kit's programs write it."""
    return new_identity(RoleType.ACCOUNT, os.urandom).did.removeprefix("did:abt:")


@pytest.fixture(scope="module")
def hub(tmp_path_factory, database, database_for, upstream):
    folder = tmp_path_factory.mktemp("kit")
    config = config_for(upstream, billing={"enabled": True})
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running
        running.verified()


@pytest.fixture(scope="module")
def kit(hub) -> Program:
    program = admin_of(hub)
    program.post("/meters", {"name": "Pictures", "event_name": "pictures", "unit": "pictures"})
    return program


@pytest.fixture
def ada(kit):
    """A customer of this test only."""
    return kit.get(f"/customers/{_address()}", create="true")["id"]


def nano(amount: float) -> str:
    return str(round(amount * NANO))


def test_the_meter_of_the_hubs_own_calls_is_there(kit):
    meter = kit.get("/meters/agent-hub-ai-meter")
    assert (meter["name"], meter["unit"]) == ("AIGNE Hub AI Meter", "AIGNE Hub Credits")
    assert meter["paymentCurrency"]["decimal"] == 9
    assert meter["currency_id"] == meter["paymentCurrency"]["id"]
    assert kit.get(f"/meters/{meter['id']}") == meter


def test_a_program_sets_itself_up_as_it_does_with_payment_kit(kit):
    assert kit.get("/settings/z8ia-my-program") is None
    setting = kit.post(
        "/settings",
        {
            "type": "notification",
            "mountLocation": "z8ia-my-program",
            "description": "Mine",
            "settings": {"self_handle": True, "include_events": ["a"]},
        },
    )
    kit.put(f"/settings/{setting['id']}", {"settings": {"include_events": ["a", "b"]}})
    found = kit.get("/settings/z8ia-my-program")["settings"]
    assert found == {"self_handle": True, "include_events": ["a", "b"]}

    status, _ = kit.call("GET", "/meters/minutes")
    assert status == 404
    meter = kit.post(
        "/meters",
        {
            "name": "minutes",
            "description": "Minutes watched",
            "event_name": "minutes",
            "aggregation_method": "sum",
            "unit": "Minutes",
            "metadata": {"setting_id": setting["id"]},
        },
    )
    assert kit.get("/meters/minutes") == meter
    changed = kit.put(f"/meters/{meter['id']}", {"unit": "minutes", "metadata": {"a": 1}})
    assert (changed["unit"], changed["metadata"]) == (
        "minutes",
        {"setting_id": setting["id"], "a": 1},
    )
    money, currency = kit.get("/payment-currencies")
    assert (money["id"], currency["id"]) == ("usd", meter["currency_id"])
    kit.put(f"/payment-currencies/{currency['id']}", {"name": currency["name"]})

    status, _ = kit.call("POST", "/meters", {"name": "x", "event_name": "minutes", "unit": "x"})
    assert status == 409
    assert kit.get("/meters", event_name="minutes")["count"] == 1
    assert [m["event_name"] for m in kit.get("/meters", q="minut")["list"]] == ["minutes"]
    kit.call("DELETE", f"/settings/{setting['id']}")
    assert kit.get("/settings/z8ia-my-program") is None


def test_a_customer_is_made_for_a_did_when_the_sdk_asks_in_the_body_of_its_get(kit):
    address = _address()
    status, _ = kit.call("GET", f"/customers/{address}")
    assert status == 404
    status, made = kit.call("GET", f"/customers/{address}", {"create": True})
    assert (status, made["did"]) == (200, address)
    for name in (made["id"], address, f"did:abt:{address}"):
        assert kit.get(f"/customers/{name}") == made
    assert kit.get("/customers", did=address)["list"][0]["id"] == made["id"]
    status, answer = kit.call("GET", "/customers/nobody", create="true")
    assert (status, answer["error"]["code"]) == (404, "not_found")


def test_granting_to_a_did_makes_its_customer(kit):
    address = _address()
    granted = kit.grant(address, "5", category="promotional", name="Welcome")
    assert granted["customer"]["did"] == address
    assert (granted["amount"], granted["remaining_amount"]) == (nano(5), nano(5))
    assert kit.summary(address)["remainingAmount"] == nano(5)


def test_two_requests_for_a_did_nobody_has_make_one_customer(kit):
    address = _address()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: kit.get(f"/customers/{address}", create="true"), range(8)))
    assert len({customer["id"] for customer in made}) == 1


def test_usage_is_charged_once_for_each_identifier(kit, ada):
    kit.grant(ada, "10")
    first = kit.meter(ada, "2.5", "once-1", metadata={"app": "a"}, timestamp=1_700_000_000)
    assert (first["status"], first["credit_consumed"]) == ("completed", nano(2.5))
    assert first["payload"]["value"] == nano(2.5)
    assert kit.meter(ada, "2.5", "once-1", timestamp=1_700_000_001) == first
    assert kit.get(f"/meter-events/{first['id']}") == first
    status, answer = kit.call("POST", "/meter-events", event(ada, "2.6", "once-1"))
    assert (status, answer["error"]["code"]) == (409, "conflict")
    assert kit.summary(ada)["remainingAmount"] == nano(7.5)


def test_numbers_are_taken_as_programs_print_them(kit, ada):
    kit.grant(ada, "1.0000000000")
    event = kit.meter(ada, "1.5e-7", "tiny")
    assert event["credit_consumed"] == "150"
    assert kit.meter(ada, "0.0012345678", "ten-places")["credit_consumed"] == "1234568"
    status, answer = kit.call("POST", "/meter-events", _valued(ada, 2, "whole"))
    assert (status, answer["credit_pending"]) == (200, nano(1 + 150e-9 + 0.001234568))


@pytest.mark.parametrize("value", ["-1", "x", "", 0.5, None, True, "5000000000", "1e99", "NaN"])
def test_a_value_that_is_no_amount_is_refused(kit, ada, value):
    status, answer = kit.call("POST", "/meter-events", _valued(ada, value, "bad"))
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert answer["error"]["param"] == "payload.value"


@pytest.mark.parametrize("amount", ["0", "-1", "x", 0.5, "0.0000000001", "4000000001"])
def test_an_amount_that_is_none_is_refused(kit, ada, amount):
    status, answer = kit.call("POST", "/credit-grants", {"customer_id": ada, "amount": amount})
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


def test_what_is_not_covered_is_pending_and_the_next_grant_pays_it(kit, ada):
    kit.grant(ada, "1")
    assert _continues(kit, ada)
    first = kit.meter(ada, "3", "beyond-1")
    assert (first["status"], first["credit_pending"]) == ("requires_capture", nano(2))
    assert first["credit_consumed"] == nano(1)
    assert (kit.pending(ada), kit.summary(ada)["remainingAmount"]) == (nano(2), "0")
    assert not _continues(kit, ada)
    granted = kit.grant(ada, "5")
    assert granted["remaining_amount"] == nano(3)
    assert kit.get(f"/meter-events/{first['id']}")["status"] == "completed"
    assert kit.pending(ada) == "0"
    assert _continues(kit, ada)
    # What a program knows to be owed elsewhere counts as well.
    assert _continues(kit, ada, pending_amount=nano(2.999))
    assert not _continues(kit, ada, pending_amount=nano(3))


def test_a_meter_that_is_off_takes_nothing(kit, ada):
    meter = kit.post("/meters", {"name": "Off", "event_name": "off", "unit": "x"})
    assert kit.put("/meters/off/deactivate")["status"] == "inactive"
    body = {**event(ada, "1", "off-1"), "event_name": "off"}
    status, answer = kit.call("POST", "/meter-events", body)
    assert (status, answer["error"]["param"]) == (400, "event_name")
    assert kit.put(f"/meters/{meter['id']}/activate")["status"] == "active"
    assert kit.call("POST", "/meter-events", body)[0] == 200


def test_unknown_meters_customers_and_currencies_are_not_found(kit, ada):
    for body in (
        event("nobody", "1", "u-1"),
        {**event(ada, "1", "u-2"), "event_name": "nothing"},
        {**event(ada, "1", "u-2"), "event_name": kit.get("/meters/pictures")["id"]},
    ):
        assert kit.call("POST", "/meter-events", body)[0] == 404
    assert kit.call("GET", "/payment-currencies/eur")[0] == 404
    body = {"customer_id": ada, "amount": "1", "currency_id": "usd"}
    assert kit.call("POST", "/credit-grants", body)[0] == 404


def test_grants_tell_their_state(kit, ada):
    now = int(time.time())
    spent = kit.grant(ada, "1", priority=1)
    kit.grant(ada, "2", name="Second", category="paid", expires_at=now + 3_600)
    later = kit.grant(ada, "3", effective_at=now + 3_600, expires_at=0)
    ended = kit.grant(ada, "4")
    kit.meter(ada, "1", f"state-{ada}")
    kit.put(f"/credit-grants/{ended['id']}", {"expired": True, "metadata": {"why": "moved"}})
    states = {g["amount"]: g["status"] for g in _grants(kit, ada)}
    assert states == {
        nano(1): "depleted",
        nano(2): "granted",
        nano(3): "pending",
        nano(4): "expired",
    }
    found = kit.get(f"/credit-grants/{ended['id']}")
    assert (found["remaining_amount"], found["metadata"]) == ("0", {"why": "moved"})
    assert [g["id"] for g in _grants(kit, ada, status="depleted")] == [spent["id"]]
    assert [g["id"] for g in _grants(kit, ada, status="pending")] == [later["id"]]
    assert kit.get(f"/credit-grants/{later['id']}")["effective_at"] == now + 3_600
    assert kit.summary(ada)["remainingAmount"] == nano(2)
    assert kit.summary(ada)["grantCount"] == 1
    status, _ = kit.call("PUT", f"/credit-grants/{ended['id']}", {"expired": True})
    assert status == 400


def test_metadata_of_a_grant_is_added_to(kit, ada):
    scope = {"scope": {"price_type": "metered"}}
    made = kit.grant(ada, "1", metadata={"a": 1, "b": 2}, applicability_config=scope)
    assert made["metadata"] == {"a": 1, "b": 2}
    assert made["applicability_config"]["scope"]["price_type"] == "metered"
    assert kit.put(f"/credit-grants/{made['id']}", {"metadata": {"b": None, "c": 3}}) == {
        "success": True
    }
    assert kit.get(f"/credit-grants/{made['id']}")["metadata"] == {"a": 1, "c": 3}


def test_credit_for_some_prices_only_is_refused_rather_than_given_for_all(kit, ada):
    scope = {"scope": {"prices": ["price_1"]}}
    body = {"customer_id": ada, "amount": "1", "applicability_config": scope}
    status, answer = kit.call("POST", "/credit-grants", body)
    assert (status, answer["error"]["param"]) == (400, "applicability_config.scope.prices")


def test_an_idempotency_key_makes_one_grant(kit, ada):
    headers = {"idempotency-key": f"k-{ada}"}
    body = {"customer_id": ada, "amount": "1"}
    answers = [kit.call("POST", "/credit-grants", body, headers) for _ in range(3)]
    assert {status for status, _ in answers} == {200}
    assert len({answer["id"] for _, answer in answers}) == 1
    status, answer = kit.call("POST", "/credit-grants", {**body, "amount": "2"}, headers)
    assert (status, answer["error"]["code"]) == (422, "idempotency_mismatch")
    assert kit.summary(ada)["remainingAmount"] == nano(1)


def test_transactions_tell_every_movement_with_the_balance_after_it(kit, ada):
    kit.grant(ada, "5", name="Welcome")
    used = kit.meter(ada, "2", f"tx-1-{ada}")
    kit.meter(ada, "1.5", f"tx-2-{ada}")
    found = kit.get("/credit-transactions", customer_id=ada)
    assert found["count"] == 3
    shown = [(t["type"], t["amount"], t["running_balance"]) for t in found["list"]]
    assert shown == [
        ("consumption", nano(1.5), nano(1.5)),
        ("consumption", nano(2), nano(3)),
        ("grant", nano(5), nano(5)),
    ]
    second = kit.get("/credit-transactions", customer_id=ada, page=2, pageSize=1)
    assert (second["count"], second["list"]) == (3, found["list"][1:2])
    one = found["list"][1]
    assert (one["meter_event_id"], one["meter_event_name"]) == (used["id"], "pictures")
    assert one["creditGrant"]["name"] == "Welcome"
    assert kit.get(f"/credit-transactions/{one['id']}") == one
    assert kit.call("GET", "/credit-transactions/ctx_x")[0] == 404
    of_event = kit.get("/credit-transactions", source=used["id"])
    assert [t["id"] for t in of_event["list"]] == [one["id"]]
    meter = kit.get("/meters/pictures")["id"]
    consumed = kit.get("/credit-transactions", customer_id=ada, meter_id=meter)
    assert [t["type"] for t in consumed["list"]] == ["consumption"] * 2
    total = kit.get("/credit-transactions/summary", customer_id=ada)
    assert (total["total_credit_amount"], total["transaction_count"]) == (nano(3.5), 2)


def test_events_are_listed_newest_first_by_page_and_filter(kit, ada):
    made = [kit.meter(ada, "0.1", f"page-{n}-{ada}")["id"] for n in range(5)]
    found = kit.get("/meter-events", customer_id=ada, page=2, pageSize=2)
    assert (found["count"], found["paging"]) == (5, {"page": 2, "pageSize": 2})
    assert [e["id"] for e in found["list"]] == [made[2], made[1]]
    assert kit.get("/meter-events", customer_id=ada, q=f"page-3-{ada}")["count"] == 1
    assert kit.get("/meter-events", customer_id=ada, meter_id="agent-hub-ai-meter")["count"] == 0
    assert kit.get("/meter-events", customer_id=ada, event_name="pictures")["count"] == 5
    for bad in ({"page": 0}, {"pageSize": 101}, {"page": "x"}):
        assert kit.call("GET", "/meter-events", **bad)[0] == 400


def test_usage_is_counted_by_interval(kit, ada):
    day = 1_700_006_400  # 2023-11-15T00:00:00Z
    for number, moment in enumerate((day, day + 3_599, day + 3_600, day + 86_400)):
        kit.meter(ada, "0.5", f"stat-{number}-{ada}", timestamp=moment)
    asked = {"meter_id": "pictures", "customer_id": ada, "start": day, "end": day + 200_000}
    by_day = kit.get("/meter-events/stats", **asked)
    assert [(row["date"], row["event_count"], row["total_value"]) for row in by_day["list"]] == [
        ("2023-11-15", 3, nano(1.5)),
        ("2023-11-16", 1, nano(0.5)),
    ]
    by_hour = kit.get("/meter-events/stats", **asked, granularity="hour")["list"]
    assert [row["timestamp"] for row in by_hour] == [str(day), str(day + 3_600), str(day + 86_400)]
    far = {**asked, "start": 0, "granularity": "minute"}
    assert kit.call("GET", "/meter-events/stats", **far)[0] == 400


def test_holders_and_statistics_of_grants(kit, ada):
    now = int(time.time())
    kit.grant(ada, "900", metadata={"x": 1}, category="paid")
    kit.meter(ada, "100", f"rich-{ada}")
    held = kit.get("/credit-grants/holders", currency_id="credits", pageSize=1)
    assert held["holders"] == [{"customer_id": ada, "balance": nano(800), "grantCount": 1}]
    assert held["paging"]["totalPages"] == held["paging"]["total"] > 1
    asked = {"currency_id": "credits", "start_date": now - 60, "end_date": now + 60}
    found = kit.get("/credit-grants/stats", **asked, category="paid", timezone_offset=-480)
    total = found["stats"]
    assert int(total["total_granted"]) >= 900 * NANO
    assert int(total["total_consumed"]) == int(total["total_granted"]) - int(
        total["total_remaining"]
    )
    assert sum(day["grant_count"] for day in found["daily_stats"]) == total["grant_count"]
    nobodys = kit.get("/credit-grants/stats", **asked, granted_by="did:abt:nobody")
    assert (nobodys["stats"]["grant_count"], nobodys["daily_stats"]) == (0, [])


def test_calls_of_the_hub_are_events_of_its_own_meter(hub, kit):
    me = kit.get("/customers/me")["id"]
    kit.grant(me, "10")
    _chat(hub)
    (call,) = hub.calls_when_closed(1)
    found = kit.get("/meter-events", customer_id=me)
    (shown,) = found["list"]
    assert (shown["id"], shown["identifier"]) == (call["id"], call["id"])
    assert shown["event_name"] == "agent-hub-ai-meter"
    assert shown["credit_consumed"] == shown["payload"]["value"] == nano(float(call["credits"]))
    assert kit.get("/meter-events", meter_id="agent-hub-ai-meter") == found
    assert kit.get(f"/meter-events/{call['id']}") == shown
    meter = {"meter_id": "agent-hub-ai-meter"}
    (used,) = kit.get("/credit-transactions", **meter)["list"]
    assert (used["type"], used["meter_event_id"]) == ("consumption", call["id"])
    now = int(time.time())
    counted = kit.get("/meter-events/stats", **meter, start=now - 86_400, end=now + 60)
    assert sum(row["event_count"] for row in counted["list"]) == 1
    status, _ = kit.call("POST", "/meter-events", _own_event(me, call["id"]))
    assert status == 409
    # A program may report to the hub's own meter as well.
    assert kit.post("/meter-events", _own_event(me, "mine"))["status"] == "completed"
    assert kit.get("/meter-events", **meter)["count"] == 2


def _chat(hub):
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=30)
    body = {
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 50,
    }
    headers = {"authorization": f"Bearer {hub.key}", "content-type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    assert connection.getresponse().status == 200
    connection.close()


def _own_event(customer, identifier):
    return {**event(customer, "0.001", identifier), "event_name": "agent-hub-ai-meter"}


def _valued(customer, value, identifier):
    return event(customer, value, f"{identifier}-{customer}")


def _grants(kit, customer, **more):
    return kit.get("/credit-grants", customer_id=customer, **more)["list"]


def _continues(kit, customer, **more):
    return kit.get("/credit-grants/verify-availability", customer_id=customer, **more)[
        "can_continue"
    ]
