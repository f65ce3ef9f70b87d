"""Who has to go."""

from __future__ import annotations

import pytest

from cache.retention import Victim, surplus
from cache.store import Limits

OLDEST_FIRST = [Victim(key, "plain", 0, size, "local") for key, size in (("a", 10), ("b", 1), ("c", 100))]


@pytest.mark.parametrize(
    ("limits", "gone"),
    [
        (Limits(), ""),
        (Limits(max_entries=3, max_bytes=111), ""),
        (Limits(max_entries=2), "a"),
        (Limits(max_entries=0), "abc"),
        (Limits(max_bytes=110), "a"),
        (Limits(max_bytes=101), "a"),
        (Limits(max_bytes=100), "ab"),
        (Limits(max_bytes=0), "abc"),
        (Limits(max_entries=1, max_bytes=111), "ab"),
        (Limits(max_entries=3, max_bytes=99), "abc"),
    ],
)
def test_the_oldest_go_until_both_limits_hold(limits: Limits, gone: str) -> None:
    assert [victim.key for victim in surplus(OLDEST_FIRST, limits, 3, 111)] == list(gone)
