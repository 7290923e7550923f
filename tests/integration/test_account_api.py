"""A user's account over HTTP as its owner sees it, and as administrators correct it."""

import csv
import io
import json
from dataclasses import replace
from itertools import pairwise

import pytest
from tests.api import Api, admin_of
from tests.books import Books, nano
from tests.caller import ask
from tests.conftest import config_for
from tests.hub import HubProcess

from aigne_hub.storage import account_history, history_import
from aigne_hub.web.api.usage import days_left

MODEL = "gpt-tokens:10:6"
PRICE = "0.022"  # ten tokens read and six written
NANO = 10**9


@pytest.fixture(scope="module")
def hub(tmp_path_factory, upstream, database, database_for):
    config = config_for(upstream, models=[MODEL], billing={"enabled": True, "overdraft": "1"})
    folder = tmp_path_factory.mktemp("account")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running
        running.verified()


@pytest.fixture(scope="module")
def books(hub):
    with Books(hub) as opened:
        yield opened


@pytest.fixture(scope="module")
def admin(hub):
    return admin_of(hub)


def spend(hub, caller, times=1):
    """Make calls at PRICE each; return the last one's id."""
    replies = [ask(hub, f"openai/{MODEL}", key=caller.key, max_tokens=10) for _ in range(times)]
    assert {reply.status for reply in replies} == {200}
    assert {reply.headers["x-aigne-hub-credits"] for reply in replies} == {PRICE}
    return replies[-1].call_id


def test_who_am_i(hub, books):
    caller = books.customer(nano("2.5"))
    told = Api(hub, caller.key).get("/api/user/info").json
    assert told == {
        "user": {
            "did": caller.user.did,
            "fullName": caller.user.email.partition("@")[0],
            "email": caller.user.email,
            "avatar": "",
        },
        "creditBalance": {"balance": "2.5", "total": "2.5", "grantCount": 1, "pendingCredit": "0"},
        "paymentLink": f"{hub.address}/payment/checkout/pay/credits",
        "currency": {
            "id": "credits",
            "name": "AIGNE Hub Credits",
            "symbol": "credits",
            "decimal": 9,
            "type": "credit",
        },
        "enableCredit": True,
        "profileLink": f"{hub.address}/",
        "creditPrefix": None,
    }


def test_without_billing_there_is_no_credit(tmp_path):
    with HubProcess(tmp_path / "hub", {}) as free:
        told = Api(free, free.key).get("/api/user/info").json
        assert (told["enableCredit"], told["creditBalance"], told["paymentLink"]) == (
            False,
            None,
            None,
        )
        assert "currency" not in told
        assert Api(free, free.key).get("/api/user/credit/payment-link").json is None


def test_credit_in_the_smallest_unit(hub, books):
    caller = books.customer(nano("1"))
    spend(hub, caller)
    mine = Api(hub, caller.key)
    credit = mine.get("/api/user/credit/balance").json
    assert credit.pop("currency")["decimal"] == 9
    left = nano("1") - nano(PRICE)
    assert credit == {
        "balance": str(left),
        "total": str(nano("1")),
        "pendingCredit": "0",
        "grantCount": 1,
    }
    link = mine.get("/api/user/credit/payment-link").json
    assert link == f"{hub.address}/payment/checkout/pay/credits"


def test_what_is_owed_is_pending(hub, books):
    caller = books.customer(overdraft=nano("1"))
    spend(hub, caller)
    mine = Api(hub, caller.key)
    credit = mine.get("/api/user/credit/balance").json
    assert (credit["balance"], credit["total"], credit["pendingCredit"]) == (
        "0",
        "0",
        str(nano(PRICE)),
    )
    quota = mine.get("/api/usage/quota").json
    assert (quota["remaining"], quota["pendingCredit"]) == (0, float(PRICE))
    assert quota["estimatedDaysRemaining"] == 0


def test_grants_and_movements_page_by_page(hub, books):
    caller = books.customer(nano("1"))
    books.grant(caller, nano("2"))
    spend(hub, caller, times=2)
    mine = Api(hub, caller.key)
    grants = mine.get("/api/user/credit/grants", pageSize=1).json
    assert (grants["count"], grants["paging"]) == (2, {"page": 1, "pageSize": 1})
    (newest,) = grants["list"]
    assert (newest["amount"], newest["status"]) == (str(nano("2")), "granted")
    first, second = (
        mine.get("/api/user/credit/transactions", page=page, pageSize=3).json for page in (1, 2)
    )
    moved = [*first["list"], *second["list"]]
    assert (first["count"], len(moved)) == (4, 4)
    assert [row["type"] for row in moved] == ["consumption", "consumption", "grant", "grant"]
    balances = [int(row["running_balance"]) for row in moved]
    assert balances[0] == nano("3") - 2 * nano(PRICE)
    changes = [int(row["change"]) for row in moved]
    assert all(a - b == c for (a, b), c in zip(pairwise(balances), changes, strict=False))
    assert mine.get("/api/user/credit/transactions", end=1).json["count"] == 0
    assert mine.get("/api/user/credit/grants", pageSize=101).status == 400
    other = Api(hub, books.customer().key)
    assert other.get("/api/user/credit/transactions").json["list"] == []


