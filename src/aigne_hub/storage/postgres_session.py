"""One PostgreSQL connection on the event loop: prepared statements, sent in one go.

It drives libpq, through psycopg's binding of it, in pipeline mode. psycopg's own cursors
would cost a hub four to six times the processor time of this (docs/decisions/0012).
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import Any

from psycopg import pq
from psycopg.conninfo import make_conninfo
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine import make_url

from aigne_hub.storage.journal import StoreUnavailable

CONNECT_MAX_S = 5
# The server gives a statement up after this long, and a wait for a lock.
STATEMENT_MAX_S = 10
LOCK_MAX_S = 5
# A hub that froze between reading accounts and writing them keeps their locks this long.
FROZEN_MAX_S = 10
# An answer that is not here by now never comes: the network swallowed it.
ANSWER_MAX_S = 2 * STATEMENT_MAX_S

# A statement's name and its parameters.
Request = tuple[str, Sequence[bytes | None]]

# Every row is looked up by its key. A plan made while a table was small would read all of
# it, and be kept until the server's next analysis.
_PLANS = (
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
)
_SET = b"SELECT set_config($1, $2, false)"
# A commit that was answered has survived a power cut, whatever the server's default.
_DURABLE = (
    b"SELECT set_config('synchronous_commit', 'on', false)"
    b" WHERE current_setting('synchronous_commit') = 'off'"
)
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class Lost(Exception):
    """The connection is gone; what was not answered may have happened or not."""


class Refused(Exception):
    """The server refused a statement; those sent after it were not executed."""

    def __init__(self, statement: str, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.statement = statement
        self.sqlstate = sqlstate


def conninfo(database_url: str, name: str) -> bytes:
    """Return libpq's form of a `postgresql://…` address; `name` is what the server shows."""
    dialect: Any = psycopg.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's dialects are
    _, options = dialect.create_connect_args(make_url(database_url))
    own = {"application_name": name, "client_encoding": "UTF8"}
    settings = {"connect_timeout": CONNECT_MAX_S, **_KEEPALIVE, **options, **own}
    return make_conninfo("", **settings).encode()


def connect(info: bytes, statements: Mapping[str, str]) -> pq.abc.PGconn:
    """Return a connection with its settings made and its statements prepared. Blocks.

    Raises StoreUnavailable.
    """
    connection = pq.PGconn.connect(info)
    try:
        _require_open(connection)
        for name, value in (*_limits(), *_PLANS):
            ask(connection, _SET, [name.encode(), value.encode()])
        ask(connection, _DURABLE, [])
        for name, sql in statements.items():
            _checked(connection.prepare(name.encode(), sql.encode()))
    except BaseException:
        connection.finish()
        raise
    return connection


def _limits() -> Iterator[tuple[str, str]]:
    for name, seconds in (
        ("statement_timeout", STATEMENT_MAX_S),
        ("lock_timeout", LOCK_MAX_S),
        ("idle_in_transaction_session_timeout", FROZEN_MAX_S),
    ):
        yield name, f"{round(seconds * 1000)}ms"


def ask(connection: pq.abc.PGconn, sql: bytes, values: Sequence[bytes]) -> bytes | None:
    """Execute one statement, blocking; return the first value of its answer."""
    result = connection.exec_params(sql, values)
    _checked(result)
    return result.get_value(0, 0) if result.ntuples else None


def first_line(message: str) -> str:
    return message.strip().partition("\n")[0]


class Session:
    """A connection that sends several requests at once and waits for all their answers.

    `on_lost` is told, once, that the connection ended by itself, also while it was idle.
    """

    def __init__(self, connection: pq.abc.PGconn, on_lost: Callable[["Session"], None]) -> None:
        self._connection = connection
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        # The loop watches a selector that watches libpq's socket: uvloop stops watching a
        # socket that has an error, and does not say so.
        self._selector = DefaultSelector()
        self._socket = connection.socket
        self._blocked = False
        self._answered: asyncio.Future[list[pq.abc.PGresult]] | None = None
        self._results: list[pq.abc.PGresult] = []
        self._refusal: Refused | None = None
        self._names: list[str] = []
        self._open = True
        connection.nonblocking = 1
        connection.enter_pipeline_mode()
        self._selector.register(self._socket, EVENT_READ)
        self._loop.add_reader(self._selector, self._ready)

    async def run(self, requests: Sequence[Request]) -> list[pq.abc.PGresult]:
        """Return the results of all requests. One at a time.

        Raises Refused with the first that failed, or Lost.
        """
        assert self._answered is None
        if not self._open:
            raise Lost("the connection is closed")
        answered: asyncio.Future[list[pq.abc.PGresult]] = self._loop.create_future()
        self._answered = answered
        self._results, self._refusal = [], None
        self._names = [name for name, _ in requests]
        timer = self._loop.call_later(ANSWER_MAX_S, self._lose, "the database does not answer")
        try:
            self._send(requests)
            return await answered
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._answered = None
            timer.cancel()

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._selector)
            self._selector.close()
            self._connection.finish()

    def _send(self, requests: Sequence[Request]) -> None:
        try:
            for name, values in requests:
                self._connection.send_query_prepared(name.encode(), values)
            self._connection.pipeline_sync()
            self._flush()
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection is of no use
            self._lose(str(error))

    def _flush(self) -> None:
        """Send what libpq has not yet; the socket takes the rest when the server has read."""
        blocked = self._connection.flush() == 1
        if blocked != self._blocked:
            self._blocked = blocked
            events = EVENT_READ | EVENT_WRITE if blocked else EVENT_READ
            self._selector.modify(self._socket, events)

    def _ready(self) -> None:
        try:
            if self._blocked:
                self._flush()
            self._connection.consume_input()
            if self._answered is not None:
                self._collect()
        except Exception as error:  # noqa: BLE001 - whatever it is, the connection is of no use
            self._lose(str(error))

    def _collect(self) -> None:
        connection, results = self._connection, self._results
        while not connection.is_busy():
            result = connection.get_result()
            if result is None:  # between the answers to two requests, and after the last
                if connection.status != pq.ConnStatus.OK:
                    self._lose(connection.get_error_message())
                    return
                continue
            if result.status in _DONE:
                results.append(result)
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                self._finish()
                return
            elif self._refusal is None:
                self._refusal = _refusal(self._names[len(results)], result)

    def _finish(self) -> None:
        answered = self._answered
        if answered is None or answered.done():
            return
        if self._refusal is not None:
            answered.set_exception(self._refusal)
        else:
            answered.set_result(self._results)

    def _lose(self, message: str) -> None:
        if not self._open:
            return
        if self._refusal is not None:
            message = str(self._refusal)
        self.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(Lost(first_line(message)))
        self._on_lost(self)


def _require_open(connection: pq.abc.PGconn) -> None:
    if connection.status != pq.ConnStatus.OK:
        raise StoreUnavailable(first_line(connection.get_error_message()))


def _checked(result: pq.abc.PGresult) -> None:
    if result.status not in _DONE:
        raise StoreUnavailable(str(_refusal("", result)))


def _refusal(statement: str, result: pq.abc.PGresult) -> Refused:
    state = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
    return Refused(statement, state.decode(), first_line(result.get_error_message()))
