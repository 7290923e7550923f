"""`/api/user/model-calls`: calls as existing clients list and export them."""

import csv
import io
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Response

from aigne_hub.billing.statement_csv import safe_cell
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import call_pages
from aigne_hub.storage.call_pages import Filter
from aigne_hub.web.api.access import Caller
from aigne_hub.web.api.unit_prices import TYPE_NAMES
from aigne_hub.web.backend import Hub

SIZE_DEFAULT = 50
SIZE_MAX = 100
PAGE_MAX = 100_000
SEARCH_CHARS_MAX = 100
EXPORT_ROWS_MAX = 10_000
INSTANT_MAX_S = 10_000_000_000

_SECOND_US = 1_000_000
_SEARCHED = {"model": "model", "traceId": "trace", "id": "id", "userDid": "user"}
_HEADINGS = {
    "en": (
        "Timestamp,Request ID,User DID,User Name,User Email,Model,Provider,Type,Status,"
        "Input Tokens,Output Tokens,Total Usage,Credits,Duration(s),App DID"
    ),
    "zh": (
        "时间,请求 ID,用户 DID,用户名,用户邮箱,模型,供应商,类型,状态,"
        "输入 Token,输出 Token,总用量,积分,耗时(秒),应用 DID"
    ),
}


def _asked(
    caller: Caller,
    *,
    start: Annotated[
        int | None,
        Query(alias="startTime", ge=0, le=INSTANT_MAX_S, description="From this Unix second on."),
    ] = None,
    end: Annotated[
        int | None,
        Query(alias="endTime", ge=0, le=INSTANT_MAX_S, description="Up to this Unix second."),
    ] = None,
    status: Annotated[
        Literal["success", "failed", "processing", "all"], Query(description="How they ended.")
    ] = "all",
    kind: Annotated[
        str | None, Query(alias="type", max_length=40, description="Only of this type.")
    ] = None,
    model: Annotated[
        str | None, Query(max_length=255, description="Part of a model's name.")
    ] = None,
    provider: Annotated[
        str | None, Query(alias="providerId", max_length=255, description="A provider's name.")
    ] = None,
    app_did: Annotated[
        str | None, Query(alias="appDid", max_length=255, description="Only for this application.")
    ] = None,
    duration: Annotated[
        int | None,
        Query(alias="minDurationSeconds", ge=0, le=INSTANT_MAX_S, description="At least so long."),
    ] = None,
    search: Annotated[
        str | None, Query(max_length=SEARCH_CHARS_MAX, description="Part of what is searched.")
    ] = None,
    search_in: Annotated[
        str,
        Query(
            alias="searchFields",
            max_length=SEARCH_CHARS_MAX,
            description="Of model, traceId, id and userDid, with commas.",
        ),
    ] = ",".join(_SEARCHED),
    everybody: Annotated[
        bool, Query(alias="allUsers", description="Everybody's; for administrators.")
    ] = False,
) -> Filter:
    """Return which calls the query asks for: everybody's only for an administrator."""
    if everybody:
        caller.require(Permission.CALLS_READ)
    fields = [name.strip() for name in search_in.split(",")]
    if not set(fields) <= _SEARCHED.keys():
        known = ", ".join(_SEARCHED)
        raise InvalidRequest(f"searchFields are of {known}.", param="searchFields")
    return Filter(
        account_id=None if everybody else caller.user_id,
        since_us=None if start is None else start * _SECOND_US,
        until_us=None if end is None else (end + 1) * _SECOND_US,
        status=None if status == "all" else status,
        type=None if kind is None else _type(kind),
        model=model,
        provider=provider,
        app_did=app_did,
        duration_us=None if duration is None else duration * _SECOND_US,
        search=search,
        search_in=tuple(_SEARCHED[name] for name in fields),
    )


Wanted = Annotated[Filter, Depends(_asked)]


def list_calls(
    wanted: Wanted,
    hub: Hub,
    number: Annotated[
        int, Query(alias="page", ge=1, le=PAGE_MAX, description="Which page, from 1.")
    ] = 1,
    size: Annotated[
        int, Query(alias="pageSize", ge=1, le=SIZE_MAX, description="Calls a page.")
    ] = SIZE_DEFAULT,
) -> Response:
    """Return calls, newest first. `credits` are JSON numbers, exact to the last place."""
    with hub.reading() as view:
        count, rows = call_pages.page(view, wanted, offset=(number - 1) * size, limit=size)
    body = {
        "count": count,
        "list": [call_shown(row) for row in rows],
        "paging": {"page": number, "pageSize": size},
    }
    return Response(orjson.dumps(body), media_type="application/json")