def test_a_statement_to_download(hub, books):
    caller = books.customer(nano("1"))
    call = spend(hub, caller)
    mine = Api(hub, caller.key)
    answer = mine.get("/api/user/credit/statement.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="statement.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["row"] for row in rows] == ["opening", "transfer", "transfer", "closing", "grant"]
    charged = rows[2]
    assert (charged["call_id"], charged["model"]) == (call, f"openai/{MODEL}")
    assert (charged["change"], charged["balance"]) == (f"-{PRICE}", "0.978")
    assert (charged["input_tokens"], charged["output_tokens"]) == ("10", "6")
    later = mine.get("/api/user/credit/statement.csv", since="2100-01-01T00:00:00Z")
    assert later.text.splitlines()[1].startswith("opening,2100-01-01T00:00:00.000000Z,,,,,,0.978,")
    assert mine.get("/api/user/credit/statement.csv", since="1").code == "invalid_request"
    assert Api(hub).get("/api/user/credit/statement.csv").status == 401


def test_how_long_credit_lasts(hub, books):
    caller = books.customer(nano("1"))
    mine = Api(hub, caller.key)
    unused = mine.get("/api/usage/quota").json
    assert (unused["estimatedDaysRemaining"], unused["dailyAvgCredits"]) == (999, 0)
    spend(hub, caller, times=2)
    text = mine.get("/api/usage/quota").text
    # Numbers, to the last place: 0.044 credits over 30 days.
    assert '"dailyAvgCredits":0.001466667' in text
    quota = json.loads(text)
    assert (quota["total"], quota["remaining"], quota["used"]) == (1, 0.956, 0.044)
    assert quota["estimatedDaysRemaining"] == 651


@pytest.mark.parametrize(
    ("remaining", "spent", "days"),
    [(0, 0, 0), (-5, 3, 0), (5, 0, 999), (1, 10**12, 1), (30, 30, 30), (59, 60, 29), (7, -3, 999)],
)
def test_days_left(remaining, spent, days):
    assert days_left(remaining, spent) == days


def test_credit_is_granted_once_for_a_key(hub, books, admin):
    holder = books.customer()
    body = {"user": holder.user.email, "amount": "3.5", "category": "promotional", "name": "gift"}
    once = {"idempotency-key": "gift 1"}
    made = admin.send("POST", "/api/admin/grants", body=body, headers=once).json
    assert (made["amount"], made["remaining"], made["balance"]) == ("3.5", "3.5", "3.5")
    again = admin.send("POST", "/api/admin/grants", body=body, headers=once)
    assert (again.status, again.json) == (200, made)
    assert again.headers["idempotency-replayed"] == "true"
    other = admin.send("POST", "/api/admin/grants", body=body | {"amount": "4"}, headers=once)
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    assert admin.post("/api/admin/grants", **body).json["balance"] == "7"
    listed = admin.get("/api/admin/grants", user=holder.user.did).json
    assert listed["count"] == 2
    assert {row["name"] for row in listed["list"]} == {"gift"}
    assert {row["status"] for row in listed["list"]} == {"granted"}
    assert admin.get("/api/admin/grants", user=holder.user.did, status="voided").json["list"] == []


def test_a_call_is_refunded_once_for_a_key(hub, books, admin):
    caller = books.customer(nano("1"))
    call = spend(hub, caller)
    path = f"/api/admin/calls/{call}/refund"
    once = {"idempotency-key": "ticket 7"}
    part = admin.send("POST", path, body={"amount": "0.002"}, headers=once).json
    assert (part["amount"], part["balance"]) == ("0.002", "0.98")
    assert admin.send("POST", path, body={"amount": "0.002"}, headers=once).json == part
    gift = {"user": caller.user.email, "amount": "0.002"}
    elsewhere = admin.send("POST", "/api/admin/grants", body=gift, headers=once)
    assert (elsewhere.status, elsewhere.code) == (422, "idempotency_mismatch")
    other = admin.send("POST", path, body={"amount": "0.003"}, headers=once)
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    too_much = admin.post(path, amount="0.021")
    assert (too_much.status, "At most 0.02" in too_much.message) == (400, True)
    rest = {"idempotency-key": "ticket 8"}
    done = admin.send("POST", path, headers=rest).json
    assert done["balance"] == "1"
    refused = admin.send("POST", path, headers={"idempotency-key": "ticket 9"})
    assert refused.code == "invalid_request"
    assert (caller.balance, caller.account.lots[0].remaining) == (NANO, NANO)
    spend(hub, caller)
    assert admin.send("POST", path, headers=rest).json == done
    assert caller.balance == nano("0.978")


