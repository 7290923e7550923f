"""What strangers do is in the log, and they do not fill it."""

from aigne_hub.auth.refusals import LINES_A_MINUTE_MAX, Refusals

MINUTE_US = 60_000_000


def test_strangers_write_so_many_lines_a_minute(caplog):
    refusals = Refusals()
    for _ in range(3 * LINES_A_MINUTE_MAX):
        refusals.tell(5 * MINUTE_US, "a key was refused", key="1f")
    assert len(caplog.records) == LINES_A_MINUTE_MAX + 1
    assert "more is refused" in caplog.records[-1].message
    refusals.tell(6 * MINUTE_US, "a key was refused", key="1f")
    assert caplog.records[-1].message == "a key was refused"
    assert caplog.records[-1].fields == {"key": "1f"}
