"""Sessions of people: what is kept of them, and when they are over."""

import pytest
from sqlalchemy import select

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Forbidden, NotFound
from aigne_hub.storage import schema, sessions, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing

SECOND_US = 1_000_000


class People:
    """Two users and the store of their sessions."""

    def __init__(self, hub):
        self.hub = hub
        self.ada = self.create("ada@example.com")
        self.eve = self.create("eve@example.com")

    def create(self, email):
        with self.changing() as change:
            return users.create(
                change, self.hub.keyring, self.hub.randbytes, email=email, role=Role.MEMBER
            )

    def changing(self):
        return changes(self.hub.engine, self.hub.clock, self.hub.ids, actor="test")

    def begin(self, user, agent="Firefox", address="192.0.2.1"):
        with self.changing() as change:
            return sessions.begin(
                change,
                self.hub.randbytes,
                self.hub.pepper,
                user,
                "password",
                user_agent=agent,
                address=address,
            )

    def find(self, token, pepper=None):
        with reading(self.hub.engine) as view:
            now = self.hub.clock.now_us()
            return sessions.find(view, pepper or self.hub.pepper, token, now)

    def touch(self, session_id):
        with writing(self.hub.engine) as connection:
            sessions.touch(connection, session_id, self.hub.clock.now_us())

    def listed(self, user):
        with reading(self.hub.engine) as view:
            return [one.id for one in sessions.listed(view, user, self.hub.clock.now_us())]

    def rows(self):
        with reading(self.hub.engine) as view:
            return view.execute(select(schema.session)).all()


@pytest.fixture
def people(hub):
    return People(hub)


def test_a_token_finds_its_session_and_only_its_keyed_hash_is_stored(people):
    made = people.begin(people.ada)
    found = people.find(made.token)
    assert (found.id, found.user, found.method) == (made.id, people.ada, "password")
    assert (found.user_agent, found.address) == ("Firefox", "192.0.2.1")
    assert found.authenticated_us == found.created_us == found.used_us
    (row,) = people.rows()
    assert made.token not in repr(row)
    assert made.token not in repr(made)
    assert people.find(made.token, pepper=b"q" * 32) is None


@pytest.mark.parametrize("token", ["", "x", "1" * 44, "1" * 45, "\x00", "ä", "\udc80", "' OR 1=1"])
def test_another_token_finds_nothing(people, token):
    people.begin(people.ada)
    assert people.find(token) is None


def test_a_session_ends_when_it_is_not_used(people):
    made = people.begin(people.ada)
    people.hub.clock.advance(sessions.UNUSED_US // SECOND_US - 10)
    assert people.find(made.token)
    people.touch(made.id)
    people.hub.clock.advance(sessions.UNUSED_US // SECOND_US - 10)
    assert people.find(made.token)
    people.hub.clock.advance(20)
    assert people.find(made.token) is None
    assert people.listed(people.ada) == []


def test_a_session_ends_however_much_it_is_used(people):
    made = people.begin(people.ada)
    for _ in range(5):
        people.hub.clock.advance(sessions.LIFETIME_US // SECOND_US // 5 - 10)
        people.touch(made.id)
    assert people.find(made.token)
    people.hub.clock.advance(60)
    assert people.find(made.token) is None


def test_what_is_over_is_deleted_and_nothing_else(people):
    people.begin(people.ada)
    people.hub.clock.advance(sessions.UNUSED_US // SECOND_US + 1)
    fresh = people.begin(people.ada)
    with writing(people.hub.engine) as connection:
        assert sessions.prune(connection, people.hub.clock.now_us()) == 1
        assert sessions.prune(connection, people.hub.clock.now_us()) == 0
    assert [row.id for row in people.rows()] == [fresh.id]


def test_nobody_ends_the_session_of_another(people):
    mine, theirs = people.begin(people.ada), people.begin(people.eve)
    with people.changing() as change, pytest.raises(NotFound, match="not yours"):
        sessions.end(change, people.eve, mine.id)
    with people.changing() as change:
        sessions.end(change, people.ada, mine.id)
    assert people.find(mine.token) is None
    assert people.find(theirs.token)
    with people.changing() as change, pytest.raises(NotFound):
        sessions.end(change, people.ada, mine.id)


def test_all_sessions_of_a_user_but_one_end(people):
    kept, theirs = people.begin(people.ada), people.begin(people.eve)
    for _ in range(3):
        people.begin(people.ada)
    with people.changing() as change:
        assert sessions.end_all(change, people.ada, but=kept.id) == 3
    assert people.listed(people.ada) == [kept.id]
    assert people.listed(people.eve) == [theirs.id]
    with people.changing() as change:
        assert sessions.end_all(change, people.ada) == 1
        assert sessions.end_all(change, people.ada) == 0


def test_a_disabled_user_has_no_session_and_begins_none(people):
    made = people.begin(people.ada)
    with people.changing() as change:
        disabled = users.disable(change, people.ada)
    assert people.find(made.token) is None
    assert [row for row in people.rows() if row.user_id == people.ada.id] == []
    with pytest.raises(Forbidden, match="disabled"):
        people.begin(disabled)
    with people.changing() as change:
        users.enable(change, disabled)
    assert people.find(made.token) is None


def test_one_session_too_many_ends_the_one_used_longest_ago(people):
    made = [people.begin(people.ada) for _ in range(sessions.SESSIONS_MAX)]
    people.touch(made[0].id)
    newest = people.begin(people.ada)
    assert len(people.rows()) == sessions.SESSIONS_MAX
    assert people.find(made[1].token) is None
    assert people.find(made[0].token)
    assert people.find(newest.token)


def test_what_a_browser_calls_itself_is_cut_and_cleaned(people):
    made = people.begin(people.ada, agent="Fire\x00\n\x1b[31mfox" + "x" * 500, address="a" * 100)
    found = people.find(made.token)
    assert found.user_agent.startswith("Fire[31mfox")
    assert len(found.user_agent) == sessions.USER_AGENT_MAX
    assert len(found.address) == sessions.ADDRESS_MAX
