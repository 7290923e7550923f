"""Somebody with a browser's memory at a hub's door: cookies are kept, redirects are shown."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO, TextIOWrapper
from typing import Any
from unittest.mock import patch
from urllib.parse import urljoin, urlsplit

from argon2 import PasswordHasher
from sqlalchemy import ColumnElement, Row, Table

from aigne_hub.crypto import passwords as hashing
from aigne_hub.storage import schema
from aigne_hub.storage.engine import create_engine, reading, writing
from tests.hub import HubProcess
from tests.visitor import Answer, ask

PASSWORD = "correct horse battery"
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


def set_password(hub: HubProcess, user: str, password: str = PASSWORD) -> None:
    """Give a user a password by the command, which reads it from its standard input.

    Its hash is a quick one, until the first sign-in makes it anew: tests of guessing are no
    tests of the machine.
    """
    quick = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    with (
        patch.object(hashing, "_hasher", lambda: quick),
        patch("sys.stdin", TextIOWrapper(BytesIO(f"{password}\n".encode()))),
    ):
        hub.cli("users", "set-password", user)


_NUMBERS = itertools.count(1)


def elsewhere() -> str:
    """Return an address from which nobody has come before."""
    number = next(_NUMBERS)
    return f"198.{18 + number // 65_536}.{number // 256 % 256}.{number % 256}"


def newcomer(hub: HubProcess, password: str | None = PASSWORD) -> tuple["Person", str]:
    """Make a user, perhaps with a password; return them at an address of their own."""
    email = f"person-{next(_NUMBERS)}@example.com"
    hub.cli("users", "create", "--email", email)
    if password is not None:
        set_password(hub, email, password)
    return Person(hub, elsewhere()), email


@dataclass
class Person:
    """`address` is what a proxy on the same machine says about where they are."""

    hub: HubProcess
    address: str = "192.0.2.1"
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, None, headers)

    def post(self, path: str, form: Mapping[str, str], **headers: str) -> Answer:
        return self.send("POST", path, form, headers)

    def send(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"accept": "text/html", "x-forwarded-for": self.address}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        for name, value in (headers or {}).items():
            sent[name.replace("_", "-")] = value
        answer = ask(self.hub, method, path, form=form, headers=sent)
        for line in answer.set_cookies:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if not value or "max-age=0" in line.lower():
                del self.cookies[name]
        return answer

    def fill(self, page: str, form: Mapping[str, str], action: str | None = None) -> Answer:
        """Open a page and send a form of it, with the token that the page carries."""
        return self.post(action or page.partition("?")[0], {"csrf": self.csrf(page), **form})

    def csrf(self, page: str) -> str:
        """Return the token of a page's own forms: the first may be the header's."""
        found = _CSRF.findall(self.get(page).text)
        assert found, page
        return str(found[-1])

    def sign_in(
        self, email: str, password: str = PASSWORD, page: str = "/sign-in", **form: str
    ) -> Answer:
        return self.fill(page, {"email": email, "password": password, **form})

    @property
    def token(self) -> str | None:
        """The session's token that the browser keeps."""
        return self.cookies.get("aigne-hub-session")


def leads_to(answer: Answer, page: str) -> str:
    """Return the path and query to which a redirect from a page leads."""
    assert answer.status == 303, answer.text
    parts = urlsplit(urljoin(f"http://hub{page}", answer.headers["location"]))
    assert parts.netloc == "hub", answer.headers["location"]
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def rows(hub: HubProcess, table: Table, *where: ColumnElement[bool]) -> Sequence[Row[Any]]:
    """Return the rows of a table in a hub's database."""
    database = create_engine(hub.database_url)
    try:
        with reading(database) as connection:
            return connection.execute(table.select().where(*where)).all()
    finally:
        database.dispose()


def id_of(hub: HubProcess, email: str) -> str:
    """Return the id of a user."""
    (row,) = rows(hub, schema.user, schema.user.c.email == email)
    return str(row.id)


def age(hub: HubProcess, email: str, us: int) -> None:
    """Let a user have proved who they are longer ago."""
    session = schema.session.c
    database = create_engine(hub.database_url)
    with writing(database) as connection:
        connection.execute(
            schema.session.update()
            .where(session.user_id == id_of(hub, email))
            .values(authenticated_us=session.authenticated_us - us)
        )
    database.dispose()
