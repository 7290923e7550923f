import pytest

from aigne_hub.domain.instants import format_instant, parse_instant


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_767_225_600_000_001, "2026-01-01T00:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_709_164_800_123_456, "2024-02-29T00:00:00.123456Z"),
    ],
)
def test_an_instant_has_one_spelling_and_comes_back(us, text):
    assert format_instant(us) == text
    assert parse_instant(text) == us


def test_offsets_are_converted_to_utc():
    assert parse_instant("2026-01-01T02:00:00+02:00") == parse_instant("2026-01-01T00:00:00Z")


@pytest.mark.parametrize("text", ["", "soon", "2026-01-01", "2026-01-01T00:00:00", "1767225600"])
def test_a_time_that_could_mean_two_instants_is_refused(text):
    with pytest.raises(ValueError, match=r"not an RFC 3339|no time zone"):
        parse_instant(text)
