import sys

import pytest

from gan_core.runtime import progress
from gan_core.runtime.progress import Progress, bars_by, shortened


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_ten_seconds_where_there_is_no_terminal(clock, capsys):
    with Progress("encode", 4_000_000_000) as shown:
        for seconds, amount in ((4, 400_000_000), (10, 600_000_000), (15, 500_000_000), (20, 500_000_000)):
            clock[0] = 100 + seconds
            shown.advance(amount)
    assert capsys.readouterr().err.splitlines() == [
        "encode: 25% of 4.00GB, 30 s left",
        "encode: 50% of 4.00GB, 20 s left",
    ]


def test_what_was_done_before_does_not_count_as_fast(clock, capsys):
    with Progress("check", 1000, " rows", done=500) as shown:
        clock[0] = 110.0
        shown.advance(100)
    assert capsys.readouterr().err == "check: 60% of 1.00k rows, 40 s left\n"


def test_silence(clock, capsys):
    for _ in Progress("encode", 10, shown=False), Progress("encode", 0):
        clock[0] += 11
        _.advance(0)
    err = capsys.readouterr().err
    assert err == "encode: 0% of 0.00B, 0 s left\n"  # of nothing; and no division by it


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress("encode", 10, done=5) as shown:
        shown.advance(5)
    assert "encode: 100%" in capsys.readouterr().err
    with Progress("check", 10, delay=60) as shown:
        shown.advance(10)
    assert capsys.readouterr().err == ""


def test_lines_on_a_terminal_where_nobody_has_bars(clock, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with bars_by(None), Progress("encode", 20_000) as shown:
        clock[0] = 110.0
        shown.advance(5_000)
    assert capsys.readouterr().err == "encode: 25% of 20.0kB, 30 s left\n"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0.00"), (9.99, "9.99"), (9.996, "10.0"), (99.96, "100"), (999, "999"), (999.6, "1.00k"), (12_345, "12.3k"),
        (4_000_000_000, "4.00G"), (123_456_000_000_000_000, "123456T"),
    ],
)  # fmt: skip
def test_numbers_with_three_digits(number, text):
    assert shortened(number) == text
