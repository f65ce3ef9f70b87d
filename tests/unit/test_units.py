"""Sizes and durations as people read them."""

from __future__ import annotations

import pytest

from addons.cli.units import age, size, waiting


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1300, "1.3 kB"), (2e6, "2.0 MB"), (3e12, "3000.0 GB")]
)
def test_size(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(-1, "0 s"), (59, "59 s"), (300, "5 min"), (7200, "2 h"), (3e5, "3 d")])
def test_age(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0 ms"), (999, "999 ms"), (4200, "4.2 s"), (720_000, "12 min"), (11_160_000, "3.1 h")],
)
def test_waiting(milliseconds: float, text: str) -> None:
    assert waiting(milliseconds) == text
