"""The pay page: choose an amount, see the order, pay it. Plain forms, without script.

There is no login here. Whoever opens the page may pay for any account, which harms nobody;
the page tells nothing of an account but the part of its name that the payer must recognise.
The address of an order holds a proof, so nobody finds the orders of others.
"""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from aigne_hub.domain.currencies import format_minor
from aigne_hub.domain.errors import HubError, InvalidRequest, NotFound, RateLimited
from aigne_hub.domain.money import format_credits, parse_credits
from aigne_hub.payments.cashier import Purchase
from aigne_hub.storage import orders, payment_links, users
from aigne_hub.storage.orders import OrderRecord
from aigne_hub.storage.users import User
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.forms import fields, form_of
from aigne_hub.web.minute import PerMinute
from aigne_hub.web.payment.views import account_shown, order_view
from aigne_hub.web.rendering import renderer_of

# Names that strangers may try: enough to buy, too few to list accounts.
WRONG_A_MINUTE_MAX = 30
ORDER, ACCOUNT, RECEIPT = "order", "account", "receipt"
_ACTOR = "page:pay"
_FRESH = {"cache-control": "no-store"}


async def show(request: Request, hub: Hub, order: str) -> HTMLResponse:
    """Show an order, or for any address that is not one's the form that makes one."""
    if "." not in order:
        values = fields(request.scope["query_string"].decode("latin-1"))
        return await run_in_threadpool(_form_of_link, request, hub, order, values)
    return await run_in_threadpool(_order, request, hub, order)


async def submit(request: Request, hub: Hub, order: str) -> Response:
    form = await form_of(request)
    if "." in order:
        await run_in_threadpool(_pay_with_nothing, hub, order)
        return RedirectResponse(order, 303, _FRESH)
    try:
        record = await run_in_threadpool(_buy, hub, form, request.app.state.wrong_names)
    except HubError as error:
        return await run_in_threadpool(_form, request, hub, form, error)
    return RedirectResponse(hub.page_tokens.make(ORDER, record.order.id), 303, _FRESH)


def _form_of_link(
    request: Request, hub: Backend, name: str, values: Mapping[str, str]
) -> HTMLResponse:
    """Show the form with the amount that a payment link suggests, if the address is one's."""
    try:
        with hub.reading() as view:
            link = payment_links.find(view, name)
    except NotFound:
        return _form(request, hub, values)
    if not link.active:
        raise NotFound("Nothing is sold at this address any more.")
    return _form(request, hub, {"credits": format_credits(link.credits), **values})


def _buy(hub: Backend, form: Mapping[str, str], wrong_names: PerMinute) -> OrderRecord:
    """Make the order that a form asks for."""
    known = _known_account(hub, form)
    account = known or _named_account(hub, form.get("to", ""), wrong_names)
    try:
        wanted = parse_credits(form.get("credits", ""))
    except ValueError as error:
        raise InvalidRequest(f"{error}.", param="credits") from None
    provider = form.get("provider") or None
    purchase = Purchase(account.id, wanted, provider, anonymous=known is None)
    return hub.cashier.checkout(_ACTOR, purchase)


def _known_account(hub: Backend, values: Mapping[str, str]) -> User | None:
    """Return the account that the hub itself put into the address."""
    user_id = hub.page_tokens.subject(ACCOUNT, values.get("account", ""))
    if user_id is None:
        return None
    with hub.reading() as view:
        return users.find(view, user_id)


def _named_account(hub: Backend, name: str, wrong_names: PerMinute) -> User:
    now = hub.clock.now_us()
    if wrong_names.exhausted(now):
        raise RateLimited("Too many unknown accounts were named just now.", retry_after_s=60)
    if "@" not in name and not name.startswith("did:"):
        raise InvalidRequest("Give the e-mail address or the DID of the account.", param="to")
    with hub.reading() as view:
        try:
            found = users.find(view, name)
        except NotFound:
            found = None
    if found is None or found.disabled:
        wrong_names.note(now)
        raise InvalidRequest("This hub has no such account.", param="to")
    return found


def _form(
    request: Request, hub: Backend, values: Mapping[str, str], problem: HubError | None = None
) -> HTMLResponse:
    known = _known_account(hub, values)
    offer, providers = hub.cashier.offer, list(hub.cashier.providers)
    return renderer_of(request).page(
        request,
        "pay.html",
        status=problem.status if problem else 200,
        headers=_FRESH,
        billing=hub.billing,
        providers=providers,
        chosen=values.get("provider") or next(iter(providers), ""),
        problem=problem,
        price=offer.shown_price,
        least=format_credits(offer.least),
        most=format_credits(offer.most),
        credits=values.get("credits") or format_credits(offer.default),
        to=values.get("to", ""),
        account=values.get("account", "") if known else "",
        account_name=account_shown(known.email, known.did, whole=False) if known else "",
    )


def _order(request: Request, hub: Backend, token: str) -> HTMLResponse:
    record = _opened(hub, token, ORDER)
    receipt = hub.page_tokens.make(RECEIPT, record.order.id)
    return renderer_of(request).page(
        request,
        "order.html",
        headers=_FRESH,
        order=order_view(record),
        instructions=hub.cashier.offer.instructions,
        receipt=receipt if record.order.paid else None,
    )


def _pay_with_nothing(hub: Backend, token: str) -> None:
    hub.cashier.pay_with_nothing(_opened(hub, token, ORDER).order.id)


def _opened(hub: Backend, token: str, purpose: str) -> OrderRecord:
    order_id = hub.page_tokens.subject(purpose, token)
    if order_id is None:
        raise NotFound("There is no such order. Check that the whole address was copied.")
    with hub.reading() as view:
        return orders.load(view, order_id)


async def receipt(request: Request, hub: Hub, token: str) -> HTMLResponse:
    """Show what was paid, for printing."""
    return await run_in_threadpool(_receipt, request, hub, token)


def _receipt(request: Request, hub: Backend, token: str) -> HTMLResponse:
    record = _opened(hub, token, RECEIPT)
    if not record.order.paid:
        raise NotFound("The order was not paid, so there is no receipt.")
    kept = record.order.amount - record.order.returned
    return renderer_of(request).page(
        request,
        "receipt.html",
        headers=_FRESH,
        order=order_view(record),
        kept=format_minor(kept, record.order.currency),
    )


def payment_pages_router() -> APIRouter:
    router = APIRouter(
        prefix="/payment",
        include_in_schema=False,
        dependencies=[open_to_all("the address of an order or receipt cannot be guessed")],
    )
    router.get("/checkout/pay/{order}")(show)
    router.post("/checkout/pay/{order}")(submit)
    router.get("/receipts/{token}")(receipt)
    return router
