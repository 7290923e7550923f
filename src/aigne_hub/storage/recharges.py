"""What accounts agreed to about automatic top-ups, and how much of a day's caps is used."""

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, exists, func, insert, or_, select, update

from aigne_hub.domain.errors import Conflict, InvalidRequest
from aigne_hub.domain.orders import OrderState, Reason
from aigne_hub.domain.recharge import ATTEMPTS_A_DAY_MAX, Rule, day_of
from aigne_hub.storage import customers, schema
from aigne_hub.storage.changes import Changes

_RULE = schema.auto_recharge
_ORDER = schema.payment_order


def find(connection: Connection, account_id: str) -> Rule | None:
    row = connection.execute(select(_RULE).where(_RULE.c.account_id == account_id)).one_or_none()
    return None if row is None else _rule(row)


def agree(change: Changes, rule: Rule, price: int) -> Rule:
    """Put what an account agrees to in the place of what it agreed to before.

    `price` is what one top-up costs, in minor units. Raises InvalidRequest for caps that allow
    none, Conflict when no card may be charged.
    """
    if rule.threshold < 0:
        raise InvalidRequest("A threshold is not below 0.", param="threshold")
    if not 1 <= rule.attempts_a_day <= ATTEMPTS_A_DAY_MAX:
        raise InvalidRequest(
            f"There are 1 to {ATTEMPTS_A_DAY_MAX} attempts a day.", param="attempts_a_day"
        )
    if rule.amount_a_day < price:
        raise InvalidRequest("A day's amount allows at least one top-up.", param="amount_a_day")
    if rule.enabled:
        customer = customers.find(change.connection, rule.account_id, rule.provider)
        if customer is None or not customer.card_saved:
            raise Conflict(
                "No card is saved for this account: buy credit with `save_card` first, and agree "
                "there that it is charged again."
            )
    agreed = replace(rule, failures=0, retry_us=None, disabled_reason=None)
    _put(change, agreed)
    detail = {key: value for key, value in asdict(agreed).items() if key != "account_id"}
    change.audit("auto_recharge.set", rule.account_id, detail)
    return agreed


def needy(connection: Connection, now_us: int, limit: int) -> list[Rule]:
    """Return rules that are due: of accounts without a top-up under way, any order."""
    account = schema.account
    under_way = exists().where(
        _ORDER.c.account_id == _RULE.c.account_id,
        _ORDER.c.reason == Reason.AUTO_RECHARGE,
        _ORDER.c.state == OrderState.OPEN,
    )
    rows = connection.execute(
        select(_RULE)
        .join(account, account.c.id == _RULE.c.account_id)
        .join(schema.user, schema.user.c.id == _RULE.c.account_id)
        .where(
            _RULE.c.enabled,
            schema.user.c.disabled_us.is_(None),
            account.c.balance - account.c.held < _RULE.c.threshold,
            or_(_RULE.c.retry_us.is_(None), _RULE.c.retry_us <= now_us),
            ~under_way,
        )
        .limit(limit)
    )
    return [_rule(row) for row in rows]


def unheld(connection: Connection, account_id: str) -> int:
    """Return what an account has beyond its holds, without its overdraft."""
    account = schema.account.c
    found: int = connection.execute(
        select(account.balance - account.held).where(account.id == account_id)
    ).scalar_one()
    return found


def under_way(connection: Connection, account_id: str | None = None) -> list[str]:
    """Return the ids of top-ups that nobody knows the end of, the oldest first."""
    query = (
        select(_ORDER.c.id)
        .where(_ORDER.c.reason == Reason.AUTO_RECHARGE, _ORDER.c.state == OrderState.OPEN)
        .order_by(_ORDER.c.id)
    )
    if account_id is not None:
        query = query.where(_ORDER.c.account_id == account_id)
    return list(connection.execute(query).scalars())


def used_today(connection: Connection, account_id: str, now_us: int) -> tuple[int, int]:
    """Return how many top-ups were tried today, and what of them was or may be paid."""
    rows = connection.execute(
        select(func.count(), func.coalesce(func.sum(_ORDER.c.amount), 0), _ORDER.c.closed)
        .where(
            _ORDER.c.account_id == account_id,
            _ORDER.c.reason == Reason.AUTO_RECHARGE,
            _ORDER.c.created_us >= day_of(now_us),
        )
        .group_by(_ORDER.c.closed)
    ).all()
    attempts = sum(int(count) for count, _, _ in rows)
    return attempts, sum(int(amount) for _, amount, closed in rows if closed is None)


def postpone(change: Changes, rule: Rule, until_us: int, reason: str) -> None:
    """Let a rule rest, because a cap is reached or the provider does not answer."""
    _put(change, replace(rule, retry_us=until_us))
    change.audit("auto_recharge.rest", rule.account_id, {"reason": reason, "until": until_us})


def note_decline(change: Changes, account_id: str, reason: str, *, final: bool) -> Rule | None:
    """Count a decline against the rule of an account, and return the rule as it is then."""
    rule = find(change.connection, account_id)
    if rule is None:
        return None
    after = rule.declined(reason, change.clock.now_us(), final=final)
    _put(change, after)
    detail = {"reason": reason, "failures": after.failures, "enabled": after.enabled}
    change.audit("auto_recharge.declined", account_id, detail)
    return after


def note_success(change: Changes, account_id: str) -> None:
    rule = find(change.connection, account_id)
    if rule is not None and rule.failures:
        _put(change, rule.succeeded())


def _put(change: Changes, rule: Rule) -> None:
    values = {**asdict(rule), "updated_us": change.clock.now_us()}
    done = change.connection.execute(
        update(_RULE).where(_RULE.c.account_id == rule.account_id).values(**values)
    )
    if not done.rowcount:
        created = {"created_us": values["updated_us"]}
        change.connection.execute(insert(_RULE).values(**values, **created))


def _rule(row: Row[Any]) -> Rule:
    return Rule(
        account_id=row.account_id,
        provider=row.provider,
        enabled=row.enabled,
        threshold=row.threshold,
        credits=row.credits,
        attempts_a_day=row.attempts_a_day,
        amount_a_day=row.amount_a_day,
        failures=row.failures,
        retry_us=row.retry_us,
        disabled_reason=row.disabled_reason,
    )
