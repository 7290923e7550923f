"""What every route asks of its caller. One that does not say so keeps the hub from starting.

A route says it by a dependency: one that `Declares`, or one of the functions that
`declarations` is told of. Other dependencies ask for nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from aigne_hub.domain.permissions import Permission


class Asks(StrEnum):
    """What a route asks of its caller, from least to most."""

    NOTHING = "nothing"  # open to all, or the address itself is the secret
    SIGNATURE = "signature"  # of an application, or a key with the permission
    SESSION = "session"  # a person who is signed in
    KEY = "key"  # any live key: it is about the caller's own account
    PERMISSION = "permission"  # a key whose user has it, with the scope admin


@dataclass(frozen=True, slots=True)
class Access:
    """What a route declares.

    `permission` is what PERMISSION asks for; with KEY it shows everybody's objects instead of
    the caller's own. `why` says why a route asks nothing.
    """

    asks: Asks
    permission: Permission | None = None
    why: str = ""


class Declares(ABC):
    """A dependency that says what its route asks for."""

    __slots__ = ()

    @property
    @abstractmethod
    def access(self) -> Access: ...


@dataclass(frozen=True, slots=True)
class Open(Declares):
    """Asks nothing."""

    why: str

    @property
    def access(self) -> Access:
        return Access(Asks.NOTHING, why=self.why)

    async def __call__(self) -> None:
        """Let everybody in."""


def open_to_all(why: str) -> Any:
    """Return the dependency of a router or route that asks nothing, with the reason."""
    return Depends(Open(why))


class UndeclaredRoute(Exception):
    """A route does not say what it asks of its caller, or says two things."""


Known = Mapping[object, Access]


def declarations(routers: Iterable[APIRouter], known: Known) -> dict[tuple[str, str], Access]:
    """Return what each method and path asks of its caller. Raises UndeclaredRoute.

    `known` says it for dependencies that are plain functions.
    """
    found: dict[tuple[str, str], Access] = {}
    for router in routers:
        for route in router.routes:
            if not isinstance(route, APIRoute):
                raise UndeclaredRoute(f"{route!r} is no route of an API: nobody guards it")
            access = _declared(route, known)
            for method in sorted(route.methods or ()):
                if (method, route.path) in found:
                    raise UndeclaredRoute(f"{method} {route.path} is served twice")
                found[method, route.path] = access
    return found


def _declared(route: APIRoute, known: Known) -> Access:
    said = set(_said(route.dependant, known))
    asks_more = {access for access in said if access.asks is Asks.PERMISSION}
    # What acts once for its caller takes any key, behind whatever else the route asks for.
    decides = asks_more or said
    if len(decides) == 1:
        return decides.pop()
    what = "says nothing of who may call it" if not said else "says more than one thing of it"
    methods = ", ".join(sorted(route.methods or ()))
    raise UndeclaredRoute(
        f"{methods} {route.path} {what}. Take requires(Permission.…), "
        f"Caller or SignedIn as a parameter, or give its router "
        f"dependencies=[open_to_all('why')]: see docs/identity.md"
    )


def _said(dependant: Dependant, known: Known) -> Iterator[Access]:
    for one in dependant.dependencies:
        call: object = one.call
        if isinstance(call, Declares):
            yield call.access
        elif call in known:
            yield known[call]
        yield from _said(one, known)
