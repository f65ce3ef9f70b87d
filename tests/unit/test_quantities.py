"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("12h", 43200), ("30d", 2592000), ("1.5h", 5400), (" 2 D ", 172800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1000", 1000), ("500MB", 500_000_000), ("2GiB", 2 << 30), ("1.5kib", 1536), ("3 tb", 3 * 10**12)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "d", "-1s", "1e3", "nan", "inf", "1w", "1h30m", "٣s", "9" * 5000])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "MB", "-1", "2G", "1 2", "0x10", "5MBs"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size such as"):
        parse_size(text)


@given(st.integers(0, 10**15))
def test_a_size_reads_back(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(0, 10**15).map(lambda thousandths: thousandths / 1000))
def test_a_duration_reads_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def test_the_largest_unit_is_shown() -> None:
    assert [format_duration(seconds) for seconds in (0, 10, 90, 600, 86400)] == ["0s", "10s", "90s", "10m", "1d"]
    assert [format_size(size) for size in (7, 64 << 20, 500_000_000)] == ["7", "64MiB", "500MB"]