def test_a_grant_is_revoked_and_what_was_spent_of_it_is_owed(hub, books, admin):
    caller = books.customer(nano("0.15"), overdraft=nano("0.01"))
    spend(hub, caller)
    (grant,) = admin.get("/api/admin/grants", user=caller.user.id).json["list"]
    path = f"/api/admin/grants/{grant['id']}/revoke"
    made = admin.send("POST", path).json
    assert (made["amount"], made["written_off"], made["balance"]) == ("0.138", "0.012", "-0.01")
    assert admin.send("POST", path).status == 400
    assert admin.post("/api/admin/grants/nothing/revoke").status == 404
    assert admin.get("/api/admin/grants", user=caller.user.id).json["list"][0]["status"] == "voided"


def test_an_imported_grant_is_revoked_by_its_name_with_slashes(books, admin):
    giver, heir = books.customer(nano("2")), books.customer()

    def exported(view):
        found = account_history.statement(view, giver.user.id, None, None)
        return replace(found, movements=list(found.movements))

    found = books.read(exported)
    books.change(
        lambda change: history_import.import_statement(change, heir.user.id, found, nano("2"))
    )
    (grant,) = admin.get("/api/admin/grants", user=heir.user.id).json["list"]
    assert grant["id"].startswith(f"imported/{heir.user.id}/")
    kit = f"/payment/api/credit-grants/{grant['id']}"
    assert admin.get(kit).json["amount"] == str(nano("2"))
    made = admin.post(f"/api/admin/grants/{grant['id']}/revoke", amount="0.5")
    assert (made.status, made.json["balance"]) == (200, "1.5")
    quoted = grant["id"].replace("/", "%2F")
    made = admin.post(f"/api/admin/grants/{quoted}/revoke", amount="0.5")
    assert (made.status, made.json["balance"]) == (200, "1")
    ended = admin.send("PUT", kit, body={"expired": True})
    assert (ended.status, heir.balance) == (200, 0)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/admin/grants", {"user": "nobody@example.com", "amount": "1"}, 404),
        ("/api/admin/grants", {"user": "owner@localhost", "amount": "0"}, 400),
        ("/api/admin/grants", {"user": "owner@localhost", "amount": "-1"}, 400),
        ("/api/admin/grants", {"user": "owner@localhost", "amount": 1}, 400),
        ("/api/admin/grants", {"user": "owner@localhost", "amount": "9999999999"}, 400),
        ("/api/admin/grants", {"user": "owner@localhost", "amount": "1", "priority": 101}, 400),
        ("/api/admin/grants", {"user": "owner@localhost", "amount": "1", "expires_at": "x"}, 400),
        ("/api/admin/grants", {"amount": "1"}, 400),
        ("/api/admin/calls/nothing/refund", {}, 404),
        ("/api/admin/calls/nothing/refund", {"amount": "NaN"}, 400),
        ("/api/admin/calls/nothing/refund", {"sum": "1"}, 400),
    ],
)
def test_what_makes_no_correction_is_refused(admin, path, body, status):
    assert admin.post(path, **body).status == status


def test_only_an_administrator_corrects(hub, books):
    caller = books.customer(nano("1"))
    call = spend(hub, caller)
    mine = Api(hub, caller.key)
    for path in ("/api/admin/grants", f"/api/admin/calls/{call}/refund"):
        assert mine.send("POST", path, body={}).status == 403
    assert mine.get("/api/admin/grants").status == 403


def test_commands(hub, books):
    caller = books.customer(nano("1"))
    call = spend(hub, caller)
    part = hub.cli("credits", "refund", call, "--amount", "0.012")
    assert (part["amount"], part["balance"]) == ("0.012", "0.99")
    assert hub.cli("credits", "refund", call)["balance"] == "1"
    history = hub.cli("credits", "history", "--user", caller.user.email)
    grant = history[-1]["grant_id"]
    taken = hub.cli("credits", "revoke", grant, "--amount", "0.4")
    assert (taken["amount"], taken["written_off"], taken["balance"]) == ("0.4", "0", "0.6")
    assert [hub.run("credits", verb, "nothing").returncode for verb in ("refund", "revoke")] == [
        4,
        4,
    ]
