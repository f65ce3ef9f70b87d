"""What a client's Cache-Control is taken to mean."""

from __future__ import annotations

import pytest

from addons.directives import Directives, parse


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Directives()),
        ("no-cache", Directives(no_cache=True)),
        ("NO-STORE", Directives(no_store=True)),
        ("only-if-cached , max-age=60", Directives(only_if_cached=True, max_age=60)),
        ("no-cache,no-store,only-if-cached", Directives(True, True, True)),
        ('max-age="30"', Directives(max_age=30)),
        ("max-age=0", Directives(max_age=0)),
        ("private, max-stale=5, no-transform", Directives()),
        (",, ,=,=5", Directives()),
    ],
)
def test_directives(header: str, expected: Directives) -> None:
    assert parse(header) == expected


@pytest.mark.parametrize("value", ["", "-1", "+5", "1.5", "x", "1e3", "٣", "9" * 16, "9" * 5000, " ", "0x10"])
def test_an_age_that_is_no_number_accepts_nothing_stored(value: str) -> None:
    assert parse(f"max-age={value}").max_age == 0


def test_the_last_of_several_ages_counts() -> None:
    assert parse("max-age=60, max-age=5").max_age == 5
