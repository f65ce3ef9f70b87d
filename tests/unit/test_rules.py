"""When a stored entry is too old, in the words of RFC 9211."""

from __future__ import annotations

import time
from typing import Any

import pytest

from addons.rules import stale
from tests.unit.exchanges import directives, rules


@pytest.mark.parametrize(
    ("age", "version", "said", "settings", "why"),
    [
        (1e9, 0, {}, {}, ""),
        (0, 0, {"no_cache": True}, {}, "request"),
        (0, 0, {"max_age": 0}, {}, "request"),
        (5, 0, {"max_age": 60}, {}, ""),
        (65, 0, {"max_age": 60}, {}, "request"),
        (5, 0, {}, {"max_age": 60.0}, ""),
        (65, 0, {}, {"max_age": 60.0}, "stale"),
        (65, 0, {"max_age": 3600}, {"max_age": 60.0}, "stale"),
        (0, 1, {}, {"refresh_below": 2}, "stale"),
        (0, 2, {}, {"refresh_below": 2}, ""),
        (0, 1, {"no_cache": True}, {"refresh_below": 2}, "request"),
        (0, 0, {"no_store": True, "only_if_cached": True}, {}, ""),
    ],
)
def test_stale(age: float, version: int, said: dict[str, Any], settings: dict[str, Any], why: str) -> None:
    assert stale(time.time() - age, version, directives(**said), rules(**settings)) == why