def export_calls(
    wanted: Wanted,
    hub: Hub,
    locale: Annotated[Literal["en", "zh"], Query(description="Language of the headings.")] = "en",
) -> Response:
    """Return the newest calls as CSV, at most 10,000."""
    with hub.reading() as view:
        _, rows = call_pages.page(view, wanted, offset=0, limit=EXPORT_ROWS_MAX)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_HEADINGS[locale].split(","))
    writer.writerows(map(_cells, rows))
    day = format_instant(hub.clock.now_us())[:10]
    return Response(
        text.getvalue(),
        media_type="text/csv",
        headers={"content-disposition": f'attachment; filename="model-calls-{day}.csv"'},
    )


def _type(name: str) -> str:
    """Return the hub's own name of a type, given either."""
    return next((own for own, shown in TYPE_NAMES.items() if shown == name), name)


def call_shown(row: Any) -> dict[str, Any]:
    provider, _, model = row.model.partition("/")
    read, wrote = row.input_tokens or 0, row.output_tokens or 0
    cached, written = row.cache_read_tokens or 0, row.cache_write_tokens or 0
    return {
        "id": row.id,
        "providerId": row.provider or "",
        "model": model or row.model,
        "credentialId": row.credential or "",
        "type": TYPE_NAMES.get(row.type, "custom"),
        "totalUsage": _total(row),
        "usageMetrics": {
            "inputTokens": read,
            "outputTokens": wrote,
            "totalTokens": read + wrote + cached + written,
            "cacheCreationInputTokens": written,
            "cacheReadInputTokens": cached,
        },
        "credits": orjson.Fragment(format_credits(row.charge or 0)),
        "status": row.status,
        "duration": _tenths(row.duration_us, _SECOND_US),
        "errorReason": row.error_message,
        "appDid": row.app_did,
        "userDid": row.user_did,
        "requestId": row.request_id,
        "traceId": row.request_id,
        "callTime": row.started_us // _SECOND_US,
        "createdAt": format_instant(row.started_us),
        "ttfb": _tenths(row.ttfb_us, 1000),
        # Where a provider is reached is the operator's business.
        "provider": {
            "id": row.provider or "",
            "name": row.provider or provider,
            "displayName": row.provider or provider,
            "baseUrl": "",
            "region": "",
            "enabled": True,
        },
        "appInfo": {"appName": "", "appDid": row.app_did, "appLogo": "", "appUrl": ""},
        "userInfo": {
            "did": row.user_did,
            "fullName": _name(row),
            "email": row.email or "",
            "avatar": "",
        },
    }


def _cells(row: Any) -> list[str]:
    seconds = _tenths(row.duration_us, _SECOND_US)
    texts = (
        format_instant(row.started_us),
        row.request_id,
        row.user_did,
        _name(row),
        row.email,
        row.model,
        row.provider,
        TYPE_NAMES.get(row.type, "custom"),
        row.status,
        str(row.input_tokens or 0),
        str(row.output_tokens or 0),
        str(_total(row)),
        format_credits(row.charge or 0),
        "" if seconds is None else str(seconds),
        row.app_did,
    )
    return [safe_cell(text) for text in texts]


def _total(row: Any) -> int:
    """Return tokens of all kinds, or images, seconds or characters where there are none."""
    tokens = sum(
        getattr(row, name) or 0
        for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    )
    return tokens or row.units or 0


def _name(row: Any) -> str:
    return (row.email or "").partition("@")[0]


def _tenths(us: int | None, unit: int) -> float | None:
    """Return microseconds in a unit, to one place."""
    return None if us is None else round(us / unit, 1)


def model_calls_router() -> APIRouter:
    router = APIRouter(prefix="/api/user/model-calls", tags=["Account"])
    router.get("", operation_id="listModelCalls", summary="Own calls")(list_calls)
    router.get(
        "/export",
        operation_id="exportModelCalls",
        summary="Own calls as CSV",
        response_class=Response,
        response_description="The calls",
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )(export_calls)
    return router
