"""Webhooks of a running hub: what a receiver gets, and what nobody does.

Every message is read with the official package of Standard Webhooks.
"""

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
from tests.caller import ask
from tests.conftest import config_for
from tests.faults.test_transport_egress import SPELLINGS
from tests.hub import HubProcess
from tests.integration.test_api_access import call
from tests.receiver import Receiver

from aigne_hub.billing.payments import Checkout, EventKind, PaymentEvent
from aigne_hub.bootstrap import open_hub
from aigne_hub.domain.access import DEFAULT_SCOPES, Role, Scope
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.events import RETRY_DELAYS_S
from aigne_hub.domain.limits import NEARLY
from aigne_hub.domain.money import parse_credits
from aigne_hub.domain.orders import Reason, ReturnKind, ReturnState
from aigne_hub.domain.windows import Window
from aigne_hub.settings import load_settings
from aigne_hub.storage import deliveries, grants, keys, orders, payment_events, users, webhooks
from aigne_hub.storage.changes import changes
from aigne_hub.storage.deliveries import State
from aigne_hub.storage.engine import reading

MODEL = "gpt-tokens:1:3"
LATE_S = 1.0  # in which nothing more may come
UNLIMITED = keys.Limits()


class Desk:
    """An administrator of a running hub, without the start of a command each time."""

    def __init__(self, process):
        self.process = process
        self._hub = open_hub(
            load_settings(process.environment(), data_dir=process.folder), process.environment()
        )
        self._users = 0

    def close(self):
        self._hub.engine.dispose()

    @contextmanager
    def changing(self):
        hub = self._hub
        with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
            yield change

    def user(self, amount="0"):
        self._users += 1
        with self.changing() as change:
            made = users.create(
                change,
                self._hub.keyring,
                os.urandom,
                email=f"user{self._users}@example.com",
                role=Role.MEMBER,
            )
        if amount != "0":
            self.grant(made, amount)
        return made

    def grant(self, user, amount):
        with self.changing() as change:
            grants.grant(
                change.connection, change.clock, change.ids, user.id, parse_credits(amount)
            )
            change.audit("credits.grant", user.id)

    def key(self, user, limits=UNLIMITED, scopes=DEFAULT_SCOPES):
        hub = self._hub
        with self.changing() as change:
            return keys.create(
                change,
                hub.keyring,
                os.urandom,
                hub.pepper,
                user=user,
                limits=limits,
                scopes=scopes,
            ).text

    def order(self, user):
        """Make an order of 10 credits for 5 USD, as somebody opens a checkout."""
        with self.changing() as change:
            made = orders.create(
                change,
                os.urandom,
                account_id=user.id,
                provider="manual",
                reason=Reason.CHECKOUT,
                credits_=parse_credits("10"),
                amount=500,
                currency="usd",
                expires_us=self._hub.clock.now_us() + 3_600_000_000,
            )
            checkout = Checkout("", f"cs_{made.order.id}", made.expires_us)
            orders.attach(change, made.order.id, checkout)
            return orders.load(change.connection, made.order.id).order

    @property
    def admin_key(self):
        with reading(self._hub.engine) as view:
            owner = users.find(view, self.process.user)
        return self.key(owner, scopes={Scope.ADMIN})

    def endpoint(self, receiver, *types, user=None):
        """Make an endpoint the operator trusts: its receiver is on this machine."""
        with self.changing() as change:
            made, secret = webhooks.create(
                change,
                self._hub.keyring,
                os.urandom,
                url=receiver.url,
                types=types,
                account_id=user and user.id,
                trusted=True,
            )
        return Made(self, made, secret)


@dataclass
class Made:
    """An endpoint, and what its hub says of it."""

    desk: Desk
    endpoint: webhooks.Endpoint
    secret: str

    @property
    def id(self):
        return self.endpoint.id

    def test(self):
        with self.desk.changing() as change:
            return deliveries.send_test(change, self.endpoint).event_id

    def replay(self, event):
        with self.desk.changing() as change:
            return deliveries.replay(change, event, self.endpoint)

    def sent(self):
        """Return what was sent to it, oldest first."""
        with reading(self.desk._hub.engine) as view:
            found = deliveries.of(view, 1000, endpoint_id=self.id)
        return found[::-1]

    def when_sent(self, condition, within_s=60.0):
        deadline = time.monotonic() + within_s
        while not (found := self.sent()) or not condition(found):
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found

    def remove(self):
        with self.desk.changing() as change:
            webhooks.remove(change, self.endpoint)


