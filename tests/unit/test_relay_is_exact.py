"""What an upstream sends is what its caller gets, in every format that is relayed.

However the network cuts it; but for the events that end an answer, into which goes what it cost.
"""

from copy import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.test_hostile_answers import RELAYED, frames

from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.openai.speech import OpenAISpeech
from aigne_hub.providers.usage import OPENAI

COUNTED = Usage(input_tokens=1, output_tokens=1)
CUTS = st.lists(st.integers(1, 200), min_size=1, max_size=40)


def passed(name: str, data: bytes, cuts: list[int]) -> tuple[bytes, bytes, int]:
    """Return what left at once, what at the end, and how much was counted."""
    relay = RELAYED[name]
    meter = relay.dialect.meter(copy(relay.ask), relay.wire)
    out, at, number = b"", 0, 0
    while at < len(data):
        size = cuts[number % len(cuts)]
        out += meter.feed(data[at : at + size])
        at, number = at + size, number + 1
    meter.end()
    assert meter.complete
    return out, meter.last("0.5", COUNTED), meter.delivered_bytes


@pytest.mark.parametrize("name", sorted(RELAYED.keys() - {"gemini-list"}))
@settings(max_examples=40, derandomize=True)
@given(cuts=CUTS, ends=st.sampled_from([b"\n", b"\r\n"]), comment=st.booleans())
def test_a_stream_leaves_as_it_came_however_it_was_cut(
    name: str, cuts: list[int], ends: bytes, comment: bool
):
    events = RELAYED[name].events
    data = (b": hello\n\n" if comment else b"") + frames(events)
    data = data.replace(b"\n", ends)
    out, last, counted = passed(name, data, cuts)
    assert data.startswith(out)
    # All but the events that end it: of each format the last ones.
    assert data[len(out) :].count(b"data: ") <= 2
    assert b"0.5" in last
    assert (out, last, counted) == passed(name, data, [len(data)])


@settings(max_examples=40, derandomize=True)
@given(cuts=CUTS)
def test_a_list_is_the_same_however_its_events_were_cut(cuts: list[int]):
    data = frames(RELAYED["gemini-list"].events)
    assert passed("gemini-list", data, cuts) == passed("gemini-list", data, [len(data)])


# No sound begins as JSON does: what does is an error that was sent for sound.
SOUND = st.lists(st.binary(min_size=1, max_size=99), min_size=1, max_size=9).filter(
    lambda pieces: not pieces[0].startswith(b"{")
)


@settings(derandomize=True)
@given(pieces=SOUND)
def test_sound_leaves_as_it_came(pieces: list[bytes]):
    speech = OpenAISpeech()
    meter = speech.meter(speech.ask(b'{"model":"m","input":"hello"}'), OPENAI)
    out = b"".join(meter.feed(piece) for piece in pieces)
    meter.end()
    assert out + meter.last("0.5", COUNTED) == b"".join(pieces)
