"""How an operator gives somebody a password: asked for, or from standard input."""

import sys
from io import BytesIO, TextIOWrapper

import pytest

from aigne_hub.cli import users_access
from aigne_hub.domain.passwords import BYTES_MAX

GOOD = "correct horse battery"


class Terminal(TextIOWrapper):
    def isatty(self):
        return True


@pytest.fixture
def answers(monkeypatch):
    """Answer what is asked at a terminal."""
    said = []

    def getpass(prompt):
        assert prompt in ("New password: ", "The same again: ")
        return said.pop(0)

    monkeypatch.setattr(sys, "stdin", Terminal(BytesIO()))
    monkeypatch.setattr(users_access.getpass, "getpass", getpass)
    return said


def piped(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(data)))


def test_it_is_asked_for_twice_at_a_terminal(run, user, answers):
    answers += [GOOD, GOOD]
    code, done, printed = run("users", "set-password", user["email"])
    assert (code, done) == (0, {"ok": True, "sessions_ended": 0})
    assert answers == []
    assert GOOD not in printed


def test_two_that_differ_are_refused(run, user, answers):
    answers += [GOOD, GOOD + "!"]
    code, done, _ = run("users", "set-password", user["email"])
    assert code == 2
    assert "differ" in str(done)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\nanother line\n"])
def test_one_line_is_read_from_a_pipe(run, user, monkeypatch, end):
    piped(monkeypatch, GOOD.encode() + end)
    assert run("users", "set-password", user["did"])[0] == 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "at least 12"),
        (b"\n", "at least 12"),
        (b"short", "at least 12"),
        (b"x" * (BYTES_MAX + 1), "at most 1,024"),
        (b"password1234", "first that are tried"),
        (b"ada@example.com", "first that are tried"),
    ],
)
def test_a_bad_password_is_refused_without_being_repeated(run, user, monkeypatch, data, words):
    piped(monkeypatch, data)
    code, done, printed = run("users", "set-password", user["email"])
    assert code == 2
    assert words in str(done)
    assert data.decode() not in f"{done}{printed}" or len(data) < 2


def test_nobody_is_asked_for_the_password_of_an_unknown_user(run, answers):
    assert run("users", "set-password", "nobody@example.com")[0] == 4
    assert answers == []


def test_a_password_is_no_argument(run, user):
    assert run("users", "set-password", user["email"], GOOD)[0] == 2