@pytest.fixture(scope="module")
def hub(tmp_path_factory, upstream):
    billing = {"enabled": True, "low_balance": ["3", "1"]}
    config = config_for(upstream, models=[MODEL], billing=billing, rates={"request": "1"})
    with HubProcess(tmp_path_factory.mktemp("webhooks") / "hub", config) as running:
        yield running
        running.verified()


@pytest.fixture(scope="module")
def desk(hub):
    opened = Desk(hub)
    yield opened
    opened.close()


@pytest.fixture
def receiver():
    with Receiver() as running:
        yield running


def buy(hub, key):
    """Make a call that costs one credit; return its status."""
    return ask(hub, f"openai/{MODEL}", key=key).status


def tried(found):
    return all(delivery.attempts for delivery in found)


def delivered(found):
    return all(delivery.state is State.DELIVERED for delivery in found)


def test_a_test_event_arrives_signed(hub, receiver):
    made = hub.cli("webhooks", "create", "--url", receiver.url, "--trusted")
    shown = hub.cli("webhooks", "test", made["id"])
    assert (shown["state"], shown["status"], shown["attempts"]) == ("delivered", 204, 1)
    (message,) = receiver.messages
    assert (message.id, message.path) == (shown["event"], "/hook?for=hub")
    assert message.headers["content-type"] == "application/json"
    assert message.verified(made["secret"]) == {
        "type": "webhook.test",
        "timestamp": shown["created_at"],
        "data": {"endpoint_id": made["id"]},
    }
    hub.cli("webhooks", "remove", made["id"])
    log = hub.log()
    assert made["secret"] not in log
    assert "endpoint_id" not in log


def test_the_alerts_of_a_limit_come_once_each_however_many_calls_race(hub, desk, receiver):
    user = desk.user("100")
    key = desk.key(user, keys.Limits(parse_credits("20"), Window.MONTH))
    made = desk.endpoint(receiver, "limit.reached", user=user)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: buy(hub, key), range(40)))
    assert Counter(answers) == {200: 20, 402: 20}
    bodies = [message.verified(made.secret) for message in receiver.when(3)]
    time.sleep(LATE_S)
    assert len(receiver.messages) == len(set(receiver.ids)) == 3
    assert sorted(body["data"]["percent"] for body in bodies) == [50, 80, 100]
    for body in bodies:
        data = body["data"]
        assert (body["type"], data["user_id"]) == ("limit.reached", user.id)
        assert (data["subject"], data["window"], data["amount"]) == ("key", "month", "20")
        # 100 is also told when what is left cannot pay what was asked for.
        assert int(data["used"]) * 100 >= 20 * min(data["percent"], NEARLY)
        assert data["resets_at"].endswith("-01T00:00:00.000000Z")
    made.when_sent(delivered)
    made.remove()


def test_a_low_balance_is_told(hub, desk, receiver):
    user = desk.user("4.5")
    made = desk.endpoint(receiver, "credits.low", user=user)
    key = desk.key(user)
    assert [buy(hub, key) for _ in range(2)] == [200, 200]
    (message,) = receiver.when(1)
    assert message.verified(made.secret)["data"] == {
        "threshold": "3",
        "available": "2.5",
        "user_id": user.id,
    }
    made.remove()


def test_a_payment_and_its_refund_are_told_once_each(desk, receiver):
    user, other = desk.user(), desk.user()
    made = desk.endpoint(receiver, "payment.paid", "payment.refunded", user=user)
    order = desk.order(user)
    desk.order(other)
    paid = PaymentEvent(
        provider="manual",
        id=f"confirm/{order.id}",
        kind=EventKind.PAID,
        order_id=order.id,
        reason=Reason.CHECKOUT,
        external_ids=(order.external_id,),
        payment_ref=order.external_id,
        amount=order.amount,
        currency=order.currency,
    )
    refunded = replace(
        paid,
        id=f"refund/{order.id}",
        kind=EventKind.RETURN,
        return_id=f"re_{order.id}",
        return_kind=ReturnKind.REFUND,
        return_state=ReturnState.ACTIVE,
        amount=200,
    )
    for event in (paid, paid, refunded, refunded, paid):
        with desk.changing() as change:
            payment_events.apply(change, event)
    bodies = [message.verified(made.secret) for message in receiver.when(2)]
    time.sleep(LATE_S)
    assert len(receiver.messages) == 2
    assert [
        (body["type"], body["data"]["order_id"], body["data"]["user_id"], body["data"]["returned"])
        for body in bodies
    ] == [
        ("payment.paid", order.id, user.id, "0.00"),
        ("payment.refunded", order.id, user.id, "2.00"),
    ]
    made.remove()


