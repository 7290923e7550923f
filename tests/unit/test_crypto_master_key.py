import base64
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import aigne_hub
from aigne_hub.crypto.envelope import KEY_BYTES
from aigne_hub.crypto.master_key import KeyFileRefused, key_from_text, load_or_create_key

SOURCE = Path(aigne_hub.__file__).resolve().parents[1]
RACER = """
import os, pathlib, sys, time
from aigne_hub.crypto.master_key import load_or_create_key
print("ready", flush=True)
sys.stdin.readline()
while time.time() < float(sys.argv[2]):
    pass
print(load_or_create_key(pathlib.Path(sys.argv[1]), os.urandom).hex())
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "secret.key"


def test_the_first_start_makes_a_key_and_later_ones_use_it(path):
    key = load_or_create_key(path, os.urandom)
    assert len(key) == KEY_BYTES
    assert path.read_bytes() == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_key(path, os.urandom) == key
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_mode_does_not_depend_on_the_umask(path):
    before = os.umask(0)
    try:
        load_or_create_key(path, os.urandom)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_a_file_open_to_others_is_refused(path, mode):
    load_or_create_key(path, os.urandom)
    path.chmod(mode)
    with pytest.raises(
        KeyFileRefused, match=rf"open to others \(mode {mode:04o}\): run `chmod 600"
    ):
        load_or_create_key(path, os.urandom)
    path.chmod(0o400)
    assert load_or_create_key(path, os.urandom)


@pytest.mark.parametrize("size", [0, 31, 33, 5000])
def test_a_file_of_another_length_is_refused_and_left_alone(path, size):
    path.write_bytes(bytes(size))
    path.chmod(0o600)
    with pytest.raises(KeyFileRefused, match=f"has {size} bytes, not 32: restore it from a backup"):
        load_or_create_key(path, os.urandom)
    assert path.stat().st_size == size


def test_a_directory_a_pipe_and_a_dead_link_are_refused(path):
    path.mkdir(mode=0o700)
    with pytest.raises(KeyFileRefused, match="directory"):
        load_or_create_key(path, os.urandom)
    path.rmdir()
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyFileRefused, match="not a regular file"):
        load_or_create_key(path, os.urandom)
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))
    with pytest.raises(KeyFileRefused, match="No such file"):
        load_or_create_key(path, os.urandom)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(KeyFileRefused, match=r"cannot read or make the key file .*/no/secret\.key"):
        load_or_create_key(tmp_path / "no" / "secret.key", os.urandom)


def test_a_failed_write_leaves_nothing_behind(path):
    def broken(size):
        if size == KEY_BYTES:
            raise OSError(28, "No space left on device")
        return os.urandom(size)

    with pytest.raises(KeyFileRefused, match="No space left on device"):
        load_or_create_key(path, broken)
    assert list(path.parent.iterdir()) == []


def test_the_loser_of_a_race_takes_the_key_of_the_winner(path):
    """The other process wins between our look at the path and our claim to it."""
    winner = os.urandom(KEY_BYTES)

    def overtaken(size):
        if size == KEY_BYTES:
            path.write_bytes(winner)
            path.chmod(0o600)
        return os.urandom(size)

    assert load_or_create_key(path, overtaken) == winner
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_processes_that_race_agree_on_one_key(tmp_path):
    for attempt in range(3):
        path = tmp_path / f"{attempt}.key"
        go = time.time() + 0.6
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", RACER, str(path), str(go)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": str(SOURCE)},
            )
            for _ in range(2)
        ]
        try:
            for racer in racers:
                assert racer.stdout.readline() == "ready\n"
            keys = {racer.communicate("go\n", timeout=60)[0].strip() for racer in racers}
        finally:
            for racer in racers:
                racer.kill()
                racer.wait()
        assert keys == {path.read_bytes().hex()}
    assert len(list(tmp_path.iterdir())) == 3


def test_hex_and_base64_are_the_key_itself():
    key = bytes(range(220, 252))
    assert key_from_text(key.hex()) == key
    assert key_from_text(f" {key.hex().upper()}\n") == key
    assert key_from_text(base64.b64encode(key).decode()) == key
    assert key_from_text(base64.urlsafe_b64encode(key).decode().rstrip("=")) == key
    assert key_from_text(bytes(32).hex()) == bytes(32)


def test_a_passphrase_gives_the_same_key_every_time():
    # A changed value here would lock out every hub that runs on a passphrase.
    assert key_from_text("correct horse battery").hex() == (
        "23f5f010dbb58a82f1d136c980abb1247569192c2c18a08dcbfe8e864140878b"
    )
    assert key_from_text("correct horse battery\n") == key_from_text("correct horse battery")


@pytest.mark.parametrize(
    "text",
    [
        "a" * 16,
        "g" * 64,  # not hex
        "ab " * 21 + "a",  # 64 characters that a lenient hex decoder would take
        "A" * 42 + "B",  # base64 of 32 bytes, but not the canonical spelling of them
        "ünï" * 6,
        "\udcff" * 16,
    ],
)
def test_other_texts_are_passphrases(text):
    assert len(key_from_text(text)) == KEY_BYTES
    assert key_from_text(text) != key_from_text(text + "x")


@pytest.mark.parametrize("text", ["", " " * 40, "hunter2", "a" * 15, "a" * 15 + "   "])
def test_short_texts_are_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match="fewer than 16 characters") as caught:
        key_from_text(text)
    assert "hunter2" not in str(caught.value)


def test_an_overlong_text_is_refused():
    with pytest.raises(ValueError, match="longer than 1024 characters"):
        key_from_text("a" * 1025)
