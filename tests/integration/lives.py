"""Accounts with a past: everything that can happen to credit, in an order drawn at random."""

from contextlib import suppress
from random import Random

from sqlalchemy import text

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.lots import Category
from aigne_hub.storage import accounts, corrections, grants, metering, meters, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import writing

MODELS = ("openai/gpt-4o", "openai/gpt-4o-mini", "anthropic/claude")
DAY_S = 86_400

SETTLED = (
    """INSERT INTO model_call (id, status, outcome, account_id, user_did, app_did, key_id,
        process_id, request_id, type, model, stream, input_counted, started_us, charge,
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens)
    VALUES (:id, 'success', 'completed', :u, :did, 'd', 'k', 'p', 'r', 'chat', :model, 0, 1, :now,
        :charge, :read, :wrote, 1, 0)""",
    """INSERT INTO hold (call_id, account_id, amount, state, captured, created_us, expires_us,
        resolved_us) VALUES (:id, :u, 0, 'captured', :paid, :now, :now + 1, :now)""",
    """INSERT INTO meter_event (call_id, meter, account_id, value, created_us)
    VALUES (:id, 'm', :u, :charge, :now)""",
)


def user(hub, email, overdraft=0):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        make = (change, hub.keyring, hub.randbytes)
        return users.create(*make, email=email, role=Role.MEMBER, overdraft=overdraft)


def charge(hub, holder, amount, model=MODELS[0], read=10, wrote=5):
    """Charge a call of `amount` nano-credits as the journal does; return its id."""
    call_id, now = hub.ids(), hub.clock.now_us()
    values = {"id": call_id, "u": holder.id, "did": holder.did, "now": now, "charge": amount}
    values |= {"model": model, "read": read, "wrote": wrote}
    with writing(hub.engine) as connection:
        account = accounts.load(connection, holder.id, lock=True)
        transfers = account.advance(now)
        taken = account.capture(call_id, held=0, charge=amount, at_us=now)
        values["paid"] = sum(entry.amount for entry in taken if entry.kind == "capture")
        for statement in SETTLED:
            used = {key: value for key, value in values.items() if f":{key}" in statement}
            connection.execute(text(statement), used)
        accounts.save(connection, account, transfers + taken)
    return call_id


class Life:
    """One account and what happens to it. `calls` are those that were charged something."""

    def __init__(self, hub, seed, overdraft=0):
        self.hub = hub
        self.draw = Random(seed)
        self.user = user(hub, f"life{seed}@example.com", overdraft)
        self.calls = []
        self.grants = []
        with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
            name = f"meter-{seed}"
            self.meter = meters.create(change, event_name=name, name=name, unit="x").id

    def run(self, steps):
        for _ in range(steps):
            step = self.draw.choices(
                [self.grant, self.charge, self.refund, self.reverse, self.adjust, self.meter_usage],
                [4, 8, 2, 1, 1, 2],
            )[0]
            with suppress(HubError):  # nothing is left to refund or to take back
                step()
            self.hub.clock.advance(self.draw.choice([0, 1, DAY_S]))
            with writing(self.hub.engine) as connection:
                grants.advance_due(connection, self.hub.clock.now_us())
                metering.collect_due(connection, self.hub.clock.now_us())
        return self

    def amount(self):
        return self.draw.choice([1, 7, 10**9, self.draw.randrange(1, 5 * 10**9)])

    def grant(self):
        now, day = self.hub.clock.now_us(), DAY_S * 10**6
        later = self.draw.choice([None, None, now + 2 * day, now + 40 * day])
        terms = grants.Terms(
            category=self.draw.choice(list(Category)),
            priority=self.draw.randrange(101),
            effective_us=self.draw.choice([None, None, None, now + day]),
            expires_us=later,
            name=self.draw.choice(["", '=cmd|"/c calc"!A1', 'it\'s, "quoted"', "-5 %", "ünïcode"]),
        )
        with writing(self.hub.engine) as connection:
            made = grants.grant(
                connection, self.hub.clock, self.hub.ids, self.user.id, self.amount(), terms
            )
        self.grants.append(made.id)

    def charge(self):
        model = self.draw.choice(MODELS)
        read, wrote = self.draw.randrange(1000), self.draw.randrange(1000)
        self.calls.append(charge(self.hub, self.user, self.amount(), model, read, wrote))

    def refund(self):
        if self.calls:
            call = self.draw.choice(self.calls)
            part = self.draw.choice([None, 1, self.amount()])
            with writing(self.hub.engine) as connection:
                corrections.refund_call(
                    connection, self.hub.clock.now_us(), f"refund/{self.hub.ids()}", call, part
                )

    def adjust(self):
        if self.calls:
            call = self.draw.choice(self.calls)
            with writing(self.hub.engine) as connection:
                corrections.adjust_call(
                    connection,
                    self.hub.clock.now_us(),
                    f"adjust/{self.hub.ids()}",
                    call,
                    self.amount(),
                )

    def reverse(self):
        if self.grants:
            grant = self.draw.choice(self.grants)
            part = self.draw.choice([None, 1, self.amount()])
            with writing(self.hub.engine) as connection:
                corrections.reverse_grant(
                    connection, self.hub.clock.now_us(), f"reverse/{self.hub.ids()}", grant, part
                )

    def meter_usage(self):
        usage = metering.Usage(
            f"={self.hub.ids()}", self.meter, self.user.id, self.amount(), 1, created_by="k"
        )
        with writing(self.hub.engine) as connection:
            metering.record(connection, self.hub.clock.now_us(), self.hub.ids, usage)
