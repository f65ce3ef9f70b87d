"""Places of repeats within one run."""

from __future__ import annotations

from addons.runs import Runs

ONE, OTHER = ("local", "a", "plain"), ("local", "a", "sse")


def test_places_count_each_request_for_itself() -> None:
    runs = Runs()
    assert [runs.place(ONE), runs.place(OTHER), runs.place(ONE), runs.place(ONE)] == [0, 0, 1, 2]


def test_a_run_knows_what_it_has_stored() -> None:
    runs = Runs()
    assert not runs.has_stored(ONE)
    runs.stored(ONE)
    assert [runs.has_stored(ONE), runs.has_stored(OTHER), Runs().has_stored(ONE)] == [True, False, False]
