from __future__ import annotations

from cache.uses import Uses
from tests.unit.exchanges import KEY, reply


def test_uses_add_up() -> None:
    uses = Uses()
    assert not uses
    for _ in range(3):
        uses.reply(reply())
    uses.reply(reply(ordinal=1))
    uses.keys("local", ["a", "b"])
    uses.keys("local", ["b"])
    assert uses
    assert {place: count for place, (count, _) in uses.replies.items()} == {
        ("local", KEY, "plain", 0): 3,
        ("local", KEY, "plain", 1): 1,
    }
    assert uses.vector_groups() == {("local", 1): ["a"], ("local", 2): ["b"]}


def test_what_could_not_be_written_is_taken_back() -> None:
    earlier, later = Uses(), Uses()
    for uses in (earlier, later):
        uses.reply(reply())
        uses.keys("local", {"a": 7})
    later.keys("other", ["a"])
    last = later.replies["local", KEY, "plain", 0][1]
    later.merge(earlier)
    assert later.replies == {("local", KEY, "plain", 0): (2, last)}
    assert later.vector_groups() == {("local", 2): ["a"], ("other", 1): ["a"]}
    assert later.vectors_at >= earlier.vectors_at
