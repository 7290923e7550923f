"""Answer.pour: bytes go to the sink from where they are read, and nothing is lost around it."""

import asyncio

import pytest

from aigne_hub.transport.answer import UNREAD_MAX
from aigne_hub.transport.connection import Connection
from aigne_hub.transport.errors import TransportClosed, TransportError
from aigne_hub.transport.timeouts import Timeouts

END = b"0\r\n\r\n"


class Socket:
    """The transport below a connection, as far as that asks it."""

    def __init__(self):
        self.aborted = self.paused = False

    def write(self, data):
        pass

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False

    def get_write_buffer_size(self):
        return 0

    def abort(self):
        self.aborted = True


class Keeper:
    def release(self, connection):
        pass

    def lost(self, connection):
        pass


class Line:
    """A connection whose exchange has begun: the head of a chunked answer has arrived."""

    def __init__(self):
        self.socket = Socket()
        self.connection = Connection(
            Keeper(),
            asyncio.get_running_loop(),
            timeouts=Timeouts(),
            keep_alive_s=60.0,
            body_max=1_000_000,
        )
        self.connection.connection_made(self.socket)
        head = b"GET / HTTP/1.1\r\n"
        self.answer = self.connection.start(head, b"", total_at=float("inf"), bodiless=False)
        self.reads(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    def reads(self, data):
        self.connection.data_received(data)

    def arrives(self, *pieces, end=b""):
        """Receive what the network read in one go."""
        self.reads(b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + end)


class Sink:
    """Takes pieces; says no after `most` of them, or raises at one."""

    def __init__(self, most=1_000, raises_at=None):
        self.pieces, self.most, self.raises_at = [], most, raises_at

    def __call__(self, data):
        if data == self.raises_at:
            raise ValueError("a mistake in a meter")
        self.pieces.append(data)
        return len(self.pieces) < self.most


async def pouring(answer, sink):
    task = asyncio.ensure_future(answer.pour(sink))
    await asyncio.sleep(0)
    return task


async def test_what_arrives_is_taken_at_once_and_without_a_turn_of_the_loop():
    line = Line()
    sink = Sink()
    task = await pouring(line.answer, sink)
    line.arrives(b"a", b"b")
    assert sink.pieces == [b"ab"]
    line.arrives(b"c")
    assert sink.pieces == [b"ab", b"c"]
    assert not task.done()
    line.arrives(b"d", end=END)
    assert await task is True
    assert sink.pieces == [b"ab", b"c", b"d"]


async def test_what_had_arrived_before_comes_first():
    line = Line()
    line.arrives(b"early")
    sink = Sink()
    task = await pouring(line.answer, sink)
    line.arrives(b"late")
    line.reads(END)
    assert await task is True
    assert sink.pieces == [b"early", b"late"]


async def test_a_sink_that_says_no_keeps_the_rest_for_the_next_time():
    line = Line()
    sink = Sink(most=1)
    task = await pouring(line.answer, sink)
    for piece in (b"a", b"b", b"c"):
        line.arrives(piece)
    assert await task is False
    assert sink.pieces == [b"a"]
    more = Sink()
    line.reads(END)
    assert await line.answer.pour(more) is True
    assert more.pieces == [b"bc"]


async def test_a_sink_that_says_no_to_the_last_piece_is_asked_no_more():
    line = Line()
    sink = Sink(most=1)
    task = await pouring(line.answer, sink)
    line.arrives(b"a")
    line.reads(END)
    assert await task is False
    assert await line.answer.pour(sink) is True
    assert sink.pieces == [b"a"]


async def test_a_mistake_in_the_sink_is_its_readers():
    line = Line()
    sink = Sink(raises_at=b"bad")
    task = await pouring(line.answer, sink)
    line.arrives(b"bad")
    line.arrives(b"later")
    with pytest.raises(ValueError, match="a mistake"):
        await task
    assert sink.pieces == []


@pytest.mark.parametrize("cut", [b"not a chunk", None])
async def test_bytes_before_a_cut_are_taken_before_it_is_raised(cut):
    line = Line()
    sink = Sink()
    task = await pouring(line.answer, sink)
    line.arrives(b"a")
    line.arrives(b"b", end=cut or b"")
    if cut is None:
        line.connection.connection_lost(None)
    with pytest.raises(TransportError):
        await task
    assert sink.pieces == [b"a", b"b"]


async def test_a_reader_that_is_cancelled_closes_the_connection():
    line = Line()
    sink = Sink()
    task = await pouring(line.answer, sink)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert line.socket.aborted
    line.arrives(b"late")
    assert sink.pieces == []


async def test_a_sink_that_closes_the_answer_ends_it():
    line = Line()

    def leave(_data):
        line.answer.close()
        return True

    task = await pouring(line.answer, leave)
    line.arrives(b"a")
    with pytest.raises(TransportClosed):
        await task


async def test_reading_stops_at_a_large_piece_until_it_is_taken():
    line = Line()
    large = b"x" * (UNREAD_MAX + 1)
    line.arrives(large)
    assert line.socket.paused
    sink = Sink()
    task = await pouring(line.answer, sink)
    assert not line.socket.paused
    line.arrives(large)
    assert not line.socket.paused
    line.reads(END)
    assert await task is True
    assert sink.pieces == [large, large]