def test_what_failed_is_sent_again_under_the_same_id_and_a_new_time(desk):
    with Receiver(lambda count: 503 if count == 0 else 200) as receiver:
        made = desk.endpoint(receiver)
        made.test()
        (before,) = made.when_sent(tried)
        assert (before.state, before.status) == (State.PENDING, 503)
        assert before.error == "answered 503"
        first, second = receiver.when(2)
        assert RETRY_DELAYS_S[0] <= second.at - first.at < 2 * RETRY_DELAYS_S[0]
        assert first.id == second.id
        assert first.body == second.body
        assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
        assert first.verified(made.secret) == second.verified(made.secret)
        (after,) = made.when_sent(delivered)
        assert (after.attempts, after.error) == (2, None)
        made.remove()


def test_a_replay_keeps_the_id(desk, receiver):
    made = desk.endpoint(receiver)
    event = made.test()
    made.when_sent(delivered)
    (queued,) = made.replay(event)
    assert (queued.state, queued.attempts) == (State.PENDING, 0)
    first, second = receiver.when(2)
    assert first.id == second.id == event
    assert second.verified(made.secret) == first.verified(made.secret)
    with pytest.raises(NotFound):
        made.replay("evt_none")
    made.remove()


def test_an_endpoint_that_is_gone_is_disabled(desk):
    with Receiver(lambda _: 410) as receiver:
        made = desk.endpoint(receiver)
        made.test()
        (shown,) = made.when_sent(tried)
        assert (shown.state, shown.status) == (State.FAILED, 410)
        with reading(desk._hub.engine) as view:
            now = webhooks.find(view, made.id)
        assert now.disabled_us is not None
        made.endpoint = now
        with pytest.raises(InvalidRequest, match="410"):
            made.test()
        assert len(receiver.messages) == 1
        made.remove()


