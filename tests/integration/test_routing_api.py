"""What operators see of routing: the state of targets, a dry run of a call, metrics."""

import http.client
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import pytest
from tests.caller import Reply, ask, post
from tests.conftest import config_for
from tests.hub import HubProcess
from tests.patience import until
from tests.upstream.client import FakeUpstream

from aigne_hub.cli import main

STATE, EXPLAIN = "/api/admin/routing", "/api/admin/routing/explain"
MODEL = "gpt-4o-mini"
BROKEN = "gpt-500"
# Models that fail as that one does, each with a health of its own: no test bars another's.
DOOMED, *FAILING = (f"{BROKEN}+slow:{number}" for number in range(1, 7))


def provider(name: str, address: str, **weights: int) -> dict[str, Any]:
    keys = [
        {"name": key, "api_key": "bad-key" if key == "dead" else f"key-{key}", "weight": weight}
        for key, weight in weights.items()
    ]
    return {"name": name, "kind": "openai", "base_url": address, "credentials": keys}


@pytest.fixture(scope="module")
def resting(
    tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream
) -> Iterator[HubProcess]:
    address = upstream.base_url
    config = {
        **config_for(upstream),
        "providers": [
            provider("first", address, a=3, b=1),
            provider("second", address, c=1, d=2),
            provider("halfdead", address, dead=100, good=1),
            provider("bare", address),
        ],
        "models": [
            {"model": f"{owner}/{name}", "type": "chat"}
            for owner in ("first", "second")
            for name in (MODEL, BROKEN, DOOMED, *FAILING)
        ]
        + [{"model": f"{owner}/gpt-long:3", "type": "chat"} for owner in ("halfdead", "bare")],
        "aliases": {
            "spread": {
                "model": f"first/{MODEL}",
                "fallbacks": [f"second/{MODEL}"],
                "policy": "weighted",
            },
            "hopeless": {"model": f"first/{BROKEN}", "fallbacks": [f"second/{BROKEN}"]},
            "doomed": {"model": f"first/{DOOMED}", "fallbacks": [f"second/{DOOMED}"]},
        },
        "routing": {"hints": ["policy"], "attempts": 3},
    }
    with HubProcess(tmp_path_factory.mktemp("routing"), config, start=False) as made:
        yield made


@pytest.fixture(scope="module")
def admin(resting: HubProcess) -> str:
    return str(resting.cli("keys", "create", "--user", resting.user, "--scope", "admin")["key"])


@pytest.fixture(scope="module")
def hub(resting: HubProcess, admin: str) -> HubProcess:
    """Return a hub whose configuration changes no more: reading it anew restarts round robins."""
    assert admin
    resting.start()
    return resting


