"""Fold a batch of journal operations over what they touch, in arrival order.

Pure but for its view: state in, rows out. Both databases write these rows; neither decides
anything. One row per account, lot and counter is written, however many calls moved it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from aigne_hub.billing import allowance
from aigne_hub.billing.credits import check_user_credit_balance, create_meter_event
from aigne_hub.domain.calls import Outcome, status_of
from aigne_hub.domain.errors import HubError, InsufficientCredits
from aigne_hub.domain.limits import Counter, Limit
from aigne_hub.domain.objects import ASK_AFTER_US, VIDEO
from aigne_hub.domain.operations import Admission, Open, Probe, Progress, Reason, Settle, Settled
from aigne_hub.domain.usage import Usage
from aigne_hub.storage.batch import Accounts, Claims, Counters, Row, View

Operation = Open | Progress | Settle | Probe

# A hold that is still pending after this long is expired by recovery, whoever owns its call.
HOLD_LIFE_US = 24 * 3600 * 1_000_000
_NO_USAGE = Usage(requests=0)
# Looking a member up in its class costs more in Python 3.11 than comparing it.
_CHOSEN = Reason.CHOSEN
_NOTHING_HELD = Admission(0, 0)
# Status and outcome as plain text: drivers bind it several times faster than its subclasses.
_ENDED = {outcome: (str(status_of(outcome)), str(outcome)) for outcome in Outcome}


class Fold:
    """The rows of one batch, by statement, and the answer to each operation.

    `ahead_us` is how far the clock of `run` is ahead of the one by which calls begin.
    """

    def __init__(self, process_id: str, view: View, ahead_us: int = 0) -> None:
        self._process_id = process_id
        self._ahead_us = ahead_us
        self._accounts = Accounts(view)
        self._counters = Counters(view)
        self._claims = Claims(view)
        self.open_call: list[Row] = []
        self.refuse_call: list[Row] = []
        self.close_call: list[Row] = []
        self.progress: list[Row] = []
        self.open_hold: list[Row] = []
        self.extend_hold: list[Row] = []
        self.close_hold: list[Row] = []
        self.attempt: list[Row] = []
        self.meter_event: list[Row] = []
        self.heartbeat: list[Row] = []
        self.free_claim: list[Row] = []
        self.close_claim: list[Row] = []
        self.made: list[Row] = []

    def run(self, operations: Sequence[Operation], now_us: int) -> list[Any]:
        """Return one answer an operation: a value, or the HubError to raise."""
        answers: list[Any] = []
        for operation in operations:
            if type(operation) is Open:
                answers.append(self._open(operation, now_us))
            elif type(operation) is Settle:
                answers.append(self._settle(operation))
            elif type(operation) is Progress:
                answers.append(self._progress(operation, now_us))
            else:
                self.heartbeat.append((now_us, self._process_id))
                answers.append(None)
        return answers

    def rows(self, sent: Sequence[str]) -> Mapping[str, list[Row]]:
        """Return all rows by the name of the statement that writes them."""
        return {
            "open_call": self.open_call,
            "refuse_call": self.refuse_call,
            "open_hold": self.open_hold,
            "sent": [(call_id,) for call_id in sent],
            "progress": self.progress,
            "extend_hold": self.extend_hold,
            "close_call": self.close_call,
            "close_hold": self.close_hold,
            "attempt": self.attempt,
            "meter_event": self.meter_event,
            "transfer": self._accounts.transfers,
            "account": self._accounts.rows(),
            "lot": self._accounts.lot_rows(),
            "counter": self._counters.rows(),
            "event": self._counters.events,
            "drop_claim": self._claims.stale,
            "take_claim": self._claims.taken,
            "free_claim": self.free_claim,
            "close_claim": self.close_claim,
            "made": self.made,
            "heartbeat": self.heartbeat,
        }

    def _open(self, op: Open, now_us: int) -> Admission | HubError:
        refusal = op.refusal
        admission = _NOTHING_HELD
        if refusal is None and op.claim is not None:
            met = self._claims.meet(op, now_us)
            if isinstance(met, HubError):
                refusal = met
            elif met is not None:
                return Admission(0, 0, replay=met.call_id)
        if refusal is None:
            try:
                admission = self._admit(op, now_us) if op.limits else self._hold(op, None, now_us)
            except HubError as error:
                refusal = error
        begun = (
            op.call_id,
            op.account_id,
            op.user_did,
            op.app_did,
            op.key_id,
            self._process_id,
            op.request_id,
            op.type,
            op.model,
            1 if op.stream else 0,
            op.rate_id,
            op.input_counted,
            op.started_us,
        )
        if refusal is None:
            if op.claim is not None:
                self._claims.take(op, now_us)
            counters = "\n".join(admission.counters) or None
            self.open_call.append((*begun, counters, admission.tokens_reserved))
            return admission
        took_us = max(now_us - self._ahead_us - op.started_us, 0)
        self.refuse_call.append((*begun, took_us, refusal.code, refusal.message))
        return admission if refusal is op.refusal else refusal

    def _admit(self, op: Open, now_us: int) -> Admission:
        """Hold credit, and room under every limit; raises RateLimited or InsufficientCredits."""
        checked = [(limit, self._counters.of(limit, now_us)) for limit in op.limits]
        allowance.require_room(checked, op, now_us)
        limited = allowance.tightest(checked)
        try:
            admission = self._hold(op, limited, now_us)
        except InsufficientCredits as error:
            if error.limit is not None and limited is not None:
                self._counters.alert([limited[1]], op.account_id, now_us, refused=True)
            raise
        return Admission(
            admission.held,
            admission.tokens,
            allowance.reserve(checked, op, admission.held),
            op.tokens_wanted,
        )

    def _hold(self, op: Open, limited: tuple[Limit, Counter] | None, now_us: int) -> Admission:
        """Hold the worst case of a call, unless billing is off; raises InsufficientCredits."""
        if op.quote is None:
            return _NOTHING_HELD
        account = self._accounts.get(op.account_id, now_us)
        admission = check_user_credit_balance(account, op.quote, limited, now_us)
        begun_us = op.started_us
        self.open_hold.append(
            (op.call_id, op.account_id, admission.held, begun_us, begun_us + HOLD_LIFE_US)
        )
        return admission

    def _progress(self, op: Progress, now_us: int) -> int:
        self.progress.append((op.rate_id, op.output_counted, op.call_id))
        account = self._accounts.get(op.account_id, now_us) if op.extend_by else None
        if account is None:
            return 0
        spending = allowance.spending(map(self._counters.get, op.counters))
        more = min(op.extend_by, max(account.available, 0), *(c.room for c in spending))
        if more:
            account.hold(more)
            for counter in spending:
                counter.hold(more)
            self.extend_hold.append((more, op.call_id))
        return more

    def _settle(self, op: Settle) -> Settled:
        written_off = 0
        if op.billed:
            written_off = self._resolve_hold(op)
            if op.usage is not None:
                self.meter_event.append(create_meter_event(op))
        if op.counters:
            counters = [self._counters.get(counter_id) for counter_id in op.counters]
            allowance.settle(counters, op, op.charge - written_off)
            self._counters.alert(counters, op.account_id, op.ended_us)
        if op.claimed:
            self._resolve_claim(op)
        if op.made is not None:
            self.made.append(_object_row(op, *op.made))
        self._close_call(op)
        return Settled(op.charge, written_off)

    def _close_call(self, op: Settle) -> None:
        usage = op.usage
        units, detail = 0, None
        if usage is None:
            usage = _NO_USAGE
        elif not usage.is_plain:
            units, detail = usage.units, orjson.dumps(usage.detail()).decode()
        tried = op.attempts
        self.close_call.append(
            (
                *_ENDED[op.outcome],
                op.model,
                op.rate_id,
                1 if tried else 0,
                op.provider,
                op.credential,
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_read_tokens,
                usage.cache_write_tokens,
                units,
                detail,
                None if op.usage_source is None else str(op.usage_source),
                op.charge,
                op.cost,
                op.duration_us,
                op.ttfb_us,
                len(tried),
                op.error_code,
                op.error_message,
                op.call_id,
            )
        )
        # A call answered at its first try is its own attempt; its row says all about it.
        if len(tried) > 1 or op.error_code or (tried and tried[0].reason is not _CHOSEN):
            self.attempt.extend(
                (op.call_id, seq, *one[:-2], str(one.reason), one.cost)
                for seq, one in enumerate(tried)
            )

    def _resolve_hold(self, op: Settle) -> int:
        """Charge the account and give back the rest of the hold; return what it could not pay."""
        account = self._accounts.get(op.account_id, op.ended_us)
        if account is None:
            raise LookupError(f"call {op.call_id} holds on an account that does not exist")
        written_off = 0
        if op.charge:
            self._accounts.with_lots(account)
            transfers = account.capture(
                op.call_id, held=op.held, charge=op.charge, at_us=op.ended_us
            )
            if transfers[-1].kind == "write_off":
                written_off = transfers[-1].amount
            self._accounts.transfers += transfers
        else:
            account.release(op.held)
        released = "expired" if op.hold_expired else "voided"
        state = released if op.usage is None else "captured"
        self.close_hold.append((state, op.charge - written_off, op.ended_us, op.call_id))
        self._accounts.advance(account, op.ended_us)
        return written_off

    def _resolve_claim(self, op: Settle) -> None:
        """Complete an idempotency key whose call was delivered, free any other."""
        if op.usage is None:
            self.free_claim.append((op.call_id,))
            return
        answer = op.answer
        self.close_claim.append(
            (None, None, None, None, op.call_id)
            if answer is None
            else (answer.status, answer.content_type, answer.model, answer.body, op.call_id)
        )


def _object_row(op: Settle, kind: str, identifier: str) -> Row:
    where = (op.provider, op.credential, op.model)
    # What cost nothing cannot be given back.
    is_asked = kind == VIDEO and op.charge > 0
    ask_us = op.ended_us + ASK_AFTER_US if is_asked else None
    return (op.account_id, identifier, kind, *where, op.call_id, op.ended_us, ask_us)
