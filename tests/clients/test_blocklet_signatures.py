"""ArcBlock's and Blocklet Server's own packages sign, and the hub lets in whom it should.

`@blocklet/aigne-hub` calls a running hub as a remote application and as a sibling component;
`@blocklet/sdk`, `qs` and `json-stable-stringify` judge what is signed in random cases. A failure
prints its seed: ORACLE_SEED repeats it.
"""

import json
import os
import random
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.books import NOTICED_S, Books, nano
from tests.environments import modules_of, node
from tests.hub import HubProcess
from tests.signing import App
from tests.upstream.client import FakeUpstream

from aigne_hub.auth.signed import blocklet, query
from aigne_hub.auth.signed.claims import Head
from aigne_hub.auth.verifier import fields_of
from aigne_hub.crypto.canonical_json import canonical
from aigne_hub.crypto.strict_json import read_object

SCRIPTS = Path(__file__).parent / "blocklet"
LOCK = "blocklet-aigne-hub"
RUN_S = 180.0
TEXT = "say hello to the stock packages"
QUERIES, BODIES, SIGNED = 1_500, 800, 60
USER = "did:abt:z1muQ3xqHQK2uiACHyChikobsiY5kLqtShA"
Case = dict[str, Any]


def run(script: str, home: Path, **environ: str) -> None:
    """Run a script of this folder with the packages beside it."""
    modules = home / "node_modules"
    if not modules.exists():
        modules.symlink_to(modules_of(LOCK))
    (home / script).write_bytes((SCRIPTS / script).read_bytes())
    done = subprocess.run(
        [str(node()), script],
        check=False,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        cwd=home,
        env={"PATH": os.defpath, "HOME": str(home), "LANG": "C.UTF-8", **environ},
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def answers(cases: list[Case], home: Path, app: App) -> list[Any]:
    (home / "cases.json").write_text(json.dumps(cases))
    run("signed.mjs", home, BLOCKLET_APP_SK=secret_of(app))
    said: list[Any] = json.loads((home / "answers.json").read_text())
    assert len(said) == len(cases)
    return said


def secret_of(app: App) -> str:
    return f"0x{app.identity.secret_key.hex()}"


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("ORACLE_SEED", secrets.randbits(32)))
    print(f"ORACLE_SEED={seed}")
    return random.Random(seed)


# -- calls -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    credentials = [{"name": "main", "api_key": "sk-good"}]
    rates = {"input": "3", "output": "15"}
    config = {
        "providers": [
            {"name": "openai", "base_url": upstream.base_url, "credentials": credentials}
        ],
        "models": [
            {"model": "openai/gpt-4o", "type": "chat", "rates": rates},
            {"model": "openai/embed", "type": "embedding", "rates": {"input": "1"}},
            {"model": "openai/gpt-image-1", "type": "image", "rates": {"image": "0.04"}},
        ],
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("blocklet"), config) as running:
        yield running


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


@pytest.mark.parametrize("who", ["remote", "sibling"])
def test_the_stock_packages_call(hub: HubProcess, books: Books, tmp_path: Path, who: str):
    app, payer = App.new(), books.customer(nano("10"))
    marked = ("--sibling",) if who == "sibling" else ()
    given = ("--public-key", app.public_key, "--user", payer.user.did, *marked)
    hub.cli("apps", "add", app.address, *given)
    time.sleep(NOTICED_S)
    secret = secret_of(app)
    run("calls.mjs", tmp_path, HUB=hub.address, WHO=who, REMOTE_SK=secret, SIBLING_SK=secret)
    said = json.loads((tmp_path / "said.json").read_text())
    assert said["chat"]["text"] == TEXT
    assert said["chat"]["usage"] > 0
    assert (said["vectors"], said["pictures"]) == (2, 1)
    assert "openai/none" in said["refused"]
    calls = payer.closed(4)
    assert [call["type"] for call in calls] == ["chat", "image", "embedding", "chat"]
    assert {call["app_did"] for call in calls} == {app.did}
    spent = sum(nano(call["credits"]) for call in calls)
    assert payer.balance == nano("10") - spent < nano("10")


# -- what is signed --------------------------------------------------------------------------


