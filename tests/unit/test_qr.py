"""QR codes: their shape here; another's decoder reads them in tests/clients/test_did_wallet.py."""

import re

import pytest

from aigne_hub.web import qr


@pytest.mark.parametrize(
    ("count", "size"), [(1, 21), (17, 21), (18, 25), (230, 53), (231, 57), (858, 97)]
)
def test_the_smallest_code_that_holds_a_text(count: int, size: int):
    rows = qr.modules("a" * count)
    assert {len(row) for row in rows} == {len(rows)} == {size}
    assert set("".join(rows)) == {"0", "1"}


def test_three_corners_and_the_timing_between_them():
    rows = qr.modules("https://hub.example")
    finder = ["1111111", "1000001", "1011101", "1011101", "1011101", "1000001", "1111111"]
    assert [row[:7] for row in rows[:7]] == finder
    assert [row[-7:] for row in rows[:7]] == finder
    assert [row[:7] for row in rows[-7:]] == finder
    assert re.fullmatch("(10)+1", rows[6][6:-6])


def test_what_is_too_long():
    with pytest.raises(ValueError, match="at most 858 bytes, got 859"):
        qr.modules("a" * 859)


def test_the_picture_has_a_quiet_zone_and_no_script():
    picture = qr.svg("https://hub.example/?a=1&b=<2>")
    assert picture.startswith('<svg class="qr" viewBox="0 0 33 33" role="img"')
    assert "script" not in picture
    assert "style" not in picture
