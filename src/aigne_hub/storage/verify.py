"""Prove that the books agree: every invariant of the ledger as a query for its violations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, select, text

from aigne_hub.storage import schema, triggers

EXAMPLES_MAX = 3

# Each query returns one row a violation; its first column says where. They hold at every
# commit, so they may run beside live traffic when one transaction reads them all. Calls
# that retention deleted are nobody's violation: holds and transfers outlive them. Neither
# are those of accounts that were imported: their calls are another hub's.
_CHECKS: Final[Mapping[str, str]] = {
    "account balance is the sum of its transfers": """
        SELECT a.id FROM account a LEFT JOIN (
            SELECT account_id, SUM(CASE WHEN credit = account_id THEN amount
                                        WHEN debit = account_id THEN -amount ELSE 0 END) AS net
            FROM transfer GROUP BY account_id) t ON t.account_id = a.id
        WHERE a.balance <> COALESCE(t.net, 0)""",
    "account held is the sum of its pending holds": """
        SELECT a.id FROM account a LEFT JOIN (
            SELECT account_id, SUM(amount) AS pending FROM hold
            WHERE state = 'pending' GROUP BY account_id) h ON h.account_id = a.id
        WHERE a.held <> COALESCE(h.pending, 0)""",
    "account available is not below zero": """
        SELECT id FROM account WHERE balance - held + overdraft < 0 OR held < 0 OR overdraft < 0""",
    "grants left add up to the balance": """
        SELECT a.id FROM account a LEFT JOIN (
            SELECT account_id, SUM(remaining) AS remaining
            FROM credit_grant WHERE posted GROUP BY account_id) g ON g.account_id = a.id
        WHERE COALESCE(g.remaining, 0) <> CASE WHEN a.balance > 0 THEN a.balance ELSE 0 END""",
    "grant was posted once, for its amount": """
        SELECT g.id FROM credit_grant g LEFT JOIN transfer t
            ON t.operation_id = g.id AND t.kind = 'grant' AND t.grant_id = g.id
            AND t.credit = g.account_id AND t.account_id = g.account_id AND t.debit = g.source
        WHERE g.posted <> (t.amount IS NOT NULL) OR t.amount <> g.amount
            OR (NOT g.posted AND g.remaining <> g.amount)
        UNION ALL
        SELECT t.operation_id FROM transfer t LEFT JOIN credit_grant g ON g.id = t.grant_id
        WHERE t.kind = 'grant' AND (g.id IS NULL OR t.operation_id <> g.id)""",
    # What left a grant without a transfer repaid a debt, which was incurred without a grant.
    "what left a grant was spent, expired, taken back or repaid a debt": """
        SELECT g.id FROM credit_grant g LEFT JOIN (
            SELECT grant_id,
                SUM(CASE WHEN kind = 'refund' THEN -amount ELSE amount END) AS used
            FROM transfer WHERE kind IN ('capture', 'adjustment', 'expiry', 'reversal', 'refund')
                AND grant_id IS NOT NULL
            GROUP BY grant_id) t ON t.grant_id = g.id
        LEFT JOIN (
            SELECT account_id, SUM(amount) AS lent FROM transfer
            WHERE kind IN ('capture', 'adjustment', 'reversal') AND grant_id IS NULL
            GROUP BY account_id) d ON d.account_id = g.account_id
        WHERE g.amount - g.remaining - COALESCE(t.used, 0) NOT BETWEEN 0 AND COALESCE(d.lent, 0)""",
    "transfer is positive and has the two sides of its kind": """
        SELECT operation_id FROM transfer WHERE NOT (amount > 0 AND debit <> credit AND (
            (kind = 'grant' AND credit = account_id
                AND (debit = 'promotional' OR debit LIKE 'funding:%'))
            OR (kind = 'capture' AND debit = account_id AND credit = 'revenue')
            OR (kind = 'expiry' AND debit = account_id AND credit = 'breakage')
            OR (kind = 'adjustment' AND debit = account_id AND credit = 'revenue')
            OR (kind = 'refund' AND debit = 'revenue' AND credit = account_id)
            OR (kind = 'reversal' AND debit = account_id
                AND (credit = 'promotional' OR credit LIKE 'funding:%'))
            OR (kind = 'recovery' AND credit = 'write_off'
                AND (debit LIKE 'funding:%' OR (debit = 'revenue' AND call_id IS NOT NULL)))
            OR (kind = 'write_off' AND debit = 'write_off'
                AND (credit = 'revenue' OR credit = 'promotional' OR credit LIKE 'funding:%'))))""",
    "no more of a call is refunded than it was charged": """
        SELECT call_id FROM transfer
        WHERE call_id IS NOT NULL AND kind IN ('capture', 'adjustment', 'refund')
        GROUP BY call_id
        HAVING SUM(CASE WHEN kind = 'refund' THEN -amount ELSE amount END) < 0""",
    "no more of a grant is taken back than was granted": """
        SELECT r.grant_id FROM grant_reversal r JOIN credit_grant g ON g.id = r.grant_id
        GROUP BY r.grant_id, g.amount HAVING SUM(r.amount) > g.amount""",
    "reversal's transfers add up to it": """
        SELECT r.operation_id FROM grant_reversal r LEFT JOIN (
            SELECT account_id, operation_id, SUM(amount) AS moved FROM transfer
            WHERE kind IN ('reversal', 'write_off') GROUP BY account_id, operation_id) t
            ON t.operation_id = r.operation_id AND t.account_id = r.account_id
        WHERE r.amount <> COALESCE(t.moved, 0)""",
    # What calls in flight hold is on their rows; a counter that holds more leaked.
    "limit holds nothing when no call does": """
        SELECT id FROM limit_counter WHERE held > 0 AND NOT EXISTS (
            SELECT 1 FROM model_call WHERE status = 'processing' AND counters IS NOT NULL)""",
    "idempotency key of a closed call is complete": """
        SELECT i.call_id FROM idempotency_key i JOIN model_call c ON c.id = i.call_id
        WHERE (c.status = 'processing') = (i.complete = 1)""",
    "transfer belongs to an account that exists": """
        SELECT t.operation_id FROM transfer t LEFT JOIN account a ON a.id = t.account_id
        WHERE a.id IS NULL""",
    # Credits and the rest are summed apart: a few great accounts together exceed 64 bits.
    "customers and system accounts sum to zero": """
        SELECT 'ledger' FROM (
            SELECT SUM(amount / 1000000000) AS credits, SUM(amount % 1000000000) AS nano FROM (
                SELECT balance AS amount FROM account
                UNION ALL SELECT amount FROM transfer
                    WHERE credit NOT IN (SELECT id FROM account)
                UNION ALL SELECT -amount FROM transfer
                    WHERE debit NOT IN (SELECT id FROM account)) AS parts) AS sums
        WHERE nano % 1000000000 <> 0 OR credits + nano / 1000000000 <> 0""",
    "operation's transfers are numbered without a gap": """
        SELECT operation_id FROM transfer GROUP BY account_id, operation_id
        HAVING MIN(seq) <> 0 OR MAX(seq) <> COUNT(*) - 1""",
    "closed call has an outcome, an open one none": """
        SELECT id FROM model_call WHERE (status = 'processing') <> (outcome IS NULL)""",
    "open call owes nothing yet": """
        SELECT id FROM model_call WHERE status = 'processing' AND charge IS NOT NULL""",
    "pending hold belongs to an open call": """
        SELECT h.call_id FROM hold h LEFT JOIN model_call c ON c.id = h.call_id
        WHERE h.state = 'pending' AND (c.id IS NULL OR c.status <> 'processing')""",
    "charged call has a captured hold": """
        SELECT c.id FROM model_call c LEFT JOIN hold h ON h.call_id = c.id
        WHERE c.charge > 0 AND (h.state IS NULL OR h.state <> 'captured')""",
    "hold and call name the same account": """
        SELECT h.call_id FROM hold h JOIN model_call c ON c.id = h.call_id
        WHERE h.account_id <> c.account_id""",
    "call's transfers add up to its charge": """
        SELECT c.id FROM model_call c LEFT JOIN (
            SELECT call_id, SUM(amount) AS posted FROM transfer
            WHERE operation_id = call_id GROUP BY call_id) t ON t.call_id = c.id
        WHERE COALESCE(c.charge, 0) <> COALESCE(t.posted, 0)""",
    "corrected price follows on the charge before it": """
        SELECT r.call_id FROM call_rerate r LEFT JOIN call_rerate b
            ON b.call_id = r.call_id AND b.seq = r.seq - 1
        LEFT JOIN model_call c ON c.id = r.call_id
        WHERE CASE WHEN r.seq > 0 THEN b.charge_after IS NULL OR b.charge_after <> r.charge_before
            ELSE c.charge IS NOT NULL AND c.charge <> r.charge_before END""",
    "corrected price posted no more than its difference, in transfers": """
        SELECT r.call_id FROM (
            SELECT call_id, run_id, posted,
                charge_after - FIRST_VALUE(charge_before) OVER running AS difference,
                SUM(posted) OVER running AS in_all
            FROM call_rerate WINDOW running AS (PARTITION BY call_id ORDER BY seq)) r
        LEFT JOIN (
            SELECT x.call_id, x.run_id,
                SUM(CASE WHEN t.kind IN ('adjustment', 'write_off') THEN t.amount
                    ELSE -t.amount END) AS moved
            FROM call_rerate x JOIN transfer t
                ON t.call_id = x.call_id AND t.operation_id <> t.call_id
                AND t.account_id = x.account_id AND t.operation_id IN (
                    'rerate/' || x.run_id || '/' || x.call_id,
                    'rerate/' || x.run_id || '/' || x.call_id || '/written-off')
            GROUP BY x.call_id, x.run_id) m ON m.call_id = r.call_id AND m.run_id = r.run_id
        WHERE r.posted <> COALESCE(m.moved, 0) OR r.in_all < r.difference
            OR (r.posted > 0 AND r.in_all <> r.difference)
        UNION ALL
        SELECT t.operation_id FROM transfer t LEFT JOIN call_rerate r ON r.call_id = t.call_id
            AND t.operation_id IN ('rerate/' || r.run_id || '/' || r.call_id,
                'rerate/' || r.run_id || '/' || r.call_id || '/written-off')
        WHERE t.operation_id LIKE 'rerate/%' AND r.call_id IS NULL""",
    "hold captured what its call paid": """
        SELECT h.call_id FROM hold h LEFT JOIN (
            SELECT call_id, SUM(amount) AS paid FROM transfer
            WHERE kind = 'capture' GROUP BY call_id) t ON t.call_id = h.call_id
        WHERE COALESCE(h.captured, 0) <> COALESCE(t.paid, 0)""",
    "what is charged for a call belongs to its captured hold": """
        SELECT t.operation_id FROM transfer t LEFT JOIN hold h ON h.call_id = t.call_id
        WHERE t.call_id IS NOT NULL AND t.operation_id NOT LIKE 'imported/%'
            AND (h.call_id IS NULL OR h.state <> 'captured'
            OR h.account_id <> t.account_id
            OR (t.kind = 'capture') > (t.operation_id = t.call_id))""",
    "captured hold has one meter event, and no other has": """
        SELECT h.call_id FROM hold h LEFT JOIN meter_event m ON m.call_id = h.call_id
        WHERE (h.state = 'captured') <> (m.call_id IS NOT NULL)
        UNION ALL
        SELECT m.call_id FROM meter_event m LEFT JOIN hold h ON h.call_id = m.call_id
        WHERE h.call_id IS NULL""",
    "meter event is the call's charge": """
        SELECT m.call_id FROM meter_event m JOIN model_call c ON c.id = m.call_id
        WHERE m.value <> COALESCE(c.charge, 0) OR m.account_id <> c.account_id""",
    "metered event is what was taken for it and what is pending": """
        SELECT e.id FROM metered_event e LEFT JOIN (
            SELECT account_id, operation_id, SUM(amount) AS taken FROM transfer
            WHERE kind = 'capture' AND call_id IS NULL GROUP BY account_id, operation_id) t
            ON t.account_id = e.account_id AND t.operation_id = 'meter/' || e.identifier
        WHERE e.value <> COALESCE(t.taken, 0) + e.pending""",
    "what is charged without a call was metered": """
        SELECT t.operation_id FROM transfer t LEFT JOIN metered_event e
            ON t.account_id = e.account_id AND t.operation_id = 'meter/' || e.identifier
        WHERE t.kind = 'capture' AND t.call_id IS NULL AND e.id IS NULL
            AND t.operation_id NOT LIKE 'imported/%'""",
    "paid order became one grant, for its credits": """
        SELECT o.id FROM payment_order o LEFT JOIN credit_grant g ON g.id = o.grant_id
        WHERE o.paid_us IS NOT NULL AND (g.id IS NULL OR g.amount <> o.credits
            OR g.account_id <> o.account_id OR g.source <> 'funding:' || o.provider
            OR g.reference <> 'order/' || o.id)
        UNION ALL
        SELECT g.id FROM credit_grant g LEFT JOIN payment_order o
            ON o.id = SUBSTR(g.reference, 7, 36)
        WHERE g.reference LIKE 'order/%' AND (o.id IS NULL OR o.paid_us IS NULL)""",
    "what an order lost was taken back or written off": """
        SELECT o.id FROM payment_order o LEFT JOIN (
            SELECT order_id, SUM(amount) AS lost FROM (
                SELECT SUBSTR(g.reference, 7, 36) AS order_id, r.amount AS amount
                FROM grant_reversal r JOIN credit_grant g ON g.id = r.grant_id
                WHERE g.reference LIKE 'order/%'
                UNION ALL
                SELECT SUBSTR(reference, 7, 36), -amount FROM credit_grant
                WHERE reference LIKE 'order/%/%'
                UNION ALL
                SELECT SUBSTR(operation_id, 7, 36), -amount FROM transfer
                WHERE kind = 'recovery') AS moves
            GROUP BY order_id) m ON m.order_id = o.id
        WHERE o.taken + o.written_off <> COALESCE(m.lost, 0)""",
    "code was redeemed as often as it counts": """
        SELECT c.id FROM redemption_code c LEFT JOIN (
            SELECT code_id, COUNT(*) AS redeemed FROM redemption GROUP BY code_id) r
            ON r.code_id = c.id
        WHERE c.redeemed <> COALESCE(r.redeemed, 0)""",
    "redemption became one grant, for the code's amount": """
        SELECT r.code_id FROM redemption r
        JOIN redemption_code c ON c.id = r.code_id JOIN credit_grant g ON g.id = r.grant_id
        WHERE g.amount <> c.amount OR g.account_id <> r.account_id
            OR g.category <> c.category""",
    "call names a price that exists": """
        SELECT c.id FROM model_call c LEFT JOIN rate r ON r.id = c.rate_id
        WHERE c.rate_id IS NOT NULL AND r.id IS NULL""",
    "model's rate versions are numbered without a gap": """
        SELECT model_id FROM rate GROUP BY model_id
        HAVING MIN(version) <> 1 OR MAX(version) <> COUNT(*)""",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant. `detail` counts and names its violations, or is empty."""

    name: str
    ok: bool
    detail: str


def verify(connection: Connection) -> list[Check]:
    """Check every invariant. Give it one consistent view (`engine.reading`)."""
    checks = [_check(connection, name, query) for name, query in _CHECKS.items()]
    missing = triggers.expected() - triggers.installed(connection)
    names = ", ".join(sorted(name for _, name in missing))
    checks.append(
        Check("append-only triggers are in place", not missing, names and f"missing: {names}")
    )
    return checks


def count_transfers(connection: Connection) -> int:
    """Return how many transfers the ledger holds."""
    count: int = connection.execute(select(func.count()).select_from(schema.transfer)).scalar_one()
    return count


def _check(connection: Connection, name: str, query: str) -> Check:
    violations = connection.execute(
        text(f"SELECT COUNT(*) FROM ({query}) AS violations")  # noqa: S608 - constants above
    ).scalar_one()
    if not violations:
        return Check(name, ok=True, detail="")
    found = connection.execute(text(f"{query} LIMIT {EXAMPLES_MAX}")).scalars()
    return Check(name, ok=False, detail=f"{violations} violated, such as: {', '.join(found)}")
