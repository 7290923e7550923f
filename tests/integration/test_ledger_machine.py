"""The ledger against its reference: any steps in any order, on both databases.

Hypothesis draws the steps: grants, calls that hold, extend, settle or die with their process,
corrections, metered usage, prices, limits, clocks that jump. After each one, every account,
lot, hold, call, counter and key must be as `ledger_model.Model` says; at the end of a sequence
every call is closed and `ledger verify` must find nothing.
"""

import asyncio
import json
import os
import shutil
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import make_url
from tests.integration import patience
from tests.integration.ledger_model import Model, Refused
from tests.integration.patience import (
    DatabaseUnavailable,
    MarkedWrites,
    PatientOrphans,
    PatientStore,
    answered,
    patiently,
    register,
)

from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.idempotency import Answer, Claim
from aigne_hub.domain.limits import Limit, Measure, Subject
from aigne_hub.domain.lots import Category
from aigne_hub.domain.operations import Open, Progress, Settle
from aigne_hub.domain.pricing import BLOCK, RateCard
from aigne_hub.domain.quotes import quote_tokens
from aigne_hub.domain.usage import Usage
from aigne_hub.domain.windows import Window
from aigne_hub.storage import (
    accounts,
    corrections,
    engine,
    grants,
    metering,
    postgres,
    postgres_statements,
    recovery,
    schema,
    sqlite_journal,
    verify,
)
from aigne_hub.storage.journal import GroupCommitJournal, JournalRefused
from aigne_hub.storage.statements import Statements
from aigne_hub.usage.cleanup import cleanup_stale_processing_calls

SECOND_US = 1_000_000
START_S = 1_772_150_400  # 2026-02-27: a month's end is near
ACCOUNTS = ("a0", "a1")
ZONE = ZoneInfo("Europe/Berlin")
# Spans that cross what time changes: an expiry, a minute, a day, a kept key, a month.
SPANS = (1, 2, 5, 61, 3 * 3600, 24 * 3600, 32 * 24 * 3600)
SEQUENCES = 200
STEPS = 40

some = st.integers(0, 999)
nano = st.integers(1, 25)
few = st.integers(0, 6)
maybe = st.booleans()
seldom = st.sampled_from((False, False, False, False, True))


class Clock:
    """Stands still within a step; its microseconds count the steps, so no instant repeats."""

    def __init__(self):
        self.seconds, self.steps = START_S, 0

    def tick(self):
        self.steps += 1
        return self.now_us()

    def now_us(self):
        return self.seconds * SECOND_US + self.steps

    def monotonic_us(self):
        return self.steps


class Alive:
    """storage.liveness.Liveness, as far as recovery asks."""

    def __init__(self, machine):
        self._machine = machine

    def dead(self, process_ids):
        return [each for each in process_ids if each not in self._machine.alive]


