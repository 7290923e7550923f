"""What would become of a call that opened now: the journal's own decision, and nothing written."""

from sqlalchemy import Connection, select

from aigne_hub.domain.errors import HubError
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.limits import Counter
from aigne_hub.domain.lots import Lot
from aigne_hub.domain.operations import Admission, Open
from aigne_hub.storage import ledger, schema
from aigne_hub.storage.fold import Fold
from aigne_hub.storage.preload import Loaded, needed


def rehearse(connection: Connection, opened: Open, now_us: int) -> Admission:
    """Return the admission a call would get, or raise the HubError that would refuse it.

    Idempotency keys are left out of account.
    """
    keys = needed([opened], now_us)
    loaded = Loaded(
        need=keys,
        accounts=_accounts(connection, keys.accounts),
        lots_by_account={name: _lots(connection, name) for name in keys.accounts},
        counters=_counters(connection, keys.counters),
        claims={},
    )
    (answer,) = Fold("", loaded).run([opened], now_us)
    if isinstance(answer, HubError):
        raise answer
    assert isinstance(answer, Admission)
    return answer


def _accounts(connection: Connection, names: set[str]) -> dict[str, tuple[Account, int | None]]:
    found = {}
    for name in names:
        row = connection.execute(ledger.SELECT_ACCOUNT, {"account_id": name}).one_or_none()
        if row is not None:
            account = Account(row.id, row.balance, row.held, row.overdraft)
            found[name] = (account, row.due_us)
    return found


def _lots(connection: Connection, account_id: str) -> list[Lot]:
    rows = connection.execute(ledger.SELECT_LOTS, {"account_id": account_id})
    return [ledger.lot_of(row) for row in rows]


def _counters(connection: Connection, names: set[str]) -> dict[str, Counter]:
    table = schema.limit_counter
    rows = connection.execute(select(table).where(table.c.id.in_(sorted(names))))
    return {
        row.id: Counter(row.id, row.used, row.held, row.amount, row.alerted, row.until_us)
        for row in rows
    }
