"""Answer.pour: bytes go to the sink from where they are read, and nothing is lost around it."""

import asyncio

import pytest

from aigne_hub.transport.answer import UNREAD_MAX, Answer
from aigne_hub.transport.errors import ConnectionCut, TransportClosed


class Line:
    """The connection, as far as an answer asks it."""

    def __init__(self):
        self.failed, self.resumed = [], 0
        self.answer = None

    def fail(self, error):
        self.failed.append(error)
        self.answer.fail(error)

    def resume(self):
        self.resumed += 1


class Sink:
    """Takes pieces; says no after `most` of them, or raises at one."""

    def __init__(self, most=1_000, raises_at=None):
        self.pieces, self.most, self.raises_at = [], most, raises_at

    def __call__(self, data):
        if data == self.raises_at:
            raise ValueError("a mistake in a meter")
        self.pieces.append(data)
        return len(self.pieces) < self.most


def begun():
    line = Line()
    line.answer = answer = Answer(line, asyncio.get_running_loop(), 1_000_000)
    answer.begin(200, [], request_sent=True)
    return line, answer


def arrives(answer, *pieces):
    """Receive what the network read in one go."""
    for piece in pieces:
        answer.receive(piece)
    answer.arrived()


async def pouring(answer, sink):
    task = asyncio.ensure_future(answer.pour(sink))
    await asyncio.sleep(0)
    return task


async def test_what_arrives_is_taken_at_once_and_without_a_turn_of_the_loop():
    _, answer = begun()
    sink = Sink()
    task = await pouring(answer, sink)
    arrives(answer, b"a", b"b")
    assert sink.pieces == [b"ab"]
    arrives(answer, b"c")
    assert sink.pieces == [b"ab", b"c"]
    assert not task.done()
    answer.receive(b"d")
    answer.finish()
    assert await task is True
    assert sink.pieces == [b"ab", b"c", b"d"]


async def test_what_had_arrived_before_comes_first():
    _, answer = begun()
    arrives(answer, b"early")
    sink = Sink()
    task = await pouring(answer, sink)
    arrives(answer, b"late")
    answer.finish()
    assert await task is True
    assert sink.pieces == [b"early", b"late"]


async def test_a_sink_that_says_no_keeps_the_rest_for_the_next_time():
    _, answer = begun()
    sink = Sink(most=1)
    task = await pouring(answer, sink)
    arrives(answer, b"a")
    arrives(answer, b"b")
    arrives(answer, b"c")
    assert await task is False
    assert sink.pieces == [b"a"]
    more = Sink()
    answer.finish()
    assert await answer.pour(more) is True
    assert more.pieces == [b"bc"]


async def test_a_sink_that_says_no_to_the_last_piece_is_asked_no_more():
    _, answer = begun()
    sink = Sink(most=1)
    task = await pouring(answer, sink)
    arrives(answer, b"a")
    answer.finish()
    assert await task is False
    assert await answer.pour(sink) is True
    assert sink.pieces == [b"a"]


async def test_a_mistake_in_the_sink_is_its_readers():
    _, answer = begun()
    sink = Sink(raises_at=b"bad")
    task = await pouring(answer, sink)
    arrives(answer, b"bad")
    arrives(answer, b"later")
    with pytest.raises(ValueError, match="a mistake"):
        await task
    assert sink.pieces == []


async def test_bytes_before_a_cut_are_taken_before_it_is_raised():
    _, answer = begun()
    sink = Sink()
    task = await pouring(answer, sink)
    arrives(answer, b"a")
    answer.receive(b"b")
    answer.fail(ConnectionCut("cut", sent=True))
    with pytest.raises(ConnectionCut):
        await task
    assert sink.pieces == [b"a", b"b"]


async def test_a_reader_that_is_cancelled_closes_the_connection():
    line, answer = begun()
    sink = Sink()
    task = await pouring(answer, sink)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [type(error) for error in line.failed] == [TransportClosed]
    arrives(answer, b"late")
    assert sink.pieces == []


async def test_a_sink_that_closes_the_answer_ends_it():
    _, answer = begun()

    def leave(_data):
        answer.close()
        return True

    task = await pouring(answer, leave)
    arrives(answer, b"a")
    with pytest.raises(TransportClosed):
        await task


async def test_reading_goes_on_after_a_large_piece():
    line, answer = begun()
    task = await pouring(answer, Sink())
    arrives(answer, b"x" * (UNREAD_MAX + 1))
    assert line.resumed == 1
    answer.finish()
    assert await task is True