class LedgerMachine(RuleBasedStateMachine):
    """One database, two serving processes at most, and the model beside them."""

    def __init__(self, site):
        super().__init__()
        self.site = site
        self.loop = site.loop
        self.clock = Clock()
        self.model = Model()
        self.alive = {}
        self.known = {}
        self.made = 0
        self.refused = 0
        self.cards = []
        self.focused = False

    # -- the start of a sequence ----------------------------------------------------------

    @initialize(overdraft=nano, limited=maybe, prices=st.tuples(few, few), focused=maybe)
    def begin(self, overdraft, limited, prices, focused):
        # Half of the sequences are about what becomes of money once calls have ended.
        self.focused = focused
        self.site.reported.clear()
        self.site.reset([(overdraft, ACCOUNTS[0])])
        for name, own in zip(ACCOUNTS, (overdraft, 0), strict=True):
            self.model.add_account(name, own)
        self.limits = ()
        if limited:
            self.limits = (
                Limit(Subject.KEY, "k", Measure.CREDITS, Window.DAY, 40, ZONE),
                Limit(Subject.KEY, "k", Measure.REQUESTS, Window.MINUTE, 3),
                Limit(Subject.USER, "a0", Measure.STREAMS, Window.TOTAL, 2),
                Limit(Subject.USER, "a0", Measure.CREDITS, Window.MONTH, 60),
            )
        self.price(*prices)
        self.start()
        self.start()

    def teardown(self):
        try:
            if self.alive or self.made:
                self.close_everything()
        finally:
            for process in list(self.alive):
                self.crash(process)

    def close_everything(self):
        """Let every call end with its process: then nothing is held, and the books are right."""
        for process in list(self.alive):
            self.crash(process)
        self.start()
        self.recover(0)
        self.agree()
        assert not any(account["held"] for account in self.model.accounts.values())
        self.site.verify()

    def name(self, kind):
        self.made += 1
        return f"{kind}{self.made:06d}"

    def start(self):
        process = self.name("p")
        self.alive[process] = self.site.serve(process, self.clock)
        self.known[process] = set()

    def crash(self, process):
        self.loop.run_until_complete(self.alive.pop(process).die())

    def pick(self, things, number):
        things = list(things)
        return things[number % len(things)]

    # -- steps ----------------------------------------------------------------------------

    @rule(
        account=some, amount=nano, paid=maybe, priority=st.sampled_from((0, 50, 50, 100)),
        lasts=st.none() | few, later=st.none() | few, again=seldom, top_up=maybe,
    )  # fmt: skip
    def grant(self, account, amount, paid, priority, lasts, later, again, top_up):
        name, now = self.pick(ACCOUNTS, account), self.clock.tick()
        effective = None if later is None else now + later * SECOND_US
        expires = None
        if lasts is not None:
            expires = max(now, effective or 0) + (lasts + 1) * SECOND_US
        reference = None
        if top_up:
            known = sorted(filter(None, self.model.references))
            reference = self.pick(known, account) if again and known else self.name("pi_")
        lot = {
            "id": self.name("g"), "amount": amount, "paid": paid, "priority": priority,
            "expires": expires, "effective": effective, "reference": reference,
        }  # fmt: skip
        terms = grants.Terms(
            Category.PAID if paid else Category.PROMOTIONAL,
            priority,
            effective,
            expires,
            "funding:stripe" if top_up else None,
            reference,
        )
        self.admin(
            lambda: self.model.grant(now, name, lot),
            lambda view: grants.grant(view, self.clock, lambda: lot["id"], name, amount, terms),
        )

    @rule(ops=st.lists(st.tuples(st.sampled_from("ooopse"), some, few, few, maybe), max_size=3),
          process=some, whole=maybe)  # fmt: skip
    @precondition(lambda self: not self.focused and self.alive)
    def concurrently(self, ops, process, whole):
        """Let a process do several things at once: one batch, in the order they were asked."""
        self.clock.tick()
        process = self.pick(self.alive, process)
        steps, meant = [], set()
        for kind, number, first, second, flag in ops:
            if kind == "o":
                steps.append(self.opening(process, number, first, second, flag, whole))
                continue
            mine = [
                each
                for each in self.model.calls.values()
                if each["process"] == process and each["id"] not in meant
            ]
            if not mine:
                continue
            call = self.pick(reversed(mine), min(number, 5))
            meant.add(call["id"])
            if kind == "p":
                steps.append(self.progressing(call, first, second))
            else:
                steps.append(self.settling(call, first, second, flag, whole))
                if kind == "e":  # a second end, which must be refused
                    steps.append(self.settling(call, first, second, flag, whole))
        self.together(process, steps)

    @rule(account=some, tokens=few, limit=few, stream=maybe, explicit=maybe)
    @precondition(lambda self: not self.focused and self.alive)
    def open_one(self, account, tokens, limit, stream, explicit):
        self.clock.tick()
        process = self.pick(self.alive, account)
        self.together(process, [self.opening(process, account, tokens, limit, stream, explicit)])

    @rule(account=some, first=few, second=few, more=few)
    @precondition(lambda self: self.alive)
    def whole_call(self, account, first, second, more):
        """Let a call begin and end, so that there is something to correct."""
        self.clock.tick()
        process = self.pick(self.alive, account)
        steps = [self.opening(process, account, first, second, False, False)]
        self.together(process, steps)
        call = list(self.model.calls.values())[-1]
        if call["status"] == "processing":
            self.together(process, [self.settling(call, first, second + more + 1, False, False)])

    @rule(key=st.integers(0, 1), body=st.integers(0, 1), tokens=few, process=some)
    @precondition(lambda self: not self.focused and self.alive)
    def retry_with_a_key(self, key, body, tokens, process):
        self.clock.tick()
        process = self.pick(self.alive, process)
        claim = (bytes([key]) * 32, bytes([body]) * 32)
        self.together(process, [self.opening(process, key, tokens, 2, False, False, claim)])

    @rule(number=some)
    @precondition(lambda self: not self.focused and self.running())
    def sent(self, number):
        call = self.pick(self.running(), number)
        journal = self.alive[call["process"]].journal
        self.loop.run_until_complete(_sent(journal, call["id"]))

    @rule(number=some, first=few, second=few)
    @precondition(lambda self: not self.focused and self.running())
    def progress(self, number, first, second):
        self.clock.tick()
        call = self.pick(self.running(), number)
        self.together(call["process"], [self.progressing(call, first, second)])

    @rule(number=some, first=few, second=few, kept=maybe, whole=maybe)
    @precondition(lambda self: not self.focused and self.running())
    def settle(self, number, first, second, kept, whole):
        self.clock.tick()
        call = self.pick(self.running(), number)
        self.together(call["process"], [self.settling(call, first, second, kept, whole)])

    @rule(number=some)
    @precondition(lambda self: not self.focused and self.running())
    def lose_sight(self, number):
        call = self.pick(self.running(), number)
        self.known[call["process"]].discard(call["id"])

    @rule(number=some, amount=st.none() | nano, again=seldom)
    @precondition(lambda self: self.model.calls)
    def refund(self, number, amount, again):
        call, operation = self.charged(number), self.operation(number, again)
        now = self.clock.tick()
        self.admin(
            lambda: self.model.refund(now, operation, call, amount),
            lambda view: corrections.refund_call(view, now, operation, call, amount),
        )

    @rule(number=some, amount=nano, again=seldom)
    @precondition(lambda self: self.model.calls)
    def adjust(self, number, amount, again):
        call, operation = self.charged(number), self.operation(number, again)
        now = self.clock.tick()
        self.admin(
            lambda: self.model.adjust(now, operation, call, amount),
            lambda view: corrections.adjust_call(view, now, operation, call, amount),
        )

    @rule(number=some, amount=st.none() | nano, again=seldom)
    @precondition(lambda self: self.lots())
    def reverse(self, number, amount, again):
        (name, lot), operation = self.pick(self.lots(), number), self.operation(number, again)
        now = self.clock.tick()
        self.admin(
            lambda: self.model.reverse(now, operation, name, lot, amount),
            lambda view: corrections.reverse_grant(view, now, operation, lot, amount),
        )

    @rule(account=some, value=nano, again=seldom)
    def meter(self, account, value, again):
        name, now = self.pick(ACCOUNTS, account), self.clock.tick()
        known = sorted(self.model.reported)
        if again and known:
            identifier = self.pick(known, account)
            name, value = self.site.reported[identifier]
        else:
            identifier = self.name("m")
            self.site.reported[identifier] = (name, value)
        usage = metering.Usage(identifier, "meter", name, value, self.clock.seconds, "test")
        self.admin(
            lambda: self.model.meter(now, name, identifier, value),
            lambda view: metering.record(view, now, lambda: self.name("e"), usage),
        )

    @rule(tokens_in=few, tokens_out=few)
    @precondition(lambda self: not self.focused)
    def change_price(self, tokens_in, tokens_out):
        self.price(tokens_in, tokens_out)

    @rule(amount=few)
    def set_overdraft(self, amount):
        self.admin(
            lambda: self.model.set_overdraft(amount),
            lambda view: accounts.set_overdraft(view, amount),
        )

    @rule()
    def let_time_pass(self):
        now = self.clock.tick()
        self.model.pass_time(now)
        while self.site.write(lambda view: grants.advance_due(view, now)):
            pass
        while self.site.write(lambda view: metering.collect_due(view, now)):
            pass

    @rule(span=st.sampled_from(SPANS), back=maybe)
    def jump(self, span, back):
        self.clock.seconds += -min(span, 3 * 3600) if back else span

    @rule(process=some)
    @precondition(lambda self: not self.focused and self.alive)
    def kill(self, process):
        self.crash(self.pick(self.alive, process))

    @rule()
    @precondition(lambda self: not self.focused and len(self.alive) < 2)
    def restart(self):
        self.start()

    @rule(process=some)
    @precondition(lambda self: not self.focused and self.alive)
    def recover(self, process):
        process, now = self.pick(self.alive, process), self.clock.tick()
        expected = self.model.recover(now, process, self.alive, self.known[process])
        assert (
            self.loop.run_until_complete(self.alive[process].recover(self, self.known[process]))
            == expected
        )

    # -- how a step is taken on both sides --------------------------------------------------

    def running(self):
        return [
            call
            for call in self.model.calls.values()
            if call["status"] == "processing" and call["process"] in self.alive
        ]

    def charged(self, number):
        """Pick a call that was charged, mostly."""
        paid = [call["id"] for call in self.model.calls.values() if call.get("paid")]
        return self.pick(paid if paid and number % 10 else self.model.calls, number)

    def lots(self):
        return [(name, lot) for name in ACCOUNTS for lot in self.model.accounts[name]["lots"]]

    def operation(self, number, again):
        known = sorted({operation for _, operation in self.model.corrections})
        return self.pick(known, number) if again and known else self.name("x")

    def price(self, tokens_in, tokens_out):
        amounts = {"input": tokens_in * BLOCK // 2, "output": tokens_out * BLOCK // 2}
        rate = self.name("r")
        self.site.add_rate(rate, len(self.cards) + 1, amounts)
        self.cards.append((RateCard.of(rate, amounts), (tokens_in, tokens_out)))

    def admin(self, expected, actual):
        """Take a step outside the journal: the model's refusal must be the ledger's."""
        refusal = None
        try:
            expected()
        except Refused as refused:
            refusal = str(refused)
        answer = None
        try:
            self.site.write(actual)
        except HubError as error:
            answer = type(error).__name__
        assert answer == refusal

    def together(self, process, steps):
        expected = []
        for model_step, _, _ in steps:
            try:
                expected.append(model_step())
            except Refused as refused:
                expected.append(str(refused))
        journal = self.alive[process].journal
        answers = self.loop.run_until_complete(
            answered(journal, [step(journal) for _, step, _ in steps])
        )
        for want, got, (_, _, told) in zip(expected, answers, steps, strict=True):
            if isinstance(got, HubError | JournalRefused):
                assert type(got).__name__ == want, (got, want)
                self.refused += isinstance(got, JournalRefused)
            elif isinstance(got, BaseException):
                raise got
            else:
                assert told(got) == want

    def opening(self, process, number, tokens, limit, stream, explicit, claim=(None, None)):
        now, name, call_id = self.clock.now_us(), self.pick(ACCOUNTS, number), self.name("c")
        card, prices = self.pick(self.cards[-2:], 1)
        limits = self.limits if name == "a0" else ()
        billed = number % 11 != 0
        wanted = min(limit + 1, 1024) if stream else limit + 1
        call = {
            "id": call_id, "account": name, "process": process, "prices": prices, "in": tokens,
            "billed": billed, "wanted": wanted, "key": claim[0], "body": claim[1],
            "least": 1 if stream or not explicit else wanted,
            "spending": {
                limit.counter_id(now): limit.amount
                for limit in limits if limit.measure is Measure.CREDITS
            },
            "counting": {
                limit.counter_id(now): limit.amount
                for limit in limits
                if limit.measure is Measure.REQUESTS
                or (limit.measure is Measure.STREAMS and stream)
            },
        }  # fmt: skip
        operation = Open(
            call_id=call_id,
            account_id=name,
            user_did="did:abt:z",
            app_did="did:abt:zapp",
            key_id="k",
            type="chat",
            model="openai/m",
            rate_id=card.id,
            stream=stream,
            input_counted=tokens,
            request_id="r",
            started_us=now,
            quote=quote_tokens(
                card,
                input_tokens=tokens,
                output_limit=limit + 1,
                stream=stream,
                explicit=explicit,
                n=1,
            )
            if billed
            else None,
            limits=limits,
            claim=None if claim[0] is None else Claim(*claim),
        )
        call["card"] = card

        def told(admission):
            if admission.replay is not None:
                return admission.replay
            call["counters"] = admission.counters
            self.known[process].add(call_id)
            return admission.held

        return lambda: self.model.open(now, call), lambda books: books.open(operation), told

    def progressing(self, call, more, extend):
        now, call_id = self.clock.now_us(), call["id"]
        if call["status"] != "processing" or not call["billed"]:
            extend = 0
        delivered = call["delivered"] + more
        operation = Progress(
            call_id, call["account"], delivered, extend, None, call.get("counters", ())
        )
        return (
            lambda: self.model.progress(now, call_id, delivered, extend),
            lambda books: books.progress(operation),
            lambda added: added,
        )

    def settling(self, call, tokens_in, tokens_out, kept, cut_off):
        now, call_id = self.clock.now_us(), call["id"]
        # One in seven is charged nothing, one in three what its hold is.
        tokens = None if tokens_in == tokens_out else (tokens_in, tokens_out)
        cut_off = cut_off and tokens is not None and call["billed"] and tokens_in % 3 == 0
        held = call["hold"] or 0
        usage = None if tokens is None else Usage(input_tokens=tokens[0], output_tokens=tokens[1])
        charge = 0
        if usage is not None and call["billed"]:
            charge = held if cut_off else call["card"].cost(usage)
        operation = Settle(
            call_id=call_id,
            account_id=call["account"],
            outcome=Outcome.CUT_OFF if cut_off else Outcome.COMPLETED,
            held=held,
            charge=charge,
            usage=usage,
            usage_source=None if usage is None else UsageSource.PROVIDER,
            provider="openai",
            credential="main",
            ended_us=now,
            duration_us=1,
            ttfb_us=None,
            billed=call["billed"],
            model="openai/m",
            counters=call.get("counters", ()),
            claimed=call["key"] is not None,
            answer=Answer(200, "application/json", "openai/m", b"{}") if kept else None,
        )

        def told(settled):
            self.known[call["process"]].discard(call_id)
            return settled.charge, settled.written_off

        return (
            lambda: self.model.settle(now, call_id, tokens, whole_hold=cut_off, kept=kept),
            lambda books: books.settle(operation),
            told,
        )

    # -- what must be true after each step --------------------------------------------------

    @invariant()
    def agree(self):
        if not self.made:
            return
        model, books = self.model, self.site.read()
        lots = [lot for a in model.accounts.values() for lot in a["lots"].values()]
        calls = model.calls.values()
        assert books["account"] == {
            (name, model.balance(a), a["held"], a["overdraft"])
            for name, a in model.accounts.items()
        }
        assert all(model.available(account) >= 0 for account in model.accounts.values())
        assert books["credit_grant"] == {(lot["id"], lot["left"], lot["posted"]) for lot in lots}
        assert books["model_call"] == {
            (c["id"], c["status"] == "processing", c["charge"]) for c in calls
        }
        assert books["hold"] == {
            (c["id"], c["account"], c["hold"], c.get("resolved", "pending"), c.get("paid"))
            for c in calls
            if c["hold"] is not None
        }
        assert books["meter_event"] == {
            (c["id"], c["charge"]) for c in calls if c.get("resolved") == "captured"
        }
        assert books["charged"] == {
            (c["id"], lot, total) for c in calls for lot, total in _summed(c["entries"]) if total
        }
        assert books["posted"] == {
            (name, model.balance(account))
            for name, account in model.accounts.items()
            if model.balance(account)
        }
        assert books["metered_event"] == {
            (name, due) for a in model.accounts.values() for name, due in a["pending"].items()
        }
        assert books["limit_counter"] == {
            (name, c["used"], c["held"])
            for name, c in model.counters.items()
            if c["used"] or c["held"]
        }
        assert books["idempotency_key"] == {
            (key, claim["call"], claim["state"] != "running", claim["state"] == "kept")
            for key, claim in model.claims.items()
        }
        assert books["dead_letter"] == {(self.refused,)}


def _summed(entries):
    totals = {}
    for _, _, _, lot, part in entries:
        totals[lot] = totals.get(lot, 0) + part
    return totals.items()


async def _sent(journal, call_id):
    journal.sent(call_id)
    journal._flush_sent()
    await asyncio.sleep(0)


BOOKS = {
    "account": "SELECT id, balance, held, overdraft FROM account",
    "credit_grant": "SELECT id, remaining, posted FROM credit_grant",
    "model_call": "SELECT id, status = 'processing', charge FROM model_call",
    "hold": "SELECT call_id, account_id, amount, state, captured FROM hold",
    "meter_event": "SELECT call_id, value FROM meter_event",
    "charged": """SELECT call_id, grant_id,
            CAST(SUM(CASE WHEN kind = 'refund' THEN -amount ELSE amount END) AS BIGINT)
        FROM transfer WHERE call_id IS NOT NULL AND kind <> 'write_off'
        GROUP BY call_id, grant_id
        HAVING SUM(CASE WHEN kind = 'refund' THEN -amount ELSE amount END) <> 0""",
    "posted": """SELECT account_id, CAST(SUM(CASE WHEN credit = account_id THEN amount
            WHEN debit = account_id THEN -amount ELSE 0 END) AS BIGINT)
        FROM transfer GROUP BY account_id
        HAVING SUM(CASE WHEN credit = account_id THEN amount
            WHEN debit = account_id THEN -amount ELSE 0 END) <> 0""",
    "metered_event": "SELECT identifier, pending FROM metered_event",
    "limit_counter": "SELECT id, used, held FROM limit_counter WHERE used > 0 OR held > 0",
    "idempotency_key": """SELECT key_digest, call_id, complete = 1, status IS NOT NULL
        FROM idempotency_key""",
    "dead_letter": "SELECT COUNT(*) FROM dead_letter",
}


STATE = "INSERT INTO hub_state (id, version) VALUES (1, 1)"
SEED = (
    """INSERT INTO "user" (id, did, role, created_us) VALUES
        ('a0', 'did:abt:a0', 'member', 1), ('a1', 'did:abt:a1', 'member', 1)""",
    "INSERT INTO account (id, created_us) VALUES ('a0', 1), ('a1', 1)",
    """INSERT INTO provider (id, name, kind, origin, created_us)
        VALUES ('p', 'p', 'p', 'api', 1)""",
    """INSERT INTO model (id, provider_id, name, type, max_output_tokens, context_tokens,
            origin, created_us)
        VALUES ('m', 'p', 'm', 'chat', 9, 9, 'api', 1)""",
    """INSERT INTO meter (id, event_name, name, unit, created_us, updated_us)
        VALUES ('meter', 'e', 'm', 'credits', 1, 1)""",
)


class Served:
    """One serving process of the hub: its journal, and the recovery it runs."""

    def __init__(self, site, process_id, store, clock):
        self.journal = GroupCommitJournal(store, new_id=site.new_id)
        self._site, self._id, self._store, self._clock = site, process_id, store, clock

    async def recover(self, machine, known):
        orphans = recovery.Orphans(
            self._site.engine,
            Alive(machine),
            self._id,
            open_here=lambda: known,
            now_us=self._clock.now_us,
        )
        closing = cleanup_stale_processing_calls(PatientOrphans(orphans), self.journal, self._clock)
        (closed,) = await answered(self.journal, [closing])
        if isinstance(closed, BaseException):
            raise closed
        return closed

    async def die(self):
        """End as in a power cut: nothing that is queued is written any more."""
        self.journal._writer.cancel()
        await asyncio.gather(self.journal._writer, return_exceptions=True)
        if self.journal._sent_timer is not None:
            self.journal._sent_timer.cancel()
        await self._store.close()


class Site:
    """A database that is emptied for each sequence."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.reported = {}
        self._letters = 0

    def close(self):
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def new_id(self):
        self._letters += 1
        return f"letter{self._letters}"

    def write(self, change):
        with engine.writing(self.engine) as connection:
            return change(connection)

    def add_rate(self, rate, version, amounts):
        row = {
            "id": rate,
            "model_id": "m",
            "version": version,
            "amounts": json.dumps(amounts),
            "source": "test",
            "effective_us": 1,
        }
        self.write(lambda connection: connection.execute(insert(schema.rate).values(row)))

    def serve(self, process_id, clock):
        self.write(lambda connection: register(connection, process_id))

        async def start():
            store = PatientStore(self.store(process_id, clock), self.engine)
            served = Served(self, process_id, store, clock)
            served.journal.start()
            return served

        return self.loop.run_until_complete(start())

    def verify(self):
        def checks():
            with engine.reading(self.engine) as connection:
                return verify.verify(connection)

        wrong = [check for check in patiently(checks) if not check.ok]
        assert wrong == [], wrong


class SqliteSite(Site):
    """A fresh copy of a template for each sequence, in memory where the system allows."""

    def __init__(self, template):
        super().__init__()
        shared = Path("/dev/shm")
        self._folder = Path(tempfile.mkdtemp(dir=shared if os.access(shared, os.W_OK) else None))
        self._template = self._folder / "template.db"
        shutil.copy(template, self._template)
        with closing(engine.connect(self._template)) as seeded:
            for statement in SEED:
                seeded.execute(statement)
            seeded.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._path = self._folder / "hub.db"
        self.engine = engine.create_engine(f"sqlite:///{self._path}")
        self._reader = None

    def reset(self, overdrafts):
        self.disconnect()
        for name in ("hub.db-wal", "hub.db-shm"):
            (self._folder / name).unlink(missing_ok=True)
        shutil.copy(self._template, self._path)
        self._reader = engine.connect(self._path)
        self._reader.executemany("UPDATE account SET overdraft = ? WHERE id = ?", overdrafts)

    def disconnect(self):
        self.engine.dispose()
        if self._reader is not None:
            self._reader.close()

    def close(self):
        self.disconnect()
        super().close()
        shutil.rmtree(self._folder)

    def store(self, process_id, clock):
        return sqlite_journal.SqliteStore(
            engine.connect(self._path),
            process_id=process_id,
            now_us=clock.now_us,
            jitter=lambda: 0.5,
        )

    def read(self):
        return {name: set(self._reader.execute(query)) for name, query in BOOKS.items()}


class PostgresSite(Site):
    """One database, whose tables are emptied."""

    def __init__(self, url):
        super().__init__()
        self._url = url
        self.engine = engine.create_engine(url)
        # A connection that was lost is noticed without asking before each use.
        self.engine.pool._pre_ping = False
        self._marked = MarkedWrites(self.engine)
        self._reader = None
        emptied = (f'DELETE FROM "{table}"' for table in schema.metadata.tables)
        self._again = "; ".join((*emptied, STATE, *SEED))

    def reset(self, overdrafts):
        given = [
            f"UPDATE account SET overdraft = {nano} WHERE id = '{it}'" for nano, it in overdrafts
        ]
        patiently(lambda: self._connected().execute("; ".join((self._again, *given))))

    def write(self, change):
        return self._marked.write(change)

    def close(self):
        if self._reader is not None:
            self._reader.close()
        self.engine.dispose()
        super().close()

    def store(self, process_id, clock):
        store = postgres.open_store(
            self._url,
            process_id=process_id,
            clock=clock,
            jitter=lambda: 0.5,
        )

        async def now_us(_session):
            return clock.now_us()

        store._now_us = now_us
        return store

    def read(self):
        return patiently(self._read)

    def _read(self):
        reader = self._connected()
        with reader.pipeline():
            asked = {name: reader.execute(query) for name, query in BOOKS.items()}
        return {name: set(cursor.fetchall()) for name, cursor in asked.items()}

    def _connected(self):
        if self._reader is None or self._reader.closed:
            self._reader = psycopg.connect(self._url, autocommit=True)
            # Without triggers, which forbid it, emptying is a tenth of what TRUNCATE takes.
            self._reader.execute("SET session_replication_role = replica")
        return self._reader


def compile_once(setattr_):
    """Share what every process compiles for itself when it starts: here thousands start."""
    for_postgres = postgres_statements.compiled()
    for_sqlite = Statements.compiled(sqlite.dialect(paramstyle="qmark"))
    setattr_(postgres_statements, "compiled", lambda: for_postgres)
    setattr_(Statements, "compiled", lambda _: for_sqlite)


@pytest.fixture(params=["sqlite", "postgres"])
def site(request, monkeypatch):
    compile_once(monkeypatch.setattr)
    if request.param == "sqlite":
        opened = SqliteSite(request.getfixturevalue("sqlite_template"))
    else:
        opened = PostgresSite(request.getfixturevalue("new_postgres")())
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "sequences",
    [
        pytest.param(SEQUENCES, marks=pytest.mark.timeout(600)),
        pytest.param(20_000, marks=[pytest.mark.full, pytest.mark.timeout(4 * 3600)]),
    ],
)
def test_the_ledger_does_what_its_reference_says(site, sequences):
    run_state_machine_as_test(
        lambda: LedgerMachine(site),
        settings=settings(
            max_examples=sequences,
            stateful_step_count=STEPS,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


class Unreliable:
    """Ends every connection with a database again and again, whatever it is doing."""

    def __init__(self, url):
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.ended = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self):
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._over.wait(0.03):
                self.ended += connection.execute(ENDED).fetchone()[0]


ENDED = """SELECT COUNT(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND (state = 'active' OR random() < 0.1)"""


def test_a_database_that_comes_and_goes_is_no_mismatch(new_postgres, monkeypatch):
    compile_once(monkeypatch.setattr)
    monkeypatch.setattr(patience, "RETRY_S", 0.01)
    url = new_postgres()
    site = PostgresSite(url)
    with Unreliable(url) as database:
        run_state_machine_as_test(
            lambda: LedgerMachine(site),
            settings=settings(
                max_examples=5,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    site.close()
    assert database.ended > 0


def test_a_database_that_stays_away_is_named(new_postgres, monkeypatch):
    monkeypatch.setattr(patience, "RETRY_S", 0)
    monkeypatch.setattr(patience, "TRIES", 2)
    site = PostgresSite(make_url(new_postgres()).set(port=1).render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnavailable, match="the database was unavailable"):
        site.read()
    with pytest.raises(DatabaseUnavailable):
        site.serve("p", Clock())
    site.close()
