"""docs/identity.md says what the code does: figures, words and ways in."""

import re
from typing import Final

import pytest
from tests.architecture.source_tree import ROOT

from aigne_hub.domain import passwords
from aigne_hub.domain.easy_passwords import OF_THE_HUB
from aigne_hub.domain.oauth import lifetimes
from aigne_hub.storage import did_sessions, guesses, schema, sessions
from aigne_hub.web import session

PAGE: Final = (ROOT / "docs" / "identity.md").read_text(encoding="utf-8")
WEB: Final = ROOT / "src" / "aigne_hub" / "web"
TEMPLATES: Final = WEB / "templates"
DAY_US: Final = lifetimes.DAY_US
MINUTE_US: Final = lifetimes.MINUTE_US


def section(name: str) -> str:
    return " ".join(re.split(r"\n##+ ", PAGE.partition(f"# {name}\n")[2])[0].split())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Sessions", f"{sessions.LIFETIME_US // DAY_US} days after it began"),
        ("Sessions", f"{sessions.UNUSED_US // DAY_US} days after it was last used"),
        ("Sessions", f"more than {sessions.SESSIONS_MAX}"),
        ("Sessions", f"within {session.RECENT_US // MINUTE_US} minutes"),
        ("Passwords", f"At least {passwords.CHARS_MIN} characters"),
        ("Passwords", f"at most {passwords.BYTES_MAX:,} bytes"),
        ("Guessing", "Five wrong tries are free"),
        ("Guessing", f"up to {passwords.WAIT_MAX_S // 60} minutes"),
        ("When tokens end", f"nobody uses for {lifetimes.REFRESH_UNUSED_US // DAY_US} days"),
        ("When tokens end", f"after {lifetimes.REFRESH_US // DAY_US} days"),
    ],
)
def test_the_page_states_the_figures(name: str, words: str):
    assert words in section(name)


def test_the_figures_that_are_said_in_words():
    assert passwords.FREE_TRIES == 5
    assert guesses.FORGOTTEN_US == DAY_US
    assert did_sessions.LIVE_US == 5 * MINUTE_US


def test_the_page_lists_the_words_that_make_no_password():
    listed = re.search(r"Words of the hub: ([^.]+)\.", section("Passwords"))
    assert listed is not None
    assert tuple(listed[1].replace("`", "").split(", ")) == OF_THE_HUB


def test_the_page_lists_every_way_in():
    """A session begins in one function only, and whoever calls it says how somebody proved it."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(WEB.rglob("*.py")))
    ways = re.findall(r"[^.\w]begin\(request, hub, change, \w+, ([^)]+)\)", text)
    assert sorted(ways) == ['"password"', '"set-up"', '"wallet"', "session.method"]
    assert len(re.findall(r"(?<!_)\bsessions\.begin\(", text)) == 1
    table = section("Ways in")
    for way in ("password", "DID wallet", "set-up link", "API key", "access token", "signature"):
        assert f"| {way} |" in table


def inputs() -> list[str]:
    pages = (path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.html")))
    return [tag for page in pages for tag in re.findall(r"<input\b[^>]*>", page)]


def test_secrets_are_typed_into_masked_fields_that_password_managers_fill():
    secret = re.compile(r'name="(password|current|new|again|passphrase|key)"')
    typed = [tag for tag in inputs() if secret.search(tag)]
    assert len(typed) >= 8
    for tag in typed:
        assert 'type="password"' in tag, tag
        known = re.search(r'autocomplete="(\w[\w-]*)"', tag)
        assert known is not None, tag
        # An API key is nobody's password: no browser is to keep it as one.
        kinds = {"off"} if 'name="key"' in tag else {"current-password", "new-password"}
        assert known[1] in kinds, tag
    assert not any(re.search(r"\son\w+=", tag) for tag in inputs())


def test_nothing_makes_a_password_grow_old_and_no_hint_is_kept():
    assert set(schema.password.c.keys()) == {"user_id", "hash", "changed_us"}
