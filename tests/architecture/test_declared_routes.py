"""Every route says who may call it, or the hub does not start."""

from typing import Annotated

import pytest
from fastapi import APIRouter
from starlette.routing import Route

from aigne_hub.domain.permissions import Permission
from aigne_hub.web.api.access import Caller, requires
from aigne_hub.web.app import create_app
from aigne_hub.web.declared import Access, Asks, UndeclaredRoute, open_to_all
from aigne_hub.web.guards import guarded
from aigne_hub.web.routers import every_router


def router_with(handler, **more):
    router = APIRouter(**more)
    router.get("/thing")(handler)
    return router


def test_every_route_of_the_hub_says_who_may_call_it():
    assert guarded(every_router())


def test_a_hub_with_a_route_that_says_nothing_does_not_start(monkeypatch):
    def handler() -> None: ...

    monkeypatch.setattr("aigne_hub.web.app.every_router", lambda: [router_with(handler)])
    with pytest.raises(UndeclaredRoute, match="GET /thing says nothing of who may call it"):
        create_app(None, None)


def test_a_route_says_one_thing():
    def handler(
        one: Annotated[object, requires(Permission.CALLS_READ)],
        other: Annotated[object, requires(Permission.RATES_READ)],
    ) -> None: ...

    with pytest.raises(UndeclaredRoute, match="says more than one thing"):
        guarded([router_with(handler)])


def test_what_is_open_to_all_asks_for_nothing_else():
    def handler(caller: Caller) -> None: ...

    with pytest.raises(UndeclaredRoute, match="says more than one thing"):
        guarded([router_with(handler, dependencies=[open_to_all("no reason")])])


def test_a_permission_stands_beside_what_is_done_once_for_a_caller():
    def handler(one: Annotated[object, requires(Permission.CALLS_READ)], key: Caller) -> None: ...

    declared = guarded([router_with(handler)])
    assert declared == {("GET", "/thing"): Access(Asks.PERMISSION, Permission.CALLS_READ)}


def test_nobody_guards_what_is_no_route_of_an_api():
    router = APIRouter()
    router.routes.append(Route("/raw", str))
    with pytest.raises(UndeclaredRoute, match="no route of an API"):
        guarded([router])


def test_a_path_is_served_once():
    def handler(caller: Caller) -> None: ...

    with pytest.raises(UndeclaredRoute, match="served twice"):
        guarded([router_with(handler), router_with(handler)])


def test_what_asks_nothing_says_why():
    opened = [one for one in guarded(every_router()).values() if one.asks is Asks.NOTHING]
    assert opened
    assert all(one.why for one in opened)
