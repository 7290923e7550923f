"""Signed calls of `/api/v1`, end to end: who is let in, who pays, and never twice."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from tests.api import Api
from tests.books import NOTICED_S, Books, Customer, nano
from tests.caller import PROMPT, Reply, post
from tests.hub import HubProcess
from tests.signing import App
from tests.upstream.client import FakeUpstream

PATH = "/api/v1/chat/completions"
EVENTS = {"accept": "text/event-stream"}
USER = "did:abt:z1muQ3xqHQK2uiACHyChikobsiY5kLqtShA"
REPLAYS = 12
FLAT = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": PROMPT}]}
BODY = json.dumps(FLAT).encode()


class Site:
    """A hub of two processes and the applications that were added to it."""

    def __init__(self, hub: HubProcess, books: Books) -> None:
        self.hub = hub
        self.books = books
        self.payer = books.customer(nano("100"))
        self.app, self.sibling = App.new(), App.new()
        # Within a second one request has one signature: each of these is another second's.
        self._seconds = count(int(time.time()) - 150)
        self.add(self.app, "--name", "shop")
        self.add(self.sibling, "--sibling")

    def add(self, app: App, *options: str, payer: Customer | None = None) -> dict[str, Any]:
        whose = ("--user", (payer or self.payer).user.did)
        key = ("--public-key", app.public_key)
        made: dict[str, Any] = self.hub.cli("apps", "add", app.did, *key, *whose, *options)
        return made

    def ask(self, headers: Mapping[str, str], body: bytes = BODY, path: str = PATH) -> Reply:
        return post(self.hub, path, body, headers={"Authorization": "", **headers})

    def second(self) -> int:
        return next(self._seconds)

    def message(self, app: App, **given: Any) -> dict[str, str]:
        return app.message(f"{self.hub.address}{PATH}", BODY, **given)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Site]:
    config = {
        "providers": [
            {
                "name": "openai",
                "base_url": upstream.base_url,
                "credentials": [{"name": "main", "api_key": "sk-good"}],
            }
        ],
        "models": [
            {"model": "openai/gpt-4o", "type": "chat", "rates": {"input": "3", "output": "15"}},
            {"model": "openai/embed", "type": "embedding", "rates": {"input": "1"}},
        ],
        "billing": {"enabled": True},
    }
    folder = tmp_path_factory.mktemp("signed")
    with HubProcess(folder, config, workers=2) as hub, Books(hub) as books:
        found = Site(hub, books)
        time.sleep(NOTICED_S)
        yield found


@pytest.mark.parametrize("form", ["remote", "component", "message"])
@pytest.mark.parametrize("events", [False, True], ids=["whole", "stream"])
def test_an_application_calls_and_its_user_pays(site: Site, form: str, events: bool):
    before = site.payer.balance
    app = site.app
    at = site.second()
    if form == "remote":
        headers = app.remote(BODY, at=at, user=USER)
    elif form == "component":
        app = site.sibling
        headers = app.component(PATH, BODY, at=at)
    else:
        headers = site.message(app)
    reply = site.ask({**headers, **(EVENTS if events else {}), "x-aigne-hub-client-did": "other"})
    assert reply.status == 200
    if events:
        assert "".join(e["delta"]["content"] for e in reply.events if "delta" in e) == PROMPT
    else:
        assert reply.json["text"] == PROMPT
    call = site.books.call(reply.call_id)
    assert call["app_did"] == app.did
    assert call["user_did"] == (USER if form == "remote" else site.payer.user.did)
    assert site.payer.balance == before - nano(call["credits"])


@pytest.mark.parametrize("form", ["remote", "component", "message"])
def test_of_many_replays_at_once_one_is_answered(site: Site, form: str):
    at = site.second()
    headers = {
        "remote": site.app.remote(BODY, at=at),
        "component": site.sibling.component(PATH, BODY, at=at),
        "message": site.message(site.app),
    }[form]
    with ThreadPoolExecutor(REPLAYS) as pool:
        replies = list(pool.map(lambda _: site.ask(headers), range(REPLAYS)))
    assert Counter(reply.status for reply in replies) == {200: 1, 401: REPLAYS - 1}
    refused = [reply.error for reply in replies if reply.status == 401]
    assert {error["code"] for error in refused} == {"unauthenticated"}


def test_nothing_weaker_is_taken(site: Site):
    for headers in (
        {"Authorization": f"Bearer {site.hub.key}"},
        {"x-api-key": site.hub.key},
        {"x-app-id": site.app.address},
        {"x-component-did": site.app.did},
    ):
        for path in (PATH, "/api/v1/sdk/completions", "/ai-kit/api/v1/embeddings"):
            reply = site.ask(headers, path=path)
            assert (reply.status, reply.error["code"]) == (401, "unauthenticated")
    event = site.ask({**EVENTS, "Authorization": f"Bearer {site.hub.key}"})
    assert (event.status, event.streamed, event.error["code"]) == (200, True, "unauthenticated")


def test_registering_alone_lets_nobody_in(site: Site):
    app = App.new()
    made = Api(site.hub).post("/api/app/register", publicKey=app.public_key).json
    assert made["id"] == app.address
    stranger = site.ask(App.new().remote(BODY))
    registered = site.ask(app.remote(BODY))
    assert registered.error["message"] == stranger.error["message"]
    assert registered.status == stranger.status == 401
    status = Api(site.hub).send("GET", "/api/app/status", headers=app.remote())
    assert (status.status, status.text) == (200, "null")
    # Its own account is what pays, and has nothing yet.
    added = site.hub.cli("apps", "add", app.address)
    assert added["user"]["did"] == added["did"] == app.did
    time.sleep(NOTICED_S)
    assert site.ask(app.remote(BODY)).status == 402
    site.hub.cli("credits", "grant", "--user", app.did, "--amount", "1")
    assert site.ask(app.remote(BODY, at=site.second())).status == 200
    status = Api(site.hub).send("GET", "/api/app/status", headers=app.remote(at=site.second()))
    assert status.json["subscription"]["status"] == "active"


@pytest.mark.parametrize("how", ["revoked", "disabled"])
def test_who_may_call_no_more_is_a_stranger_at_once(site: Site, how: str):
    app, payer = App.new(), site.books.customer(nano("1"))
    words = site.ask(app.remote(BODY)).error["message"]
    site.add(app, payer=payer)
    time.sleep(NOTICED_S)
    assert site.ask(app.remote(BODY, at=site.second())).status == 200
    if how == "revoked":
        assert site.hub.cli("apps", "revoke", app.did)["revoked_at"]
    else:
        site.hub.cli("users", "disable", "--user", payer.user.did)
    time.sleep(NOTICED_S)
    for _ in range(4):
        refused = site.ask(app.remote(BODY, at=site.second()))
        assert (refused.status, refused.error["message"]) == (401, words)


def test_the_other_forms_and_paths_are_there(site: Site):
    at = site.second()
    asked = json.dumps({"model": "openai/embed", "input": "a b"}).encode()
    for path in ("/api/v1/embeddings", "/ai-kit/api/v1/sdk/embeddings"):
        reply = site.ask(site.sibling.component(path, asked, at=at), asked, path)
        assert len(reply.json["data"][0]["embedding"]) > 10
    prompt = json.dumps({"model": "openai/gpt-4o", "prompt": PROMPT}).encode()
    reply = site.ask(site.app.remote(prompt, at=at), prompt, "/api/v1/completions")
    assert reply.json["text"] == PROMPT
    path = f"{PATH}?a[0]=x&a[1]=y&b[c]=%20z"
    asked_for = {"a": ["x", "y"], "b": {"c": " z"}}
    assert site.ask(site.sibling.component(PATH, BODY, query=asked_for), path=path).status == 200


def test_the_status_is_told_to_who_signs(site: Site):
    for path in ("/api/v1/status", "/ai-kit/api/v1/sdk/status"):
        nobody = Api(site.hub, site.hub.key).get(path)
        assert (nobody.status, nobody.json["available"], nobody.json["code"]) == (200, False, 401)
    at = site.second()
    remote = Api(site.hub).send("GET", "/api/v1/status", headers=site.app.remote(at=at))
    headers = site.sibling.component("/api/v1/status", method="get", query={"model": "embed"})
    component = Api(site.hub).send(
        "GET", "/api/v1/status", query={"model": "embed"}, headers=headers
    )
    assert remote.json == component.json == {"available": True}


def test_an_application_sees_its_own_usage(site: Site):
    at = site.second()
    used = Api(site.hub).send(
        "GET", "/api/app/usage", query={"appDid": site.sibling.did}, headers=site.app.remote(at=at)
    )
    assert any(row["model"] == "openai/gpt-4o" for row in used.json["list"])
    other = App.new()
    site.add(other)
    time.sleep(NOTICED_S)
    asked = Api(site.hub).send("GET", "/api/app/usage", headers=other.remote(at=site.second()))
    assert asked.json == {"list": []}
    cancelled = Api(site.hub).send(
        "POST", "/api/app/subscription/cancel", headers=site.app.remote(at=site.second())
    )
    assert cancelled.code == "conflict"


def test_a_body_that_was_changed_on_the_way_is_refused(site: Site):
    changed = BODY.replace(PROMPT.encode(), b"say more to me!")
    assert changed != BODY
    at = site.second()
    for headers in (
        site.app.remote(BODY, at=at),
        site.sibling.component(PATH, BODY, at=at),
        site.message(site.app),
    ):
        assert site.ask(headers, changed).status == 401
        assert site.ask(headers).status == 200
