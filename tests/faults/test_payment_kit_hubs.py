"""Two hubs, one of which is the other's Payment Kit: accounts agree, whoever dies when."""

import random
import threading
import time
from collections.abc import Callable

import pytest
from tests.caller import ask
from tests.hub import HubProcess
from tests.payment_kit import Program, admin_of

from aigne_hub.domain.money import NANO_PER_CREDIT, parse_credits

MODEL = "gpt-4o-mini"
# Who dies in each round: the shop, the bank, both.
ROUNDS = 3
WAIT_S = 90.0


def opened(
    new_hub: Callable[..., HubProcess], database: str = "sqlite"
) -> tuple[HubProcess, HubProcess, Program]:
    """Start a bank, and a shop that keeps its accounts there."""
    bank = new_hub(database=database, billing={"enabled": True})
    kit = admin_of(bank)
    account = {"url": f"{bank.address}/payment", "token": kit.key}
    billing = {"enabled": True, "payments": {"payment_kit": account}}
    return new_hub(database=database, billing=billing), bank, kit


def did_of(hub: HubProcess) -> str:
    return str(hub.owner["owner"]["did"])


def nano(amount: int) -> str:
    return str(amount * NANO_PER_CREDIT)


def eventually(condition: Callable[..., bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"never {what}"
        time.sleep(0.2)


def metered(kit: Program) -> dict[str, str]:
    """Return what was metered at the bank: nano-credits by identifier, of which each is one."""
    found: dict[str, tuple[str, str]] = {}
    page = 1
    while True:
        events = kit.get("/meter-events", page=page, pageSize=100)["list"]
        for event in events:
            this = (event["id"], event["credit_consumed"])
            assert found.setdefault(event["identifier"], this) == this
        if len(events) < 100:
            return {name: consumed for name, (_, consumed) in found.items()}
        page += 1


def balance(hub: HubProcess) -> str:
    """Return what its owner has in a hub, as nano-credits."""
    left: str = Program(hub, hub.key).get("/credit-grants/summary")["credits"]["remainingAmount"]
    return left


def grants(hub: HubProcess) -> list[str]:
    """Return the amounts that its owner was granted in a hub."""
    found = Program(hub, hub.key).get("/credit-grants", pageSize=100)["list"]
    return sorted(grant["amount"] for grant in found)


def charged(shop: HubProcess) -> dict[str, str]:
    """Return what calls cost in the shop: nano-credits by call."""
    calls = shop.calls(limit=100_000)
    return {c["id"]: str(parse_credits(c["credits"])) for c in calls if c["credits"] != "0"}


def test_what_is_bought_arrives_and_what_is_used_is_reported(new_hub):
    shop, bank, kit = opened(new_hub)
    did = did_of(shop)
    # Who has no credit yet is sent to where it is sold.
    sold_at = f"{bank.address}/payment/checkout/pay/credits"
    eventually(
        lambda: ask(shop, f"openai/{MODEL}", max_tokens=20).error["link"] == sold_at,
        "sold at the bank",
    )
    granted = kit.grant(did, "2", category="paid", name="Top-up", priority=7)
    eventually(lambda: balance(shop) == nano(2), "mirrored")
    for _ in range(3):
        assert ask(shop, f"openai/{MODEL}", max_tokens=20).status == 200
    eventually(lambda: len(metered(kit)) == 3, "reported")
    assert metered(kit) == charged(shop)
    assert balance(shop) == kit.summary(did)["remainingAmount"] not in {"0", nano(2)}
    assert kit.pending(did) == "0"
    (entry,) = [e for e in shop.cli("credits", "history", "--user", did) if e["kind"] == "grant"]
    assert (entry["debit"], entry["amount"]) == ("funding:payment_kit", "2")
    (mirrored,) = Program(shop, shop.key).get("/credit-grants")["list"]
    kept = ("category", "name", "priority", "expires_at", "amount")
    assert [mirrored[name] for name in kept] == [granted[name] for name in kept]
    bank.verified()
    shop.verified()


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_double_whoever_dies(new_hub, database):
    shop, bank, kit = opened(new_hub, database)
    _live_and_die(shop, bank, kit, ROUNDS)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_nothing_is_lost_or_double_in_thirty_deaths(new_hub, database):
    shop, bank, kit = opened(new_hub, database)
    _live_and_die(shop, bank, kit, 30)


def _live_and_die(shop: HubProcess, bank: HubProcess, kit: Program, rounds: int) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    did = did_of(shop)
    kit.grant(did, "1000")
    eventually(lambda: balance(shop) == nano(1000), "mirrored")
    for number in range(rounds):
        calling = threading.Event()
        callers = [threading.Thread(target=_call, args=(shop, calling)) for _ in range(4)]
        for caller in callers:
            caller.start()
        before = len(charged(shop))
        eventually(lambda known=before: len(charged(shop)) > known + 1, "called")
        time.sleep(chance.uniform(0, 1.0))
        victims = [[shop], [bank], [shop, bank]][number % 3]
        kit_grant = threading.Thread(target=_grant, args=(kit, did))
        kit_grant.start()
        for victim in victims:
            time.sleep(chance.uniform(0, 0.2))
            victim.kill()
        calling.set()
        for caller in [*callers, kit_grant]:
            caller.join(60)
        for victim in reversed(victims):
            victim.start()
    eventually(lambda: charged(shop).keys() <= metered(kit).keys(), "reported")
    assert metered(kit) == charged(shop)
    assert len(charged(shop)) > rounds
    there = kit.get("/credit-grants", customer_id=did, pageSize=100)["list"]
    eventually(lambda: grants(shop) == sorted(grant["amount"] for grant in there), "mirrored")
    assert balance(shop) == kit.summary(did)["remainingAmount"]
    assert kit.pending(did) == "0"
    bank.verified()
    shop.verified()


def _call(shop: HubProcess, done: threading.Event) -> None:
    while not done.is_set():
        try:
            ask(shop, f"openai/{MODEL}", max_tokens=20)
        except OSError:
            time.sleep(0.05)


def _grant(kit: Program, did: str) -> None:
    """Buy something now and then; whether it was bought, its answer or the bank tells."""
    try:
        kit.call("POST", "/credit-grants", {"customer_id": did, "amount": "0.5"})
    except OSError:
        time.sleep(0.05)