def got(hub: HubProcess, key: str, path: str, body: Any = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    method = "GET" if body is None else "POST"
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    status, content = answer.status, answer.read()
    connection.close()
    return status, content.decode() if path == "/metrics" else json.loads(content)


def foretold(hub: HubProcess, admin: str, **body: Any) -> dict[str, Any]:
    status, found = got(hub, admin, EXPLAIN, body)
    assert status == 200, found
    return found


def order(explained: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (one["model"], one["credential"], one["reason"])
        for one in explained["candidates"]
        if one["position"] is not None
    ]


def tried(hub: HubProcess, reply: Reply) -> list[tuple[str, str, str]]:
    attempts = hub.cli("calls", "show", reply.call_id)["attempts"]
    return [(one["model"], one["credential"], one["reason"]) for one in attempts]


def targets(hub: HubProcess, admin: str, query: str = "") -> dict[str, Any]:
    status, found = got(hub, admin, STATE + query)
    assert status == 200, found
    return {one["target"]: one for one in found["targets"]}


def test_routing_is_for_administrators(hub: HubProcess):
    for path, body in ((STATE, None), (EXPLAIN, {"model": MODEL})):
        assert got(hub, "nobody", path, body)[0] == 401
        status, answer = got(hub, hub.key, path, body)
        assert (status, answer["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("model", "headers"),
    [
        ("spread", {}),
        ("hopeless", {}),
        (MODEL, {"x-aigne-hub-session": "talk"}),
        ("doomed", {"x-aigne-hub-routing": "policy=least_outstanding"}),
    ],
)
def test_calls_go_where_it_was_said(
    hub: HubProcess, admin: str, model: str, headers: dict[str, str]
):
    for _ in range(3):
        # The caller is the owner, so is the one who asks: the account is the same.
        seen = foretold(hub, admin, model=model, headers=headers)
        reply = ask(hub, model, headers=headers)
        done = tried(hub, reply)
        assert done == order(seen)[: len(done)]
        assert reply.headers["x-aigne-hub-attempts"] == str(len(done))
        if model in {"hopeless", "doomed"}:
            assert (reply.status, len(done), seen["attempts"]) == (502, 3, 3)


def test_a_dry_run_says_who_is_passed_over_and_why(hub: HubProcess, admin: str):
    reply = ask(hub, "gpt-long:3")
    assert [one[1:] for one in tried(hub, reply)] == [("dead", "chosen"), ("good", "failover")]
    seen = foretold(hub, admin, model="gpt-long:3", path="/v1/messages", input_tokens=9)
    barred = next(one for one in seen["candidates"] if one["credential"] == "dead")
    good = next(one for one in seen["candidates"] if one["credential"] == "good")
    assert good["translated_to"] == "openai"
    if barred["state"] == "barred":
        assert (good["position"], good["reason"]) == (1, "chosen")
        assert (barred["position"], barred["percent"]) == (None, 0)
        assert "its credential is barred (refused) until " in barred["why"]
    else:  # a second has passed, and the next call is the probe
        assert (barred["position"], barred["reason"], good["position"]) == (1, "probe", 2)
    assert seen["skipped"] == [
        {"model": "bare/gpt-long:3", "why": "its provider has no credential"}
    ]
    assert (seen["policy"], seen["policy_from"], seen["error"]) == ("order", "rules", None)
    dead = targets(hub, admin)["halfdead:dead"]
    assert (dead["fault"], dead["percent"], dead["weight"]) == ("refused", 0, 100)
    assert dead["since"] < dead["until"]
    assert dead["state"] in {"barred", "probing"}


def test_what_a_call_would_be_refused_with_is_said(hub: HubProcess, admin: str):
    unknown = foretold(hub, admin, model="nothing")
    assert (unknown["error"]["status"], unknown["error"]["code"]) == (404, "not_found")
    assert unknown["candidates"] == []
    wished = foretold(hub, admin, model=MODEL, headers={"X-AIGNE-Hub-Routing": "providers=first"})
    assert "does not let callers choose the providers" in wished["error"]["message"]
    assert foretold(hub, admin, model="bare/gpt-long:3")["error"]["status"] == 503
    follows = {"model": MODEL, "input": "hi", "previous_response_id": "resp_1"}
    seen = foretold(hub, admin, model=MODEL, path="/v1/responses", body=json.dumps(follows))
    assert "follows an object" in seen["error"]["message"]
    for body, word in (
        ({"model": MODEL, "path": "/v1/files"}, "can be explained"),
        ({"model": MODEL, "body": {"a": "\ud800"}}, "Give it as a string"),
        ({"model": MODEL, "body": {"a": 1 << 70}}, "Give it as a string"),
        ({"model": MODEL, "body": "{"}, "JSON"),
        ({"model": MODEL, "body": json.dumps({"model": "other", "messages": []})}, "names"),
    ):
        assert word in foretold(hub, admin, **body)["error"]["message"]
    for body in (
        {},
        {"model": ""},
        {"model": MODEL, "input_tokens": -1},
        {"model": MODEL, "headers": {"x": 1}},
        {"model": MODEL, "headers": {"x": "\u4e2d"}},
        {"model": MODEL, "more": 1},
        {"model": MODEL, "body": 7},
        {"model": "\ud800"},
        {"model": MODEL, "body": "\ud800"},
        {"model": MODEL, "session": "\ud800"},
        [],
    ):
        assert got(hub, admin, EXPLAIN, body)[0] == 400, body
    assert got(hub, admin, EXPLAIN, {"model": MODEL, "account": "nobody@example.com"})[0] == 404


def test_a_conversation_is_known_by_its_account(hub: HubProcess, admin: str):
    names = [f"user{number}@example.com" for number in range(6)]
    for name in names:
        hub.cli("users", "create", "--email", name)
    sessions = {"model": MODEL, "session": "talk"}
    own = foretold(hub, admin, **sessions)
    assert own["affinity"] == "session"
    assert order(foretold(hub, admin, **sessions, account=hub.user)) == order(own)
    others = {order(foretold(hub, admin, **sessions, account=name))[0] for name in names}
    assert others <= {(f"first/{MODEL}", key, "chosen") for key in "ab"}
    long = {"messages": [{"role": "user", "content": "word " * 1_000}]}
    assert foretold(hub, admin, model=MODEL, body=long)["affinity"] == "prefix"


def test_the_state_is_listed_in_a_stable_order_page_by_page(hub: HubProcess, admin: str):
    whole = list(targets(hub, admin))
    assert whole == sorted(whole)
    assert {"bare", "first", "first:a", f"first:a:{MODEL}", "halfdead:dead"} <= set(whole)
    pages, after = [], ""
    while True:
        status, page = got(hub, admin, f"{STATE}?limit=4{after}")
        assert status == 200
        pages += [one["target"] for one in page["targets"]]
        if page["next"] is None:
            break
        after = f"&after={quote(page['next'])}"
        assert len(pages) < len(whole)
    assert pages == whole
    one = targets(hub, admin, "?provider=second")
    assert {name.partition(":")[0] for name in one} == {"second"}
    assert one["second:d"]["weight"] == 2
    assert got(hub, admin, f"{STATE}?provider=none")[0] == 404
    assert got(hub, admin, f"{STATE}?limit=0")[0] == 400
    _, found = got(hub, admin, STATE)
    assert (found["rules"]["policy"], found["rules"]["hints"]) == ("order", ["policy"])
    (hopeless,) = (one for one in found["models"] if one["model"] == f"first/{BROKEN}")
    assert hopeless["calls"] >= 3
    assert hopeless["retries_granted"] >= 6


def test_metrics_count_what_failed_by_provider_and_model(hub: HubProcess, admin: str):
    assert ask(hub, "hopeless").status == 502
    assert ask(hub, "gpt-long:3").status == 200
    _, text = got(hub, admin, "/metrics")
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(lines['aigne_hub_attempts_failed_total{fault="broken",provider="first"}']) >= 1
    assert float(lines['aigne_hub_attempts_failed_total{fault="refused",provider="halfdead"}']) >= 1
    assert float(lines['aigne_hub_bars_total{fault="refused",provider="halfdead"}']) >= 1
    retries = f'aigne_hub_retries_total{{model="first/{BROKEN}",verdict="granted"}}'
    assert float(lines[retries]) >= 2
    assert float(lines['aigne_hub_targets_barred{provider="halfdead"}']) >= 0
    assert lines['aigne_hub_targets_barred{provider="bare"}'] == "0.0"


def text(hub: HubProcess, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Return the lines that a command prints for people."""
    with patch.dict(os.environ, hub.environment(), clear=True):
        assert main([*arguments, "--data-dir", str(hub.folder)]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_command_line_shows_what_processes_share(
    hub: HubProcess, capsys: pytest.CaptureFixture[str]
):
    def shown() -> dict[str, Any]:
        found = hub.cli("routing", "show", "--provider", "halfdead")["targets"]
        return {one["target"]: one for one in found}

    ask(hub, "gpt-long:3")
    until(lambda: shown()["halfdead:dead"]["fault"] == "refused")
    dead = shown()["halfdead:dead"]
    assert (dead["percent"], dead["weight"], dead["outstanding"]) == (0, 100, None)
    assert shown()["halfdead:good"]["state"] == "healthy"
    listed = {one["name"]: one["unwell"] for one in hub.cli("providers", "list")}
    assert listed["halfdead"][0]["target"] == "halfdead:dead"
    assert listed["bare"] == []
    (line,) = (one for one in text(hub, capsys, "providers", "list") if "halfdead" in one)
    assert "halfdead:dead is " in line
    assert "(refused) until 2" in line
    assert any("halfdead:dead\t" in one for one in text(hub, capsys, "routing", "show"))
    lines = text(hub, capsys, "routing", "explain", "gpt-long:3", "--path", "/v1/messages")
    assert lines[0] == "policy   order, from rules"
    assert lines[1].startswith("1        halfdead/gpt-long:3 with good as openai: it is its turn")
    assert "passed   halfdead/gpt-long:3 with dead as openai: its credential is barred" in lines[2]
    assert lines[3:] == ["skipped  bare/gpt-long:3: its provider has no credential"]


def test_the_command_line_explains_as_the_hub_does(
    hub: HubProcess, admin: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    talk = ("--user", hub.user, "--session", "talk")
    told = hub.cli("routing", "explain", MODEL, *talk)
    assert order(told) == order(foretold(hub, admin, model=MODEL, session="talk"))
    wish = hub.cli("routing", "explain", "spread", "--wishes", "policy=price")
    assert (wish["policy"], wish["policy_from"]) == ("price", "caller")
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"model": MODEL, "messages": [], "prompt_cache_key": "talk"}))
    told = hub.cli("routing", "explain", MODEL, "--body", str(body), "--user", hub.user)
    assert told["affinity"] == "session"
    refused = text(hub, capsys, "routing", "explain", "nothing")
    assert refused[0].startswith("refused  with 404: The model 'nothing' is not offered here.")
    for arguments, code in (
        (("explain", MODEL, "--session", "talk"), 2),
        (("explain", MODEL, "--wishes", "\u4e2d"), 2),
        (("explain", MODEL, "--user", "nobody@example.com"), 4),
        (("show", "--provider", "nobody"), 4),
    ):
        assert hub.run("routing", *arguments).returncode == code, arguments


def test_a_call_is_shown_with_its_attempts(hub: HubProcess, capsys: pytest.CaptureFixture[str]):
    reply = ask(hub, f"second/{FAILING[0]}")
    assert reply.status == 502
    lines = text(hub, capsys, "calls", "show", reply.call_id)
    begin = lines.index("model\tcredential\treason\tstatus\tduration_ms\tcost\terror")
    shown = [line.split("\t") for line in lines[begin + 1 :]]
    assert {one[1] for one in shown} == {"c", "d"}
    assert [one[0] for one in shown] == [f"second/{FAILING[0]}"] * 2
    assert [one[2:4] for one in shown] == [["chosen", "500"], ["failover", "500"]]
    told = hub.cli("calls", "show", reply.call_id)["attempts"]
    assert [one[-1] for one in shown] == [one["error"] for one in told]
    assert all(one["error"] for one in told)


TALK = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("failing", "path", "body"),
    [
        *zip(
            FAILING,
            (
                "/v1/chat/completions",
                "/v1/responses",
                "/v1/messages",
                "/v1beta/models/MODEL:METHOD",
                "/api/v2/chat/completions",
            ),
            (
                {"messages": TALK},
                {"input": "hi"},
                {"messages": TALK, "max_tokens": 9},
                {"contents": [{"parts": [{"text": "hi"}]}]},
                {"messages": TALK},
            ),
            strict=True,
        )
    ],
)
def test_every_answer_says_how_many_were_asked(
    hub: HubProcess, failing: str, path: str, body: dict[str, Any]
):
    def attempts(model: str, *, streams: bool = False, key: str | None = None) -> tuple[int, str]:
        method = "streamGenerateContent?alt=sse" if streams else "generateContent"
        target = path.replace("MODEL", model).replace("METHOD", method)
        more = {"stream": True} if streams and target == path else {}
        reply = post(hub, target, json.dumps({"model": model, **body, **more}).encode(), key=key)
        assert reply.streamed is (streams and reply.status == 200)
        return reply.status, reply.headers["x-aigne-hub-attempts"]

    assert attempts(f"first/{MODEL}") == (200, "1")
    assert attempts(f"first/{MODEL}", streams=True) == (200, "1")
    assert attempts(f"first/{MODEL}", key="nobody") == (401, "0")
    # Two credentials, both of which fail.
    assert attempts(f"second/{failing}")[1] == "2"
    assert attempts("nothing/at-all") == (404, "0")
