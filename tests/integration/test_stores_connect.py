"""Sessions in which a program waits for a key: what is kept of them, and for how long."""

import pytest
from sqlalchemy import select

from aigne_hub.crypto import api_key
from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Conflict, Forbidden, NotFound, Overloaded, RateLimited
from aigne_hub.storage import connect_sessions, keys, schema, users
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading, writing

SECOND_US = 1_000_000


class Sessions:
    """The store over a database, with a clock that is moved by hand."""

    def __init__(self, hub):
        self.hub = hub
        with self.changing() as change:
            self.user = users.create(
                change, hub.keyring, hub.randbytes, email="u@example.com", role=Role.MEMBER
            )

    def changing(self):
        return changes(self.hub.engine, self.hub.clock, self.hub.ids, actor="test")

    def begin(self, address="192.0.2.1"):
        now = self.hub.clock.now_us()
        with writing(self.hub.engine) as connection:
            return connect_sessions.begin(connection, now, self.hub.randbytes, address)

    def approve(self, session):
        with self.changing() as change:
            connect_sessions.approve(change, session, self.user)

    def poll(self, session):
        with reading(self.hub.engine) as connection:
            return connect_sessions.poll(
                connection, self.hub.keyring, self.hub.clock.now_us(), session
            )

    def collect(self, session):
        with self.changing() as change:
            return connect_sessions.collect(
                change, self.hub.keyring, self.hub.randbytes, self.hub.pepper, session
            )

    def end(self, session):
        with writing(self.hub.engine) as connection:
            connect_sessions.end(connection, self.hub.clock.now_us(), session)

    def rows(self):
        with reading(self.hub.engine) as connection:
            return connection.execute(select(schema.connect_session)).all()

    def keys(self):
        with reading(self.hub.engine) as connection:
            return keys.listed(connection, self.user)


@pytest.fixture
def sessions(hub):
    return Sessions(hub)


def test_the_key_is_made_when_it_is_collected_and_once(sessions):
    session = sessions.begin()
    assert sessions.poll(session) == (False, None)
    sessions.approve(session)
    assert sessions.poll(session) == (True, None)
    assert sessions.keys() == []
    made = sessions.collect(session)
    assert sessions.poll(session) == (True, made)
    assert sessions.collect(session) == made
    (key,) = sessions.keys()
    assert key.id == made.key_id
    assert api_key.is_well_formed(made.text)
    assert made.text not in repr(made)


def test_neither_the_id_nor_the_key_is_in_the_database(sessions):
    session = sessions.begin()
    sessions.approve(session)
    made = sessions.collect(session)
    (row,) = sessions.rows()
    stored = b" ".join(v if isinstance(v, bytes) else str(v).encode() for v in row)
    assert session.encode() not in stored
    assert made.text.encode() not in stored


def test_the_key_can_be_read_for_a_minute(sessions):
    session = sessions.begin()
    sessions.approve(session)
    made = sessions.collect(session)
    sessions.hub.clock.advance(connect_sessions.HANDOVER_US / SECOND_US - 1)
    assert sessions.poll(session) == (True, made)
    sessions.hub.clock.advance(1)
    with pytest.raises(NotFound):
        sessions.poll(session)
    with pytest.raises(NotFound):
        sessions.collect(session)
    sessions.begin()
    assert [row.sealed_key for row in sessions.rows()] == [None]


def test_an_end_forgets_the_key_at_once(sessions):
    session = sessions.begin()
    sessions.approve(session)
    sessions.collect(session)
    sessions.end(session)
    assert [row.sealed_key for row in sessions.rows()] == [None]
    for action in (sessions.poll, sessions.collect, sessions.end, sessions.approve):
        with pytest.raises(NotFound):
            action(session)


def test_a_session_nobody_approves_expires(sessions):
    session = sessions.begin()
    sessions.hub.clock.advance(connect_sessions.LIVE_US / SECOND_US)
    with pytest.raises(NotFound):
        sessions.approve(session)
    with writing(sessions.hub.engine) as connection:
        assert connect_sessions.prune(connection, sessions.hub.clock.now_us()) == 1
    assert sessions.rows() == []


def test_ended_sessions_count_against_their_address(sessions):
    for _ in range(connect_sessions.STARTED_MAX):
        sessions.end(sessions.begin())
    with pytest.raises(RateLimited):
        sessions.begin()
    sessions.begin("192.0.2.2")
    sessions.hub.clock.advance(connect_sessions.RATE_US / SECOND_US)
    sessions.begin()


def test_all_together_begin_only_so_many(sessions, monkeypatch):
    monkeypatch.setattr(connect_sessions, "SESSIONS_MAX", 3)
    for number in range(3):
        sessions.begin(f"192.0.2.{number}")
    with pytest.raises(Overloaded):
        sessions.begin("192.0.2.9")


def test_no_key_for_a_user_who_was_disabled(sessions):
    session, late = sessions.begin(), sessions.begin()
    sessions.approve(session)
    with sessions.changing() as change:
        sessions.user = users.disable(change, sessions.user)
    with pytest.raises(Forbidden):
        sessions.collect(session)
    with pytest.raises(Conflict):
        sessions.approve(late)
    assert sessions.keys() == []
