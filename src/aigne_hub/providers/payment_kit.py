"""A client of Payment Kit's REST API, for a hub whose customers buy their credit there.

Facts of the wire: the published types of @blocklet/payment-js 1.27.2, and programs that use
it. Requests carry amounts in credits, answers in the smallest unit of a currency.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from aigne_hub.billing.kit_grants import KitGrant
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.instants import parse_instant
from aigne_hub.domain.money import DECIMALS_MAX, format_credits, round_half_up
from aigne_hub.transport import Client, Origin, TransportError, request_head

PAGE_SIZE = 100
PAYMENT_LINK_KEY = "DEFAULT_CREDIT_PAYMENT_LINK"
UNIT = "AIGNE Hub Credits"
# More places than any currency has; a number beyond is not one.
DECIMALS_KNOWN_MAX = 36
_REASON_MAX = 200
# 9999-12-31.
SECONDS_MAX = 253_402_300_799
# What says nothing of the request, but that it cannot be served now or with this token.
_LATER = frozenset({401, 403, 408, 425, 429})
# Payment Kit refuses an identifier it has seen; this hub answers it again.
_REPEATED = "already exist"


class KitUnavailable(HubError):
    """Payment Kit did not answer, or not what it answers: ask again later."""

    code = "upstream_error"
    status = 502


class KitRefused(Exception):
    """Payment Kit refused this very request; `reason` is its word, cut short."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"answered {status}: {reason}")
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class KitMeter:
    currency_id: str
    decimals: int


@dataclass(frozen=True, slots=True)
class KitBalance:
    """What a customer has left there, and what was metered beyond it. Nano-credits."""

    remaining: int
    pending: int


class PaymentKit:
    """One Payment Kit, at `url` (what stands before its `/api`), with one bearer token."""

    def __init__(self, client: Client, url: str, token: str) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._origin = Origin.parse(url, trusted=True)
        self._headers = (
            ("authorization", f"Bearer {token}"),
            ("content-type", "application/json"),
        )

    async def ensure_meter(self, event_name: str) -> KitMeter:
        """Return the meter for an event name, made when there is none.

        Raises KitUnavailable for one whose currency cannot hold a nano-credit: charges would
        be rounded away.
        """
        try:
            meter = await self._ask("GET", f"/meters/{quote(event_name, safe='')}")
        except KitRefused as refusal:
            if refusal.status != HTTPStatus.NOT_FOUND:
                raise
            meter = await self._ask("POST", "/meters", body=_new_meter(event_name))
        found = KitMeter(*_currency(_object(meter)))
        if found.decimals < DECIMALS_MAX:
            raise KitUnavailable(
                f"The currency of Payment Kit's meter {event_name!r} has {found.decimals} "
                f"decimals; {DECIMALS_MAX} are needed. Use another meter."
            )
        return found

    async def ensure_customer(self, did: str) -> None:
        """Have a customer made for a DID, unless there is one."""
        # Its server reads this from the body of a GET, ours from either.
        query = {"create": "true"}
        path = f"/customers/{quote(_address(did), safe='')}"
        await self._ask("GET", path, query, {"create": True})

    async def report(
        self, *, event_name: str, identifier: str, did: str, value: int, timestamp: int
    ) -> None:
        """Meter nano-credits to a customer; the identifier makes it happen once.

        Raises KitRefused, with status 404 for a customer or meter that does not exist.
        """
        body = {
            "event_name": event_name,
            "identifier": identifier,
            "payload": {"customer_id": _address(did), "value": format_credits(value)},
            "timestamp": timestamp,
        }
        try:
            await self._ask("POST", "/meter-events", body=body)
        except KitRefused as refusal:
            if refusal.status != HTTPStatus.BAD_REQUEST or _REPEATED not in refusal.reason.lower():
                raise

    async def grants(self, meter: KitMeter, page: int, status: str | None = None) -> list[object]:
        """Return a page of grants, newest first; `grant_of` reads each."""
        query = {
            "currency_id": meter.currency_id,
            "page": str(page),
            "pageSize": str(PAGE_SIZE),
            "order": "created_at:DESC",
        }
        if status is not None:
            query["status"] = status
        listed = _object(await self._ask("GET", "/credit-grants", query)).get("list")
        if not isinstance(listed, list):
            raise KitUnavailable("Payment Kit answered something else than a list of grants.")
        return listed

    async def balance(self, meter: KitMeter, did: str) -> KitBalance:
        """Return what a customer has there."""
        query = {"customer_id": _address(did)}
        summary = _object(await self._ask("GET", "/credit-grants/summary", query))
        pending = _object(await self._ask("GET", "/meter-events/pending-amount", query))
        of_currency = summary.get(meter.currency_id)
        left = "0" if of_currency is None else _text(_object(of_currency), "remainingAmount")
        owed = str(pending.get(meter.currency_id) or "0")
        return KitBalance(nano_of(left, meter.decimals), nano_of(owed, meter.decimals))

    async def can_continue(self, meter: KitMeter, did: str) -> bool:
        """Tell whether a customer may go on, by credit or by automatic recharge."""
        query = {"customer_id": _address(did), "currency_id": meter.currency_id}
        answer = _object(await self._ask("GET", "/credit-grants/verify-availability", query))
        return answer.get("can_continue") is True

    async def payment_link(self) -> str | None:
        """Return where credit is bought; None when it is sold nowhere."""
        try:
            link = await self._ask("GET", f"/payment-links/{PAYMENT_LINK_KEY}")
        except KitRefused:
            return None
        if not isinstance(link, dict) or not isinstance(link.get("id"), str):
            return None
        return f"{self._url}/checkout/pay/{quote(link['id'], safe='')}"

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> object:
        """Return what an answer carries. Raises KitUnavailable or KitRefused."""
        target = f"/api{path}?{urlencode({'livemode': 'true', **(query or {})})}"
        head = request_head(method, self._origin, target, self._headers)
        content = b"" if body is None else orjson.dumps(body)
        try:
            answer = await self._client.send(self._origin, head, content)
            data = await answer.read()
        except TransportError as error:
            raise KitUnavailable(f"Payment Kit cannot be reached: {error.message}.") from None
        status = answer.status
        if status in _LATER or not 200 <= status < 500:
            raise KitUnavailable(f"Payment Kit answered {status}.")
        try:
            value = orjson.loads(data) if data else None
        except orjson.JSONDecodeError:
            raise KitUnavailable(f"Payment Kit answered {status} with no JSON.") from None
        if status >= 300:
            raise KitRefused(status, _reason(value))
        return value


