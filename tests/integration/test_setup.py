"""The set-up link of a first start, as the person who started the hub uses it."""

import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from aigne_hub.storage import engine, users


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """A hub started for the first time with `--welcome`, and the lines it printed."""
    folder = tmp_path_factory.mktemp("first")
    log = (folder / "log.txt").open("wb")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "aigne_hub",
            "serve",
            "--data-dir",
            str(folder),
            "--port",
            "0",
            "--welcome",
        ],
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    log.close()
    lines = []
    while not lines or not lines[-1].startswith("curl"):
        line = process.stdout.readline()
        assert line, lines
        lines.append(line.rstrip())
    yield folder, lines
    process.terminate()
    process.wait(20)
    process.stdout.close()


def fetch(url: str, form: dict | None = None) -> tuple[int, str]:
    data = urllib.parse.urlencode(form).encode() if form is not None else None
    try:
        with urllib.request.urlopen(url, data, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def link(lines: list[str]) -> str:
    return next(line for line in lines if line.startswith("Set-up:")).split()[1]


def test_the_first_start_prints_what_a_person_needs(started):
    _, lines = started
    assert lines[0].startswith("ready http://127.0.0.1:")
    assert any(line.startswith("API key:   blocklet-") for line in lines)
    answer = subprocess.check_output(["bash", "-c", lines[-1]], text=True, timeout=60)
    assert "echo: hello" in answer


def test_the_link_names_the_owner_and_gives_a_key_once(started):
    folder, lines = started
    url = link(lines)
    assert fetch(url)[0] == 200
    status, page = fetch(url, {"email": "not an address"})
    assert status == 400
    assert 'role="alert"' in page
    status, page = fetch(url, {"email": "ada@example.com", "password": "password1234"})
    assert status == 400
    assert "first that are tried" in page
    form = {"email": "Ada@Example.com", "password": "correct horse battery"}
    owner = build_opener(HTTPCookieProcessor())
    with owner.open(url, urllib.parse.urlencode(form).encode(), timeout=60) as answer:
        page = answer.read().decode()
    with owner.open(f"{url.partition('/setup')[0]}/account", timeout=60) as answer:
        assert "ada@example.com" in answer.read().decode()
    key = page.partition("blocklet-")[2].split()[0].partition("<")[0]
    request = urllib.request.Request(
        f"{url.partition('/setup')[0]}/v1/models",
        headers={"Authorization": f"Bearer blocklet-{key}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    assert fetch(url)[0] == 404
    assert fetch(url, {"email": "eve@example.com", "password": "long enough to be"})[0] == 404
    assert fetch(url, {"email": "eve@example.com"})[0] == 404
    database = engine.create_engine(f"sqlite:///{folder / 'hub.db'}")
    with engine.reading(database) as connection:
        assert [user.email for user in users.listed(connection)] == ["ada@example.com"]
    database.dispose()


def test_another_token_opens_nothing(started):
    _, lines = started
    url = link(lines)
    assert fetch(url[:-3] + "zzz")[0] == 404
