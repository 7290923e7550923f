"""Fold a batch of journal operations over the accounts they touch, in arrival order.

Pure but for its arguments: accounts in, rows out. Both databases write these rows; neither
decides anything. One row per account and lot is written, however many calls moved it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aigne_hub.billing.credits import check_user_credit_balance, create_meter_event
from aigne_hub.domain.calls import status_of
from aigne_hub.domain.errors import HubError, InsufficientCredits
from aigne_hub.domain.ledger import Account, Lot
from aigne_hub.domain.operations import Admission, Open, Probe, Progress, Settle, Settled
from aigne_hub.domain.usage import Usage

Operation = Open | Progress | Settle | Probe
Row = tuple[Any, ...]

_NO_USAGE = Usage(requests=0)
# Drivers bind plain str and int several times faster than their subclasses.
_PROCESSING, _FAILED, _REJECTED = "processing", "failed", "rejected"


class Fold:
    """The rows of one batch, by statement, and the answer to each operation.

    `load_account(id)` and `load_lots(id)` read inside the batch's transaction, each at most
    once an account.
    """

    def __init__(
        self,
        process_id: str,
        load_account: Callable[[str], tuple[Account, int | None] | None],
        load_lots: Callable[[str], list[Lot]],
    ) -> None:
        self._process_id = process_id
        self._load_account = load_account
        self._load_lots = load_lots
        self._accounts: dict[str, Account | None] = {}
        self._with_lots: set[str] = set()
        self._expiry_due: dict[str, int | None] = {}
        self.open_call: list[Row] = []
        self.close_call: list[Row] = []
        self.progress: list[Row] = []
        self.open_hold: list[Row] = []
        self.extend_hold: list[Row] = []
        self.close_hold: list[Row] = []
        self.attempt: list[Row] = []
        self.meter_event: list[Row] = []
        self.transfer: list[Row] = []
        self.heartbeat: list[Row] = []

    def run(self, operations: Sequence[Operation], now_us: int) -> list[Any]:
        """Return one answer an operation: a value, or the InsufficientCredits to raise."""
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

    def account_rows(self) -> list[Row]:
        return [
            (account.balance, account.held, self._due(account), account.id)
            for account in self._accounts.values()
            if account is not None
        ]

    def lot_rows(self) -> list[Row]:
        return [
            (lot.remaining, lot.id)
            for account in self._accounts.values()
            if account is not None and account.touched
            for lot in account.lots
            if lot.id in account.touched
        ]

    def _open(self, op: Open, now_us: int) -> Admission | InsufficientCredits:
        refusal: HubError | None = op.refusal
        admission = Admission(0, 0)
        if refusal is None and op.quote is not None:
            try:
                admission = check_user_credit_balance(
                    self._account(op.account_id, now_us), op.quote
                )
            except InsufficientCredits as error:
                refusal = error
            else:
                self.open_hold.append(
                    (op.call_id, op.account_id, admission.held, "pending", op.started_us)
                )
        refused = refusal is not None
        self.open_call.append(
            (
                op.call_id,
                _FAILED if refused else _PROCESSING,
                _REJECTED if refused else None,
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
                0 if refused else None,
                max(now_us - op.started_us, 0) if refused else None,
                None if refusal is None else refusal.code,
                None if refusal is None else refusal.message,
            )
        )
        return refusal if isinstance(refusal, InsufficientCredits) else admission

    def _progress(self, op: Progress, now_us: int) -> int:
        self.progress.append((op.rate_id, op.output_counted, op.call_id))
        account = self._account(op.account_id, now_us) if op.extend_by else None
        if account is None:
            return 0
        more = min(op.extend_by, max(account.available, 0))
        if more:
            account.hold(more)
            self.extend_hold.append((more, op.call_id))
        return more

    def _settle(self, op: Settle) -> Settled:
        written_off = 0
        if op.billed:
            written_off = self._resolve_hold(op)
            if op.usage is not None:
                self.meter_event.append(create_meter_event(op))
        usage = op.usage or _NO_USAGE
        self.close_call.append(
            (
                status_of(op.outcome).value,
                op.outcome.value,
                op.model,
                op.rate_id,
                1 if op.attempts else 0,
                op.provider,
                op.credential,
                usage.input_tokens,
                usage.output_tokens,
                usage.cache_read_tokens,
                usage.cache_write_tokens,
                usage.units,
                None if op.usage_source is None else op.usage_source.value,
                op.charge,
                op.duration_us,
                op.ttfb_us,
                len(op.attempts),
                op.error_code,
                op.error_message,
                op.call_id,
            )
        )
        # A call answered at its first try is its own attempt; its row says all about it.
        kept = op.attempts if len(op.attempts) > 1 or op.error_code else ()
        for seq, attempt in enumerate(kept):
            self.attempt.append(
                (
                    op.call_id,
                    seq,
                    attempt.provider,
                    attempt.credential,
                    attempt.status,
                    attempt.error,
                    attempt.started_us,
                    attempt.duration_us,
                )
            )
        return Settled(op.charge, written_off)

    def _resolve_hold(self, op: Settle) -> int:
        account = self._account(op.account_id, op.ended_us)
        if account is None:
            raise LookupError(f"call {op.call_id} holds on an account that does not exist")
        transfers = []
        if op.charge:
            self._lots(account)
            transfers = account.capture(
                op.call_id, held=op.held, charge=op.charge, at_us=op.ended_us
            )
        else:
            account.release(op.held)
        written_off = sum(t.amount for t in transfers if t.kind == "write_off")
        state = "voided" if op.usage is None else "captured"
        self.close_hold.append((state, op.charge - written_off, op.ended_us, op.call_id))
        due = self._expiry_due.get(account.id)
        if due is not None and due <= op.ended_us:
            self._lots(account)
            transfers += account.expire(op.ended_us)
        self.transfer.extend(transfers)
        return written_off

    def _account(self, account_id: str, now_us: int) -> Account | None:
        """Return the account as of now: due expiries are posted when it is first read."""
        try:
            return self._accounts[account_id]
        except KeyError:
            pass
        loaded = self._load_account(account_id)
        if loaded is None:
            self._accounts[account_id] = None
            return None
        account, due = loaded
        self._accounts[account_id] = account
        self._expiry_due[account_id] = due
        if due is not None and due <= now_us:
            self._lots(account)
            self.transfer.extend(account.expire(now_us))
        return account

    def _lots(self, account: Account) -> None:
        if account.id not in self._with_lots:
            self._with_lots.add(account.id)
            account.lots = self._load_lots(account.id)

    def _due(self, account: Account) -> int | None:
        if account.id not in self._with_lots:
            return self._expiry_due[account.id]
        dates = [lot.expires_us for lot in account.lots if lot.remaining and lot.expires_us]
        return min(dates, default=None)


def rows_by_statement(fold: Fold, sent: Sequence[str]) -> Mapping[str, list[Row]]:
    """Return all rows of a fold by the name of the statement that writes them."""
    return {
        "open_call": fold.open_call,
        "open_hold": fold.open_hold,
        "sent": [(call_id,) for call_id in sent],
        "progress": fold.progress,
        "extend_hold": fold.extend_hold,
        "close_call": fold.close_call,
        "close_hold": fold.close_hold,
        "attempt": fold.attempt,
        "meter_event": fold.meter_event,
        "transfer": fold.transfer,
        "account": fold.account_rows(),
        "lot": fold.lot_rows(),
        "heartbeat": fold.heartbeat,
    }
