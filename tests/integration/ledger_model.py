"""What the books must say, in plain dictionaries: the reference the ledger is compared with.

Every method is one step as the ledger takes it, at one instant, and returns what the caller
is answered. Amounts are whole nano-credits; prices are in halves, so that rounding counts.
"""

from fractions import Fraction
from math import ceil, floor

KEY_KEPT_US = HOLD_LIFE_US = 24 * 3600 * 1_000_000
FORGOTTEN_US = 60 * 1_000_000


class Refused(Exception):
    """Why a step changes nothing; its text is the name of the error."""


def price_of(prices, tokens_in, tokens_out):
    return Fraction(prices[0] * tokens_in + prices[1] * tokens_out, 2)


def burn_order(lot):
    expires = lot["expires"]
    return (lot["priority"], expires is None, expires or 0, lot["paid"], lot["created"], lot["id"])


class Model:
    def __init__(self):
        self.accounts, self.calls, self.claims, self.counters = {}, {}, {}, {}
        self.references, self.corrections, self.reported = set(), set(), set()

    def add_account(self, name, overdraft):
        self.accounts[name] = {
            "name": name,
            "debt": 0,
            "held": 0,
            "overdraft": overdraft,
            "lots": {},
            "pending": {},
        }

    # -- money ---------------------------------------------------------------------------

    def balance(self, account):
        return (
            sum(lot["left"] for lot in account["lots"].values() if lot["posted"]) - account["debt"]
        )

    def available(self, account):
        return self.balance(account) - account["held"] + account["overdraft"]

    def post(self, account, lot):
        lot["posted"], lot["left"] = True, 0
        self.give(account, lot, lot["amount"])

    def give(self, account, lot, amount):
        """A debt is repaid first."""
        repaid = min(account["debt"], amount)
        account["debt"] -= repaid
        lot["left"] += amount - repaid

    def repaid(self, account, lot):
        """Return how much of a lot repaid debts: it is gone, and nothing else took it."""
        calls = (call for call in self.calls.values() if call["account"] == account["name"])
        taken = sum(self.left_of(call).get(lot["id"], 0) for call in calls)
        return lot["amount"] - lot["left"] - lot["other"] - taken if lot["posted"] else 0

    def take(self, account, amount):
        """Lots pay in their order, the overdraft (None) pays the rest."""
        parts = []
        for lot in sorted(account["lots"].values(), key=burn_order):
            part = min(lot["left"], amount) if lot["posted"] else 0
            if part:
                lot["left"] -= part
                amount -= part
                parts.append((lot["id"], part))
        if amount:
            account["debt"] += amount
            parts.append((None, amount))
        return parts

    def take_otherwise(self, account, amount):
        """Take what no call is charged for."""
        for lot, part in self.take(account, amount):
            if lot is not None:
                account["lots"][lot]["other"] += part

    def advance(self, account, now):
        lots = account["lots"].values()
        for lot in sorted(lots, key=lambda lot: (lot["effective"] or 0, lot["id"])):
            if not lot["posted"] and lot["effective"] <= now:
                self.post(account, lot)
        for lot in sorted(lots, key=burn_order):
            if lot["posted"] and lot["expires"] is not None and lot["expires"] <= now:
                # What open holds stand on stays.
                part = min(lot["left"], max(self.balance(account) - account["held"], 0))
                lot["left"] -= part
                lot["other"] += part

    def collect(self, account):
        for name, due in account["pending"].items():
            part = min(due, max(self.available(account), 0))
            if part:
                self.take_otherwise(account, part)
                account["pending"][name] -= part

    def grant(self, now, name, lot):
        reference = lot.pop("reference")
        if reference is not None and reference in self.references:
            raise Refused("Conflict")
        self.references.add(reference)
        account = self.accounts[name]
        self.advance(account, now)
        lot |= {"created": now, "left": lot["amount"], "other": 0, "reversed": 0, "posted": False}
        account["lots"][lot["id"]] = lot
        if lot["effective"] is None or lot["effective"] <= now:
            self.post(account, lot)
        self.collect(account)

    def pass_time(self, now):
        for account in self.accounts.values():
            self.advance(account, now)
            self.collect(account)

    def set_overdraft(self, amount):
        for account in self.accounts.values():
            account["overdraft"] = max(amount, account["held"] - self.balance(account))

    def meter(self, now, name, identifier, value):
        if identifier in self.reported:
            return
        self.reported.add(identifier)
        account = self.accounts[name]
        account["pending"][identifier] = value
        self.advance(account, now)
        self.collect(account)

    # -- calls ---------------------------------------------------------------------------

    def counter(self, name):
        return self.counters.setdefault(name, {"used": 0, "held": 0})

    def room(self, call):
        rooms = [
            max(amount - self.counter(name)["used"] - self.counter(name)["held"], 0)
            for name, amount in call["spending"].items()
        ]
        account = self.accounts[call["account"]]
        return min([max(self.available(account), 0), *rooms])

    def open(self, now, call):
        """Return the hold, or the call that has answered this key before."""
        call |= {"status": "failed", "charge": 0, "hold": None, "entries": [], "delivered": 0}
        if call["key"] is not None:
            answered = self.meet(now, call)
            if answered is not None:
                return answered
        self.calls[call["id"]] = call
        if call.pop("conflict", None):
            raise Refused(call["refusal"])
        for name, amount in call["counting"].items():
            counter = self.counter(name)
            if counter["used"] + counter["held"] + 1 > amount:
                raise Refused("RateLimited")
        held = None
        if call["billed"]:
            account = self.accounts[call["account"]]
            self.advance(account, now)
            room, prices = self.room(call), call["prices"]
            fits = [n for n in range(call["wanted"] + 1) if price_of(prices, call["in"], n) <= room]
            if not fits or fits[-1] < call["least"]:
                raise Refused("InsufficientCredits")
            held = ceil(price_of(prices, call["in"], fits[-1]))
            account["held"] += held
        for name in call["spending"]:
            self.counter(name)["held"] += held or 0
        for name in call["counting"]:
            self.counter(name)["held" if "/streams/" in name else "used"] += 1
        if call["key"] is not None:
            claim = {"body": call["body"], "call": call["id"], "at": now, "state": "running"}
            self.claims[call["key"]] = claim
        call |= {"status": "processing", "charge": None, "hold": held, "started": now}
        return held or 0

    def meet(self, now, call):
        claim = self.claims.get(call["key"])
        if claim is not None and now >= claim["at"] + KEY_KEPT_US:
            del self.claims[call["key"]]
        elif claim is not None and claim["body"] != call["body"]:
            call |= {"conflict": True, "refusal": "IdempotencyMismatch"}
        elif claim is not None and claim["state"] != "kept":
            call |= {"conflict": True, "refusal": "Conflict"}
        elif claim is not None:
            return claim["call"]
        return None

    def progress(self, now, call_id, delivered, extend):
        call = self.calls[call_id]
        if call["status"] != "processing":
            return 0
        call["delivered"] = delivered
        if not extend:
            return 0
        account = self.accounts[call["account"]]
        self.advance(account, now)
        more = min(extend, self.room(call))
        account["held"] += more
        call["hold"] += more
        for name in call["spending"]:
            self.counter(name)["held"] += more
        return more

    def settle(self, now, call_id, tokens, *, whole_hold=False, kept=False, expired=False):
        """`tokens` are (in, out) of what is charged; None charges nothing."""
        call = self.calls[call_id]
        if call["status"] != "processing":
            raise Refused("JournalRefused")
        account = self.accounts[call["account"]]
        charge = written_off = 0
        if call["billed"]:
            if tokens is not None:
                charge = floor(price_of(call["prices"], *tokens) + Fraction(1, 2))
                charge = call["hold"] if whole_hold else charge
            self.advance(account, now)
            account["held"] -= call["hold"]
            paid = min(charge, max(self.available(account), 0))
            written_off = charge - paid
            self.note(call, now, call_id, self.take(account, paid))
            self.advance(account, now)
            released = "expired" if expired else "voided"
            call["resolved"] = released if tokens is None else "captured"
            call["paid"] = paid
        for name in call["spending"]:
            counter = self.counter(name)
            counter["held"] -= call["hold"] or 0
            counter["used"] += charge - written_off
        for name in call["counting"]:
            if "/streams/" in name:
                self.counter(name)["held"] -= 1
        claim = self.claims.get(call["key"])
        if claim is not None and claim["call"] == call_id:
            if tokens is None:
                del self.claims[call["key"]]
            else:
                claim["state"] = "kept" if kept else "lost"
        call |= {"status": "closed", "charge": charge}
        return charge, written_off

    def note(self, call, now, operation, parts):
        call["entries"] += [
            (now, operation, seq, lot, part) for seq, (lot, part) in enumerate(parts)
        ]

    def recover(self, now, runner, alive, known):
        """Close what nobody will, oldest first: what was delivered is charged."""
        closed = 0
        for call in sorted(self.calls.values(), key=lambda call: call["id"]):
            if call["status"] != "processing":
                continue
            dead = call["process"] not in alive
            overdue = call["hold"] is not None and call["started"] + HOLD_LIFE_US <= now
            if call["process"] == runner:
                stale = call["id"] not in known and call["started"] <= now - FORGOTTEN_US
            else:
                stale = dead or overdue
            if stale:
                tokens = (call["in"], call["delivered"]) if call["delivered"] else None
                self.settle(now, call["id"], tokens, expired=overdue)
                closed += 1
        return closed

    # -- corrections ---------------------------------------------------------------------

    def once(self, name, operation):
        """An operation happens once to an account; a reversal once at all."""
        if (name, operation) in self.corrections:
            raise Refused("Conflict")

    def left_of(self, call):
        """What of a call's charge is not refunded, by lot, in the order it was taken.

        What was refunded into a lot counts against what the call took of that lot, and beyond
        that against its overdraft.
        """
        entries = sorted(call["entries"], key=lambda entry: entry[:3])
        left = {}
        for _, _, _, lot, part in entries:
            if part > 0:
                left[lot] = left.get(lot, 0) + part
        for _, _, _, lot, part in entries:
            if part < 0:
                own = min(left.get(lot, 0), -part)
                if own:
                    left[lot] -= own
                if -part > own:
                    left[None] -= -part - own
        return left

    def refund(self, now, operation, call_id, amount):
        call = self.calls[call_id]
        if call.get("resolved") != "captured":
            raise Refused("NotFound")
        self.once(call["account"], operation)
        left = self.left_of(call)
        wanted = sum(left.values()) if amount is None else amount
        if not 0 < wanted <= sum(left.values()):
            raise Refused("InvalidRequest")
        self.corrections.add((call["account"], operation))
        account = self.accounts[call["account"]]
        self.advance(account, now)
        seq = 0
        for lot, part in reversed(left.items()):
            part = min(part, wanted)  # noqa: PLW2901 - at most what is still wanted
            wanted -= part
            for target, returned in self.give_back(account, lot, part):
                call["entries"].append((now, operation, seq, target, -returned))
                seq += 1
        self.advance(account, now)

    def give_back(self, account, lot, part):
        """A lot gets its own back; former overdraft goes to the debt, then to who repaid it."""
        if lot is not None:
            if part:
                self.give(account, account["lots"][lot], part)
                yield lot, part
            return
        debt = min(account["debt"], part)
        account["debt"] -= debt
        if debt:
            yield None, debt
        part -= debt
        for each in sorted(account["lots"].values(), key=burn_order, reverse=True):
            returned = min(self.repaid(account, each), part)
            if returned:
                each["left"] += returned
                part -= returned
                yield each["id"], returned

    def adjust(self, now, operation, call_id, amount):
        call = self.calls[call_id]
        if call.get("resolved") != "captured":
            raise Refused("NotFound")
        self.once(call["account"], operation)
        self.corrections.add((call["account"], operation))
        account = self.accounts[call["account"]]
        self.advance(account, now)
        paid = min(amount, max(self.available(account), 0))
        self.note(call, now, operation, self.take(account, paid))

    def reverse(self, now, operation, name, lot_id, amount):
        account = self.accounts[name]
        lot = account["lots"][lot_id]
        self.once(name, operation)
        self.once("a reversal", operation)
        left = lot["amount"] - lot["reversed"]
        wanted = left if amount is None else amount
        if not 0 < wanted <= left:
            raise Refused("InvalidRequest")
        self.corrections |= {(name, operation), ("a reversal", operation)}
        lot["reversed"] += wanted
        self.advance(account, now)
        if not lot["posted"]:
            self.post(account, lot)
        paid = min(wanted, max(self.available(account), 0))
        own = min(lot["left"], paid)
        lot["left"] -= own
        lot["other"] += own
        self.take_otherwise(account, paid - own)
