"""What attempts cost that gave no caller an answer: the operator pays for them alone.

A call's own `cost` is that of its last attempt, which delivered, where it has one; so what
the attempts before it cost comes on top, and nothing is counted twice.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from aigne_hub.storage import schema

_CALL = schema.model_call.c
_ATTEMPT = schema.call_attempt.c
_BEFORE_LAST: Final = _ATTEMPT.seq < _CALL.attempts - 1
_ON_TOP: Final = or_(_CALL.cost.is_(None), _BEFORE_LAST)
# The last attempt of a call that used something gave an answer, if perhaps not all of it.
_GAVE_NOTHING: Final = and_(
    _ATTEMPT.error.is_not(None), or_(_CALL.usage_source.is_(None), _BEFORE_LAST)
)

# How many attempts failed, and what those cost that no call's cost includes, in nano-dollars.
FAILED: Final[ColumnElement[Any]] = func.sum(case((_GAVE_NOTHING, 1), else_=0)).label(
    "failed_attempts"
)
COST: Final[ColumnElement[Any]] = func.coalesce(
    func.sum(case((_ON_TOP, _ATTEMPT.cost), else_=0)), 0
).label("failed_cost")


def of_attempts(*columns: ColumnElement[Any]) -> Select[Any]:
    """Return the sums over attempts with their calls, by some columns of them."""
    attempts = schema.call_attempt.join(schema.model_call, _CALL.id == _ATTEMPT.call_id)
    return select(*columns, FAILED, COST).select_from(attempts).group_by(*columns)
