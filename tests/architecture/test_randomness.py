"""Where random bytes come from, and how many what must not be guessed has."""

import re

import pytest
from tests.architecture.source_tree import ROOT

from aigne_hub.crypto import api_key, oauth_secret
from aigne_hub.storage import connect_sessions, did_sessions, sessions, setup

SOURCES = {
    path: path.read_text(encoding="utf-8") for path in (ROOT / "src" / "aigne_hub").rglob("*.py")
}
OWN_GENERATOR = re.compile(
    r"^\s*(import random\b|import uuid\b|from (random|uuid) import)", re.MULTILINE
)


def test_randomness_comes_from_the_system():
    """Everything takes it as a parameter, which somebody names."""
    named = [name for text in SOURCES.values() for name in re.findall(r"randbytes=([\w.]+)", text)]
    assert named
    assert {name for name in named if not name.endswith("randbytes")} == {"os.urandom"}
    taken = [name for text in SOURCES.values() for name in re.findall(r"secrets\.([A-Z]\w*)", text)]
    assert set(taken) == {"SystemRandom"}
    # The one generator that is not the system's begins with its bytes; ids are no secrets.
    (maker,) = [text for text in SOURCES.values() if OWN_GENERATOR.search(text)]
    assert len(re.findall(r"\bRandom\(", maker)) == 1
    assert "return Random(os.urandom(32)).getrandbits" in maker


@pytest.mark.parametrize(
    "make",
    [
        api_key.new_key,
        *(lambda draw, k=k: oauth_secret.new_secret(k, draw) for k in oauth_secret.Kind),
    ],
)
def test_a_secret_has_all_the_bits_that_it_was_drawn_from(make):
    drawn = []

    def draw(size: int) -> bytes:
        drawn.append(size)
        return b"x" * size

    make(draw)
    assert sum(drawn) * 8 >= 256


def test_what_must_not_be_guessed_has_enough_bits():
    assert sessions._TOKEN_BYTES * 8 == 256
    assert setup._TOKEN_BYTES * 8 == 256
    assert did_sessions._TOKEN_BYTES * 8 == 128
    assert api_key.SECRET_BYTES * 8 == 256
    assert connect_sessions._ID_BYTES * 8 >= 128
