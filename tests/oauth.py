"""OAuth as programs and people do it, over HTTP, against a hub that is running."""

import base64
import hashlib
import html
import http.client
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from os import urandom
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

from aigne_hub.bootstrap import Hub, open_hub
from aigne_hub.domain.access import Role
from aigne_hub.settings import load_settings
from aigne_hub.storage import sessions, users
from aigne_hub.storage.changes import Changes, changes
from tests.hub import HubProcess

Value = TypeVar("Value")
COOKIE = "aigne-hub-session"
CALLBACK = "https://app.example.com/cb"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
FORM = "application/x-www-form-urlencoded"
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


@dataclass(frozen=True)
class Answer:
    """What the hub answered; `headers` have small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers["location"]

    def query(self) -> dict[str, str]:
        """Return the parameters of the address that was answered."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.location).query).items()}

    def hidden(self) -> dict[str, str]:
        """Return the hidden fields of a page."""
        return {name: html.unescape(value) for name, value in _HIDDEN.findall(self.text)}


def challenge(verifier: str = VERIFIER) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def basic(client_id: str, secret: str) -> dict[str, str]:
    text = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return {"authorization": f"Basic {text}"}


@dataclass
class Site:
    """A hub as clients meet it."""

    hub: HubProcess

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.hub.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            received = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, received, answer.read())
        finally:
            connection.close()

    def change(self, work: Callable[[Hub, Changes], Value], *, ago_s: int = 0) -> Value:
        """Change the hub's database as a command would, some time ago."""
        settings = load_settings(self.hub.environment(), data_dir=self.hub.folder)
        hub = open_hub(settings, self.hub.environment())
        try:
            with changes(hub.engine, _Earlier(hub.clock, ago_s), hub.ids, actor="test") as change:
                return work(hub, change)
        finally:
            hub.engine.dispose()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=_named(headers))

    def bearer(self, path: str, token: str, method: str = "GET") -> Answer:
        return self.ask(method, path, headers={"authorization": f"Bearer {token}"})

    def form(
        self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None
    ) -> Answer:
        sent = {"content-type": FORM, **(headers or {})}
        return self.ask("POST", path, urlencode(fields).encode(), sent)

    def token(self, headers: dict[str, str] | None = None, **fields: str) -> Answer:
        return self.form("/oauth/token", fields, headers)

    def register(self, *, key: str | None = None, **metadata: Any) -> Answer:
        sent = {"content-type": "application/json"}
        if key is not None:
            sent["authorization"] = f"Bearer {key}"
        return self.ask("POST", "/oauth/register", json.dumps(metadata).encode(), sent)

    def client(self, **metadata: Any) -> str:
        """Register a public client; return its id."""
        made = self.register(**{"redirect_uris": [CALLBACK], "client_name": "App", **metadata})
        assert made.status == 201, made.text
        return str(made.json["client_id"])


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class Person:
    """Somebody who is signed in, with a browser that keeps one cookie."""

    site: Site
    user: users.User
    cookie: str = field(repr=False)

    @classmethod
    def sign_in(cls, site: Site, email: str, role: Role = Role.MEMBER, *, ago_s: int = 120) -> Self:
        """Return a person, made if need be, who signed in some time ago."""

        def begin(hub: Hub, change: Changes) -> tuple[users.User, str]:
            found = [one for one in users.listed(change.connection) if one.email == email]
            user = (
                found[0]
                if found
                else users.create(change, hub.keyring, urandom, email=email, role=role)
            )
            made = sessions.begin(
                change, urandom, hub.pepper, user, "password", user_agent="", address=""
            )
            return user, made.token

        user, token = site.change(begin, ago_s=ago_s)
        return cls(site, user, token)

    def get(self, path: str) -> Answer:
        return self.site.ask("GET", path, headers={"cookie": f"{COOKIE}={self.cookie}"})

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        sent = {"cookie": f"{COOKIE}={self.cookie}", **_named(headers)}
        return self.site.form(path, fields, sent)

    def authorize(self, client_id: str, /, **changed: str | None) -> Answer:
        return self.get(f"/oauth/authorize?{urlencode(request(client_id, **changed))}")

    def consents(
        self, client_id: str, answer: dict[str, str] | None = None, /, **changed: str | None
    ) -> Answer:
        """Answer the consent page, if it comes; return where the browser is sent."""
        page = self.authorize(client_id, **changed)
        if page.status != 200:
            return page
        fields = {**page.hidden(), "decision": "allow", **(answer or {})}
        return self.post("/oauth/authorize", fields)

    def code(
        self, client_id: str, answer: dict[str, str] | None = None, /, **changed: str | None
    ) -> str:
        sent = self.consents(client_id, answer, **changed)
        assert sent.status == 303, (sent.status, sent.text)
        return sent.query()["code"]

    def tokens(
        self, client_id: str, answer: dict[str, str] | None = None, /, **changed: str | None
    ) -> dict[str, Any]:
        """Go the whole way; return what the token endpoint answered."""
        given = self.site.token(**redemption(client_id, self.code(client_id, answer, **changed)))
        assert given.status == 200, given.text
        return dict(given.json)


@dataclass
class _Earlier:
    clock: Any
    ago_s: int

    def now_us(self) -> int:
        return int(self.clock.now_us()) - self.ago_s * 1_000_000

    def monotonic_us(self) -> int:
        return int(self.clock.monotonic_us())


def request(client_id: str, /, **changed: str | None) -> dict[str, str]:
    """Return an authorization request that is right, but for what is `changed`."""
    asked: dict[str, str | None] = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "scope": "openid inference",
        "state": "the state",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
        **changed,
    }
    return {name: value for name, value in asked.items() if value is not None}


def redemption(client_id: str, code: str, /, **changed: str | None) -> dict[str, str]:
    """Return a token request for a code that is right, but for what is `changed`."""
    asked: dict[str, str | None] = {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
        **changed,
    }
    return {name: value for name, value in asked.items() if value is not None}