def query_of(rng: random.Random) -> str:
    names = [
        "a",
        "b",
        "a[b]",
        "a[c]",
        "a[]",
        "a[0]",
        "a[1]",
        "a[2]",
        "b[0][x]",
        "b[c][d]",
        "é",
        "toString",
        "a[b",
        "a]b",
        "",
        "a[21]",
        "x y",
        "a[b][c][d][e][f][g]",
    ]
    values = ["1", "", "x y", "é", "[", "]", "=", "&", "a=b", "%", "+", "true", "\U0001f600"]
    parts = []
    for _ in range(rng.randrange(5)):
        name, value = rng.choice(names), rng.choice(values)
        if rng.random() < 0.8:
            name, value = quote(name, safe="[]"), quote(value, safe="")
        if rng.random() < 0.2:
            name = name.replace("[", "%5B").replace("]", "%5d")
        parts.append(name if rng.random() < 0.1 else f"{name}={value}")
    return "&".join(parts)


def value_of(rng: random.Random, depth: int = 0) -> Any:
    texts = ["", "x", "é", '\u2028\n\x7f"', "\U0001f600", "\ufffd", "\x00", "</script>"]
    numbers = [0, -0.0, 1, 1.0, 1.5, -0.25, 1e21, 1e-7, 2**53 + 1, 123456789.125, 5e-324, 1e300]
    if depth < 4 and rng.random() < 0.5:
        if rng.random() < 0.5:
            return [value_of(rng, depth + 1) for _ in range(rng.randrange(4))]
        names = ["b", "a", "10", "9", "é", "\U0001f600", "\ufffd", "__proto__", "A", ""]
        chosen = rng.sample(names, rng.randrange(5))
        return {name: value_of(rng, depth + 1) for name in chosen}
    return rng.choice([*texts, *numbers, True, False, None])


def test_queries_are_read_as_qs_reads_them_or_not_at_all(tmp_path: Path, rng: random.Random):
    texts = [query_of(rng) for _ in range(QUERIES)]
    said = answers([{"op": "query", "text": text} for text in texts], tmp_path, App.new())
    read = 0
    for text, theirs in zip(texts, said, strict=True):
        try:
            ours = query.parsed(text)
        except ValueError:
            continue
        read += 1
        assert ours == theirs, text
    assert read > QUERIES / 4


def test_json_is_written_as_the_packages_write_it(tmp_path: Path, rng: random.Random):
    texts = [json.dumps({"body": value_of(rng)}) for _ in range(BODIES)]
    said = answers([{"op": "json", "text": text} for text in texts], tmp_path, App.new())
    for text, theirs in zip(texts, said, strict=True):
        assert canonical(read_object(text.encode())).decode() == theirs, text


def test_what_the_sdk_signs_holds(tmp_path: Path, rng: random.Random):
    app, now_us = App.new(), time.time_ns() // 1000
    path = "/ai-kit/api/v1/chat/completions"
    cases: list[Case] = []
    for number in range(SIGNED):
        data = {"model": "m", "messages": [value_of(rng)], "number": number}
        if number % 2:
            cases.append({"op": "remote", "data": data, "user": rng.choice([None, "", USER])})
        else:
            params = {"a": "1", "list": ["x", "y z"], "deep": {"b": rng.choice(["", "é", "&"])}}
            url = f"http://127.0.0.1:1{path}"
            given = rng.choice([None, {}, params])
            cases.append(
                {"op": "component", "data": data, "params": given, "method": "POST", "url": url}
            )
    for case, said in zip(cases, answers(cases, tmp_path, app), strict=True):
        body = json.dumps(case["data"]).encode()
        if case["op"] == "remote":
            headers, sent = said, ""
        else:
            headers = {
                "x-component-sig": said["sig"],
                "x-component-sig-iat": str(said["iat"]),
                "x-component-sig-exp": str(said["exp"]),
            }
            sent = said["query"]
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        head = Head("POST", path.removeprefix("/ai-kit"), sent.encode(), lines, fields_of(lines))
        if case["op"] == "remote":
            proof = blocklet.remote(head, now_us).proof([app.identity.public_key], body)
        else:
            claim = blocklet.component(head, now_us, ("/ai-kit",))
            proof = claim.proof([app.identity.public_key], body)
        assert proof is not None, case
        assert proof[1].end_user == (case.get("user") or None)