def grant_of(value: object, decimals: int) -> KitGrant:
    """Read a grant. Raises ValueError, which says what is wrong with it."""
    grant = value if isinstance(value, dict) else {}
    customer = grant.get("customer")
    did = customer.get("did") if isinstance(customer, dict) else None
    if not isinstance(did, str) or not did:
        raise ValueError("it names no customer's DID")
    priority = grant.get("priority", 50)
    if not isinstance(priority, int):
        raise ValueError("its priority is no number")  # noqa: TRY004 - a value of theirs, not a type of ours
    return KitGrant(
        id=id_of(value),
        did=did,
        amount=nano_of(str(grant.get("amount")), decimals),
        remaining=nano_of(str(grant.get("remaining_amount")), decimals),
        category=str(grant.get("category")),
        priority=priority,
        name=str(grant.get("name") or ""),
        status=str(grant.get("status")),
        created_us=parse_instant(str(grant.get("created_at"))),
        effective_us=_instant(grant.get("effective_at")),
        expires_us=_instant(grant.get("expires_at")),
    )


def id_of(value: object) -> str:
    """Return the id of a grant. Raises ValueError."""
    found = value.get("id") if isinstance(value, dict) else None
    if not isinstance(found, str) or not 0 < len(found) <= 128 or not found.isprintable():
        raise ValueError("a grant without an id")
    return found


def nano_of(text: str, decimals: int) -> int:
    """Return the nano-credits nearest to an amount in a currency's smallest unit."""
    if not text.isascii() or not text.isdigit() or len(text) > 60:
        raise ValueError(f"{text[:40]!r} is not an amount in the smallest unit")
    places = decimals - DECIMALS_MAX
    units = int(text)
    return round_half_up(units, 10**places) if places >= 0 else units * 10**-places


def _instant(seconds: object) -> int | None:
    if not isinstance(seconds, int) or not seconds:
        return None
    if not 0 < seconds <= SECONDS_MAX:
        raise ValueError("an instant of it is in no calendar")
    return seconds * 1_000_000


def _currency(meter: Mapping[str, Any]) -> tuple[str, int]:
    currency = meter.get("paymentCurrency")
    decimals = currency.get("decimal") if isinstance(currency, dict) else None
    if not isinstance(decimals, int) or not 0 <= decimals <= DECIMALS_KNOWN_MAX:
        raise KitUnavailable("Payment Kit's meter says nothing of its currency.")
    return _text(meter, "currency_id"), decimals


def _new_meter(event_name: str) -> dict[str, object]:
    return {
        "name": "AIGNE Hub AI Meter",
        "description": "AIGNE Hub AI Meter",
        "event_name": event_name,
        "unit": UNIT,
        "aggregation_method": "sum",
        "decimal": DECIMALS_MAX,
    }


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise KitUnavailable("Payment Kit answered something else than an object.")
    return value


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise KitUnavailable(f"Payment Kit's answer has no {name}.")
    return found


def _reason(value: object) -> str:
    """Return why a request was refused: Payment Kit says it as text, this hub in an object."""
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return str(error or "no reason given")[:_REASON_MAX]


def _address(did: str) -> str:
    """Return a DID as Payment Kit keeps it."""
    return did.removeprefix("did:abt:")
