"""Correct what the calls of a period were charged, after their price was wrong.

Each call is recomputed from its stored usage, and the difference is posted as transfers of
its own. What has been done is on record (`call_rerate`), in the transaction that does it, so
a run that was interrupted is finished by running it again, and a second run does nothing.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Select, exists, func, insert, select

from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.ids import first_id
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.rerating import Charged, recharge
from aigne_hub.domain.transfers import REVENUE
from aigne_hub.domain.usage import Usage
from aigne_hub.storage import accounts, corrections, prices, schema
from aigne_hub.storage.changes import Changes

# Calls that one transaction corrects: it must not hold up those that are being served.
BATCH = 50
# Calls read at once for a preview.
_FETCH = 1_000
# Users that a document names one by one.
USERS_MAX = 1_000
# Ids are made at the instant a call starts, give or take what a clock may be set.
_SLACK_US: Final = 600 * 1_000_000

_CALL = schema.model_call.c
_RERATE = schema.call_rerate.c
_TRANSFER = schema.transfer.c
_HOLD = schema.hold.c


@dataclass(frozen=True, slots=True)
class Rerating:
    """Which calls are priced anew, and how: those of a model that started in [since, until)."""

    model: str
    model_id: str
    version: int
    card: RateCard
    since_us: int
    until_us: int


@dataclass(slots=True)
class Difference:
    """Calls whose charge changes, and by how much, in nano-credits; of one user or of all."""

    calls: int = 0
    raised: int = 0
    lowered: int = 0

    def add(self, before: int, after: int) -> None:
        self.calls += 1
        self.raised += max(after - before, 0)
        self.lowered += max(before - after, 0)

    @property
    def net(self) -> int:
        return self.raised - self.lowered


@dataclass(slots=True)
class Preview:
    """What a run would do. `users` are by DID; `open_calls` run still, and are not in it."""

    examined: int = 0
    total: Difference = field(default_factory=Difference)
    users: dict[str, Difference] = field(default_factory=lambda: defaultdict(Difference))
    open_calls: int = 0


@dataclass(slots=True)
class Done:
    """What was posted, in nano-credits: to accounts, from them, and on the write-off account.

    `cursor` is the last call that was looked at; None when there are no more.
    """

    examined: int = 0
    changed: int = 0
    refunded: int = 0
    charged: int = 0
    written_off: int = 0
    cursor: str | None = None

    def add(self, other: "Done") -> None:
        self.examined += other.examined
        self.changed += other.changed
        self.refunded += other.refunded
        self.charged += other.charged
        self.written_off += other.written_off
        self.cursor = other.cursor


class _Due(NamedTuple):
    call_id: str
    account_id: str
    user_did: str
    seq: int
    before: int
    after: int
    to_post: int


def prepare(
    connection: Connection, model: str, version: int | None, since_us: int, until_us: int
) -> Rerating:
    """Say what to price anew: by a version of the model's rates, the newest by default.

    Raises NotFound, or InvalidRequest for a period or a version that prices nothing.
    """
    if since_us >= until_us:
        raise InvalidRequest("The period ends before it begins.", param="until")
    model_id = prices.model_named(connection, model).model_id
    history = prices.history(connection, model_id)
    found = next((one for one in history if version in {None, one.version}), None)
    if found is None:
        raise NotFound(
            f"{model} has no version {version} of its rates. See: aigne-hub rates history {model}"
        )
    if not found.amounts:
        raise InvalidRequest(f"Version {found.version} of {model} has no rates.", param="rate")
    card = RateCard.of(found.id, found.amounts)
    return Rerating(model, model_id, found.version, card, since_us, until_us)


def preview(connection: Connection, rerating: Rerating) -> Preview:
    """Return what a run would change, without changing anything."""
    found = Preview()
    cursor: str | None = first_id(rerating.since_us - _SLACK_US)
    while cursor is not None:
        rows, cursor = _page(connection, rerating, cursor, _FETCH)
        found.examined += len(rows)
        for due in _due(rerating, rows):
            found.total.add(due.before, due.after)
            found.users[due.user_did].add(due.before, due.after)
    found.open_calls = connection.execute(
        select(func.count())
        .select_from(schema.model_call)
        .where(_CALL.model == rerating.model, _CALL.status == "processing", *_period(rerating))
    ).scalar_one()
    return found


def apply(
    change: Changes, run_id: str, rerating: Rerating, cursor: str | None = None, limit: int = BATCH
) -> Done:
    """Correct the next `limit` calls after `cursor`, in the caller's transaction.

    Accounts are locked in the order of their ids, as everywhere.
    """
    start = cursor or first_id(rerating.since_us - _SLACK_US)
    rows, following = _page(change.connection, rerating, start, limit)
    done = Done(examined=len(rows), cursor=following)
    for due in sorted(_due(rerating, rows), key=lambda due: (due.account_id, due.call_id)):
        _post(change, run_id, rerating, due, done)
    if done.changed:
        detail = {
            "model": rerating.model,
            "version": rerating.version,
            "calls": done.changed,
            "refunded": done.refunded,
            "charged": done.charged,
            "written_off": done.written_off,
        }
        change.audit("rates.rerate", run_id, detail)
    return done


def document(
    rerating: Rerating, found: Preview, done: Done | None, run_id: str | None
) -> dict[str, Any]:
    """Return what operators see of a run: its preview, and what was posted; decimal credits."""
    shown = users(found)
    return {
        "run": run_id,
        "model": rerating.model,
        "version": rerating.version,
        "since": format_instant(rerating.since_us),
        "until": format_instant(rerating.until_us),
        "dry_run": done is None,
        "examined": found.examined,
        "calls": found.total.calls,
        "raised": format_credits(found.total.raised),
        "lowered": format_credits(found.total.lowered),
        "difference": difference(found.total),
        "open_calls": found.open_calls,
        "users": shown[:USERS_MAX],
        "users_in_all": len(shown),
        "posted": None if done is None else posted(done),
    }


def users(found: Preview) -> list[dict[str, Any]]:
    """Return the users whose calls change, those who are concerned most first."""
    ordered = sorted(found.users.items(), key=lambda item: (-abs(item[1].net), item[0]))
    return [
        {"user_did": did, "calls": one.calls, "difference": difference(one)} for did, one in ordered
    ]


def difference(of: Difference) -> str:
    return format_credits(of.net)


def posted(done: Done) -> dict[str, Any]:
    return {
        "calls": done.changed,
        "refunded": format_credits(done.refunded),
        "charged": format_credits(done.charged),
        "written_off": format_credits(done.written_off),
        "complete": done.cursor is None,
        "cursor": done.cursor,
    }


def charged_now(connection: Connection, call_id: str) -> int | None:
    """Return what a call is charged since its price was corrected; None when it was not."""
    found: int | None = connection.execute(
        select(_RERATE.charge_after)
        .where(_RERATE.call_id == call_id)
        .order_by(_RERATE.seq.desc())
        .limit(1)
    ).scalar_one_or_none()
    return found


def _post(change: Changes, run_id: str, rerating: Rerating, due: _Due, done: Done) -> None:
    """Post the difference of one call.

    A decrease first takes back what nobody paid, then gives back what was paid above the new
    charge: what had been refunded for another reason is not refunded again.
    """
    connection, now = change.connection, change.clock.now_us()
    operation = f"rerate/{run_id}/{due.call_id}"
    accounts.load(connection, due.account_id, lock=True)
    posted = 0
    if due.to_post > 0:
        posted = due.to_post
        correction = corrections.adjust_call(connection, now, operation, due.call_id, posted)
        done.charged += correction.amount
        done.written_off += correction.written_off
    elif due.to_post < 0:
        standing = corrections.standing(connection, due.account_id, due.call_id)
        unpaid = min(standing.written_off, -due.to_post)
        if unpaid:
            corrections.recover(
                connection,
                now,
                f"{operation}/written-off",
                due.account_id,
                REVENUE,
                unpaid,
                call_id=due.call_id,
            )
        refund = min(max(standing.paid - due.after, 0), -due.to_post - unpaid)
        if refund:
            corrections.refund_call(connection, now, operation, due.call_id, refund)
        posted = -(unpaid + refund)
        done.refunded += refund
        done.written_off -= unpaid
    connection.execute(
        insert(schema.call_rerate).values(
            call_id=due.call_id,
            seq=due.seq,
            run_id=run_id,
            account_id=due.account_id,
            rate_id=rerating.card.id,
            charge_before=due.before,
            charge_after=due.after,
            posted=posted,
            created_us=now,
        )
    )
    done.changed += 1


def _due(rerating: Rerating, rows: Sequence[Row[Any]]) -> Iterator[_Due]:
    """Yield the calls whose charge is not what it should be."""
    for row in rows:
        usage = Usage(
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            cache_read_tokens=row.cache_read_tokens,
            cache_write_tokens=row.cache_write_tokens,
            **json.loads(row.usage_detail or "{}"),
        )
        call = Charged(usage, Outcome(row.outcome), row.charge, row.rate_id, bool(row.unpaid))
        after = recharge(call, rerating.card)
        before = row.charge if row.charge_after is None else row.charge_after
        if after != before:
            seq = 0 if row.seq is None else row.seq + 1
            # What earlier runs posted may be less than they changed: see `call_rerate.posted`.
            to_post = after - row.charge - int(row.posted or 0)
            yield _Due(row.id, row.account_id, row.user_did, seq, before, after, to_post)


def _page(
    connection: Connection, rerating: Rerating, cursor: str, limit: int
) -> tuple[Sequence[Row[Any]], str | None]:
    """Return the next calls after a cursor, and the cursor for those after them."""
    query = _calls(rerating).where(_CALL.id > cursor).order_by(_CALL.id).limit(limit)
    rows = connection.execute(query).all()
    return rows, rows[-1].id if len(rows) == limit else None


def _period(rerating: Rerating) -> tuple[Any, ...]:
    return _CALL.started_us >= rerating.since_us, _CALL.started_us < rerating.until_us


def _calls(rerating: Rerating) -> Select[Any]:
    """Select the charged calls of a period with what they were corrected to last."""
    last = (
        select(func.max(_RERATE.seq))
        .where(_RERATE.call_id == _CALL.id)
        .correlate(schema.model_call)
        .scalar_subquery()
    )
    posted = (
        select(func.sum(_RERATE.posted))
        .where(_RERATE.call_id == _CALL.id)
        .correlate(schema.model_call)
        .scalar_subquery()
    )
    unpaid = exists().where(
        _TRANSFER.account_id == _CALL.account_id,
        _TRANSFER.operation_id == _CALL.id,
        _TRANSFER.kind == "write_off",
    )
    versions = select(schema.rate.c.id).where(schema.rate.c.model_id == rerating.model_id)
    return (
        select(
            _CALL.id,
            _CALL.account_id,
            _CALL.user_did,
            _CALL.outcome,
            _CALL.input_tokens,
            _CALL.output_tokens,
            _CALL.cache_read_tokens,
            _CALL.cache_write_tokens,
            _CALL.usage_detail,
            _CALL.charge,
            _CALL.rate_id,
            _RERATE.seq,
            _RERATE.charge_after,
            posted.label("posted"),
            unpaid.label("unpaid"),
        )
        .join(schema.hold, (_HOLD.call_id == _CALL.id) & (_HOLD.state == "captured"))
        .outerjoin(schema.call_rerate, (_RERATE.call_id == _CALL.id) & (_RERATE.seq == last))
        .where(_CALL.rate_id.in_(versions), *_period(rerating))
    )
