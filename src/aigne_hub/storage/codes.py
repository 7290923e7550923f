"""Redemption codes: making them, and giving their credit once to each account that has one.

Only a digest is stored: a code has 80 random bits, so nobody finds one from its digest, and a
copy of the database redeems nothing.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from aigne_hub.domain import codes
from aigne_hub.domain.errors import Conflict, HubError, InvalidRequest, NotFound, RateLimited
from aigne_hub.domain.lots import Category
from aigne_hub.domain.money import AMOUNT_MAX, format_credits
from aigne_hub.storage import grants, schema
from aigne_hub.storage.changes import Changes

COUNT_MAX: Final = 10_000
REDEMPTIONS_MAX: Final = 1_000_000
# Wrong codes that an account may try within an hour.
GUESSES_MAX: Final = 10
_HOUR_US: Final = 3600 * 1_000_000
_PREFIX: Final = 4
_SHOWN_MAX: Final = 80

_CODE = schema.redemption_code
_GUESS = schema.redemption_guess


@dataclass(frozen=True, slots=True)
class Code:
    """A code without its text. `amount` in nano-credits, instants in Unix microseconds."""

    id: str
    prefix: str
    amount: int
    category: Category
    max_redemptions: int
    redeemed: int
    created_us: int
    expires_us: int | None
    revoked_us: int | None


@dataclass(frozen=True, slots=True)
class Made:
    """A new code and its text, which exists nowhere else."""

    code: Code
    text: str


def create(
    change: Changes,
    randbytes: Callable[[int], bytes],
    *,
    amount: int,
    count: int = 1,
    max_redemptions: int = 1,
    expires_us: int | None = None,
    category: Category = Category.PROMOTIONAL,
) -> list[Made]:
    """Make `count` codes. Raises InvalidRequest."""
    now = change.clock.now_us()
    if not 0 < amount <= AMOUNT_MAX:
        most = format_credits(AMOUNT_MAX)
        raise InvalidRequest(f"A code gives more than 0 and at most {most}.", param="amount")
    if not 1 <= count <= COUNT_MAX:
        raise InvalidRequest(f"At most {COUNT_MAX} codes are made at a time.", param="count")
    if not 1 <= max_redemptions <= REDEMPTIONS_MAX:
        raise InvalidRequest(
            f"A code is redeemed 1 to {REDEMPTIONS_MAX} times.", param="max_redemptions"
        )
    if expires_us is not None and expires_us <= now:
        raise InvalidRequest("The code would already have expired.", param="expires_at")
    made = []
    for _ in range(count):
        text = codes.code_of(randbytes(codes.RANDOM_BYTES))
        code = Code(
            id=change.ids(),
            prefix=text[:_PREFIX],
            amount=amount,
            category=category,
            max_redemptions=max_redemptions,
            redeemed=0,
            created_us=now,
            expires_us=expires_us,
            revoked_us=None,
        )
        made.append(Made(code, text))
    rows = [
        {
            "id": one.code.id,
            "digest": _digest(one.text),
            "prefix": one.code.prefix,
            "amount": amount,
            "category": category,
            "max_redemptions": max_redemptions,
            "created_us": now,
            "expires_us": expires_us,
        }
        for one in made
    ]
    change.connection.execute(insert(_CODE), rows)
    detail = {"count": count, "amount": amount, "max_redemptions": max_redemptions}
    change.audit("codes.create", made[0].code.id, detail)
    return made


def listed(connection: Connection, limit: int) -> list[Code]:
    """Return the newest codes, newest first."""
    rows = connection.execute(select(_CODE).order_by(_CODE.c.id.desc()).limit(limit))
    return [_code(row) for row in rows]


def revoke(change: Changes, code_id: str) -> Code:
    """Make a code useless for good; what it gave stays. Raises NotFound."""
    row = change.connection.execute(select(_CODE).where(_CODE.c.id == code_id)).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no code {code_id[:_SHOWN_MAX]!r}. See: aigne-hub credits codes list"
        )
    if row.revoked_us is None:
        now = change.clock.now_us()
        change.connection.execute(update(_CODE).where(_CODE.c.id == code_id).values(revoked_us=now))
        change.audit("codes.revoke", code_id)
    row = change.connection.execute(select(_CODE).where(_CODE.c.id == code_id)).one()
    return _code(row)


def redeem(change: Changes, account_id: str, typed: str) -> grants.Grant | HubError:
    """Give an account a code's credit, or return why not: to be raised after the commit.

    A wrong code counts against the account, and that must be kept. Changes are made one at a
    time over all processes, so a code's last redemption is one account's.
    """
    now = change.clock.now_us()
    hour = now - now % _HOUR_US
    guesses = _guesses(change.connection, account_id, hour)
    if guesses >= GUESSES_MAX:
        wait_s = (hour + _HOUR_US - now) // 1_000_000 + 1
        return RateLimited("Too many wrong codes. Try again later.", retry_after_s=wait_s)
    letters = codes.normalised(typed)
    row = None
    if letters is not None:
        row = change.connection.execute(
            select(_CODE).where(_CODE.c.digest == _digest(letters))
        ).one_or_none()
    if row is None:
        _count_guess(change, account_id, hour)
        return NotFound("There is no such code. Check that it was copied whole.")
    refusal = _refusal(change.connection, row, account_id, now)
    return refusal or _give(change, row, account_id)


def hopeless(connection: Connection, now_us: int, account_id: str, typed: str) -> HubError | None:
    """Say why a code will never again give anything to an account, or None.

    Reads only, so that a crowd after one code does not queue for the database's write lock:
    what is used up, redeemed, revoked or expired stays so.
    """
    letters = codes.normalised(typed)
    if letters is None:
        return None
    row = connection.execute(select(_CODE).where(_CODE.c.digest == _digest(letters))).one_or_none()
    return None if row is None else _refusal(connection, row, account_id, now_us)


def _give(change: Changes, row: Row[Any], account_id: str) -> grants.Grant | HubError:
    terms = grants.Terms(
        category=Category(row.category),
        reference=f"code/{row.id}/{account_id}",
        name=f"Code {row.prefix}…",
    )
    try:
        made = grants.grant(
            change.connection, change.clock, change.ids, account_id, row.amount, terms
        )
    except HubError as error:
        return error
    change.connection.execute(
        update(_CODE).where(_CODE.c.id == row.id).values(redeemed=_CODE.c.redeemed + 1)
    )
    change.connection.execute(
        insert(schema.redemption).values(
            code_id=row.id,
            account_id=account_id,
            grant_id=made.id,
            created_us=change.clock.now_us(),
        )
    )
    change.audit("codes.redeem", row.id, {"account": account_id, "grant": made.id})
    return made


def _refusal(
    connection: Connection, row: Row[Any], account_id: str, now_us: int
) -> HubError | None:
    redeemed = schema.redemption.c
    own = connection.execute(
        select(redeemed.grant_id).where(
            redeemed.code_id == row.id, redeemed.account_id == account_id
        )
    ).first()
    if own is not None:
        return Conflict("This account has redeemed the code already.")
    if row.revoked_us is not None:
        return Conflict("The code was revoked.")
    if row.expires_us is not None and row.expires_us <= now_us:
        return Conflict("The code has expired.")
    if row.redeemed >= row.max_redemptions:
        return Conflict("The code has been used up.")
    return None


def _guesses(connection: Connection, account_id: str, hour_us: int) -> int:
    found = connection.execute(
        select(_GUESS.c.failures).where(
            _GUESS.c.account_id == account_id, _GUESS.c.hour_us == hour_us
        )
    ).scalar_one_or_none()
    return found or 0


def _count_guess(change: Changes, account_id: str, hour_us: int) -> None:
    failures = _guesses(change.connection, account_id, hour_us) + 1
    values = {"hour_us": hour_us, "failures": failures}
    counted = change.connection.execute(
        update(_GUESS).where(_GUESS.c.account_id == account_id).values(**values)
    )
    if not counted.rowcount:
        change.connection.execute(insert(_GUESS).values(account_id=account_id, **values))
    change.audit("codes.guess", account_id, {"failures": failures})


def _digest(text: str) -> bytes:
    return hashlib.sha256((codes.normalised(text) or "").encode()).digest()


def _code(row: Row[Any]) -> Code:
    return Code(
        id=row.id,
        prefix=row.prefix,
        amount=row.amount,
        category=Category(row.category),
        max_redemptions=row.max_redemptions,
        redeemed=row.redeemed,
        created_us=row.created_us,
        expires_us=row.expires_us,
        revoked_us=row.revoked_us,
    )