def test_a_users_endpoint_sees_no_other_accounts_events(hub, desk):
    one, other = desk.user(), desk.user("2")
    others_key = desk.key(other, keys.Limits(parse_credits("2"), Window.DAY))
    with Receiver() as mine, Receiver() as theirs, Receiver() as everybodys:
        made = desk.endpoint(mine, user=one)
        others = desk.endpoint(theirs, "limit.reached", user=other)
        operators = desk.endpoint(everybodys, "limit.reached")
        assert buy(hub, others_key) == 200
        (event,) = theirs.when(1)
        assert [message.id for message in everybodys.when(1)] == [event.id]
        own_key, admin_key = desk.key(one), desk.admin_key
        body = {"event": event.id}
        path = f"webhooks/{made.id}/replay"
        assert call(hub, "POST", f"/api/user/{path}", body, key=own_key)[0] == 404
        assert call(hub, "POST", f"/api/admin/{path}", body, key=admin_key)[0] == 404
        for foreign in (others, operators):
            for method, action in (("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
                path = f"/api/user/webhooks/{foreign.id}{action}"
                assert call(hub, method, path, key=own_key)[0] == 404
        status, listed = call(hub, "GET", "/api/user/webhooks", key=own_key)
        assert (status, [each["id"] for each in listed["webhooks"]]) == (200, [made.id])
        time.sleep(LATE_S)
        assert mine.connections == 0
        assert made.sent() == []
        for each in (made, others, operators):
            each.remove()


def test_endpoints_over_http_are_made_tested_listed_and_removed(hub, desk):
    user = desk.user()
    key, admin_key = desk.key(user), desk.admin_key
    new = {"url": "https://hooks.invalid/x?y=1", "types": ["credits.low"]}
    status, made = call(hub, "POST", "/api/user/webhooks", new, key=key)
    assert (status, made["user_id"], made["trusted"]) == (201, user.id, False)
    assert made["types"] == ["credits.low"]
    path = f"/api/user/webhooks/{made['id']}"
    status, queued = call(hub, "POST", f"{path}/test", key=key)
    assert (status, queued["state"], queued["type"]) == (200, "pending", "webhook.test")
    shown = when_tried(hub, key, made["id"])
    assert (shown["event"], shown["status"]) == (queued["event"], None)
    assert shown["error"] == "hooks.invalid:443: the host name has no address"
    status, listed = call(hub, "GET", "/api/admin/webhooks", key=admin_key)
    assert status == 200
    assert made["id"] in [each["id"] for each in listed["webhooks"]]
    assert "secret" not in str(listed)
    assert call(hub, "DELETE", path, key=key) == (200, {"ok": True})
    assert call(hub, "DELETE", path, key=key)[0] == 404
    whole = {**new, "types": [], "user": user.email}
    status, made = call(hub, "POST", "/api/admin/webhooks", whole, key=admin_key)
    assert (status, made["user_id"], made["types"]) == (201, user.id, [])
    assert call(hub, "POST", "/api/admin/webhooks", whole, key=key)[0] == 403
    assert call(hub, "DELETE", f"/api/admin/webhooks/{made['id']}", key=admin_key)[0] == 200


def when_tried(hub, key, endpoint_id):
    deadline = time.monotonic() + 60
    while True:
        path = f"/api/user/webhooks/{endpoint_id}/deliveries?failed=true"
        status, shown = call(hub, "GET", path, key=key)
        assert status == 200
        if shown["deliveries"]:
            return shown["deliveries"][0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    "body",
    [
        {"url": "http://example.com/"},
        {"url": "https://user:secret@example.com/"},
        {"url": "https://example.com/#there"},
        {"url": "file:///etc/passwd"},
        {"url": "https://example.com/" + "x" * 2048},
        {"url": "https://example.com/", "types": ["calls.all"]},
        {"url": "https://example.com/", "trusted": True},
        {"url": 7},
        {},
    ],
)
def test_what_is_no_endpoint_is_refused(hub, body):
    status, answer = call(hub, "POST", "/api/user/webhooks", body, key=hub.key)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert "secret@" not in str(answer)


def test_alert_thresholds_are_the_hubs_until_a_user_sets_some(hub, desk):
    user = desk.user()
    key = desk.key(user)
    path = "/api/user/alerts"
    assert call(hub, "GET", path, key=key) == (200, {"low_balance": ["3", "1"], "default": True})
    changed = {"low_balance": ["0.5", "20"]}
    assert call(hub, "PUT", path, changed, key=key) == (
        200,
        {"low_balance": ["20", "0.5"], "default": False},
    )
    assert call(hub, "PUT", path, {"low_balance": []}, key=key)[1]["low_balance"] == []
    assert call(hub, "PUT", path, {"low_balance": None}, key=key)[1]["default"] is True
    for wrong in (["0"], ["-1"], [1], ["1"] * 9, "1"):
        assert call(hub, "PUT", path, {"low_balance": wrong}, key=key)[0] == 400


def test_no_address_in_a_url_leads_inside(hub, desk):
    key = desk.key(desk.user())
    with Receiver() as canary:
        made = []
        for spelling in SPELLINGS:
            new = {"url": f"https://{spelling}:{canary.port}/"}
            status, endpoint = call(hub, "POST", "/api/user/webhooks", new, key=key)
            assert status == 201, spelling
            made.append(endpoint["id"])
            assert call(hub, "POST", f"/api/user/webhooks/{made[-1]}/test", key=key)[0] == 200
        for endpoint_id in made:
            shown = when_tried(hub, key, endpoint_id)
            assert shown["status"] is None
            assert "address" in shown["error"]
            call(hub, "DELETE", f"/api/user/webhooks/{endpoint_id}", key=key)
        assert canary.connections == 0


def test_a_redirect_is_not_followed(desk):
    with Receiver() as canary, Receiver(lambda _: (302, {"location": canary.url})) as receiver:
        made = desk.endpoint(receiver)
        made.test()
        (shown,) = made.when_sent(tried)
        assert (shown.status, shown.delivered_us) == (302, None)
        made.remove()
        assert len(receiver.messages) == 1
        assert canary.connections == 0


def test_a_hub_killed_before_it_could_note_the_answer_sends_again(new_hub):
    hub = new_hub()
    desk = Desk(hub)
    with Receiver() as receiver:
        made = desk.endpoint(receiver)
        receiver.gate.clear()
        made.test()
        receiver.when(1)
        hub.kill()
        assert [each.attempts for each in made.sent()] == [0]
        receiver.gate.set()
        hub.start()
        first, second = receiver.when(2)
        assert first.id == second.id
        assert second.verified(made.secret) == first.verified(made.secret)
        (after,) = made.when_sent(delivered)
        assert after.attempts == 1
        time.sleep(LATE_S)
        assert len(receiver.messages) == 2
    desk.close()


def test_two_workers_do_not_send_the_same_event_both(new_hub, database):
    events = 6
    hub = new_hub(workers=2, database=database)
    desk = Desk(hub)
    with Receiver(takes_s=0.3) as slow, Receiver() as quick:
        made = [desk.endpoint(receiver) for receiver in (slow, quick)]
        for each in made * events:
            each.test()
        for receiver, each in zip((slow, quick), made, strict=True):
            found = each.when_sent(lambda found: len(found) == events and delivered(found))
            # One at a time, in the order in which they happened.
            assert receiver.at_once_max == 1
            assert receiver.ids == [delivery.event_id for delivery in found]
        time.sleep(LATE_S)
        assert len(slow.ids) == len(quick.ids) == events
    desk.close()
