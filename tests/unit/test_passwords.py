"""Which passwords are taken, how they are kept, and how many are checked at once."""

import asyncio
import threading

import pytest

from aigne_hub.auth import passwords as checking
from aigne_hub.auth.passwords import HASHES_AT_ONCE, PLACES_AN_ADDRESS, WAITING_MAX, Passwords
from aigne_hub.crypto import passwords
from aigne_hub.domain.easy_passwords import OF_THE_HUB
from aigne_hub.domain.errors import InvalidRequest, Overloaded
from aigne_hub.domain.passwords import BYTES_MAX, FREE_TRIES, WAIT_MAX_S, require_good, wait_s

PEPPER = b"p" * 32
RFC_9106_LOW_MEMORY = "$argon2id$v=19$m=65536,t=3,p=4$"


def randbytes(size):
    return b"s" * size


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "twelve chars",
        "ünïcödé häßlich",
        "パスワードパスワード二文字",
        "hubert owns a gateway to ponder",
        "two 2026 tokens",
        "a\x00much wider gap",
        "x7" * 4 + "longer than it repeats",
        "é" * 6 + "kfzpwm",
        "z" + "q8" * 511,
    ],
)
def test_a_good_password_is_taken(password):
    require_good(password.encode(), "ada@example.com")


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("", "at least 12"),
        ("eleven char", "at least 12"),
        ("é" * 11, "at least 12"),
        ("x" * (BYTES_MAX + 1), "at most 1,024"),
        ("Password1234", "first that are tried"),
        ("correcthorsebatterystaple", "first that are tried"),
        ("123456789012", "first that are tried"),
        ("210987654321", "first that are tried"),
        ("abcdefghijkl", "first that are tried"),
        ("aaaaaaaaaaaa", "first that are tried"),
        ("passwordpassword", "first that are tried"),
        ("abcabcabcabca", "first that are tried"),
        ("ADA@example.com", "first that are tried"),
        ("Ada.Example-2026", "first that are tried"),
        ("            x", "first that are tried"),
        ("1qaz2wsx3edc4rfv", "first that are tried"),
        ("q1w2e3r4t5y6u7i8", "first that are tried"),
        ("123456789987654321", "first that are tried"),
        ("Liverpool-1234567!", "first that are tried"),
        ("qwertyuiop[]2026", "first that are tried"),
    ],
)
def test_a_bad_password_is_refused_and_not_repeated(password, words):
    with pytest.raises(InvalidRequest, match=words) as refused:
        require_good(password.encode(), "ada@example.com")
    assert not password or password not in refused.value.message


@pytest.mark.parametrize("word", OF_THE_HUB)
def test_a_word_of_this_hub_makes_no_password(word):
    for easy in (f"{word}{word}123456", f"{word.upper()}-aigne-hub-2026!", f"12345{word}password"):
        with pytest.raises(InvalidRequest, match="first that are tried"):
            require_good(easy.encode(), None)
    require_good(f"{word} beside nine other things".encode(), None)


def test_the_wait_grows_with_each_wrong_try_up_to_a_limit():
    waits = [wait_s(failures) for failures in range(100)]
    assert waits[:FREE_TRIES] == [0] * FREE_TRIES
    assert waits[FREE_TRIES] == 1
    assert waits == sorted(waits)
    assert waits[-1] == WAIT_MAX_S
    assert wait_s(10**9) == WAIT_MAX_S
    assert wait_s(-45) == 0


def test_a_password_matches_its_own_hash_and_no_other():
    stored = passwords.hashed(b"correct horse battery", "ada", PEPPER, randbytes)
    assert stored.startswith(RFC_9106_LOW_MEMORY)
    assert passwords.matches(stored, b"correct horse battery", "ada", PEPPER)
    assert passwords.is_current(stored)
    wrong = [
        (b"correct horse batterY", "ada", PEPPER),
        (b"correct horse battery ", "ada", PEPPER),
        (b"correct horse battery\x00", "ada", PEPPER),
        (stored.encode(), "ada", PEPPER),
        (b"", "ada", PEPPER),
        # A hash that was moved to another user, or read with another hub's secret.
        (b"correct horse battery", "eve", PEPPER),
        (b"correct horse battery", "ada", b"q" * 32),
    ]
    assert not any(passwords.matches(stored, *case) for case in wrong)


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$", "$argon2id$v=19$m=8,t=1,p=1$$"])
def test_a_broken_hash_is_nobodys(stored):
    assert not passwords.matches(stored, b"x", "ada", PEPPER)


def test_nobodys_hash_costs_what_somebodys_does_and_matches_nothing():
    assert passwords.NOBODY.startswith(RFC_9106_LOW_MEMORY)
    assert passwords.is_current(passwords.NOBODY)
    assert not passwords.matches(passwords.NOBODY, b"", "", PEPPER)


def test_an_older_hash_is_to_be_made_anew():
    assert not passwords.is_current(passwords.NOBODY.replace("t=3", "t=2"))


def test_so_many_are_hashed_at_once_and_no_more(monkeypatch):
    lock, running, most = threading.Lock(), 0, 0
    entered, release = threading.Semaphore(0), threading.Event()

    def slow(*_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        entered.release()
        assert release.wait(60)
        with lock:
            running -= 1
        return False

    monkeypatch.setattr(checking.passwords, "matches", slow)
    queue = Passwords(PEPPER, randbytes)

    async def guess(number):
        with queue.place(f"address {number}"):
            return await queue.match(None, b"guess", "")

    async def everybody():
        tasks = [
            asyncio.create_task(guess(number)) for number in range(HASHES_AT_ONCE + WAITING_MAX)
        ]
        for _ in range(HASHES_AT_ONCE):
            await asyncio.to_thread(entered.acquire)
        # The queue is full: who comes now is told to come back.
        with pytest.raises(Overloaded) as refused, queue.place("another"):
            pass
        assert refused.value.retry_after_s > 0
        release.set()
        assert set(await asyncio.gather(*tasks)) == {False}
        with queue.place("another"):
            pass

    asyncio.run(everybody())
    assert most == HASHES_AT_ONCE


def test_one_address_leaves_places_to_the_others():
    queue = Passwords(PEPPER, randbytes)
    places = [queue.place("crowd") for _ in range(PLACES_AN_ADDRESS)]
    for place in places:
        place.__enter__()
    with pytest.raises(Overloaded), queue.place("crowd"):
        pass
    with queue.place("another"):
        pass
    places[0].__exit__(None, None, None)
    with queue.place("crowd"):
        pass
