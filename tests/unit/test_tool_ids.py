"""Linked ids become ordinals, and nothing else does."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from addons.protocols import tool_ids

CALLS, RESULTS = ["turns.*.call.id"], ["turns.*.result.of"]


def settle(body: Any) -> Any:
    return tool_ids.settle(body, CALLS, RESULTS)


def conversation(calls: list[str], results: list[str], text: str = "") -> dict[str, Any]:
    turns: list[dict[str, Any]] = [{"call": {"id": name, "name": "add"}} for name in calls]
    turns += [{"result": {"of": name, "value": place}} for place, name in enumerate(results)]
    return {"turns": turns, "text": text}


def test_linked_ids_become_ordinals() -> None:
    settled = settle(conversation(["a1", "b2"], ["b2", "a1"]))
    assert [turn["call"]["id"] for turn in settled["turns"][:2]] == [{"call": 0}, {"call": 1}]
    assert [turn["result"]["of"] for turn in settled["turns"][2:]] == [{"call": 1}, {"call": 0}]


def test_the_same_conversation_with_other_ids_is_the_same() -> None:
    assert settle(conversation(["a", "b"], ["a", "b"])) == settle(conversation(["x", "y"], ["x", "y"]))


def test_results_that_swapped_places_are_not_the_same() -> None:
    assert settle(conversation(["a", "b"], ["a", "b"])) != settle(conversation(["a", "b"], ["b", "a"]))


def test_one_end_changed_is_not_the_same() -> None:
    whole = settle(conversation(["a", "b"], ["a", "b"]))
    for calls, results in ((["a", "c"], ["a", "b"]), (["a", "b"], ["a", "c"]), (["a", "b"], ["a", "a"])):
        assert settle(conversation(calls, results)) != whole


def test_an_id_at_one_end_only_stays() -> None:
    body = conversation(["a"], ["b"])
    assert settle(body) is body


def test_an_id_that_a_text_speaks_of_stays() -> None:
    asked = conversation(["call_1", "call_2"], ["call_1", "call_2"], "What did call_1 return?")
    swapped = conversation(["call_2", "call_1"], ["call_2", "call_1"], "What did call_1 return?")
    assert settle(asked) != settle(swapped)
    assert settle(asked)["turns"][0]["call"]["id"] == "call_1"


def test_an_id_inside_a_longer_word_is_not_spoken_of() -> None:
    assert settle(conversation(["t1"], ["t1"], "at1 t12 t1-x t1_"))["turns"][0]["call"]["id"] == {"call": 0}


def test_ids_that_begin_with_one_another_are_kept_apart() -> None:
    settled = settle(conversation(["c1", "c11"], ["c11", "c1"]))
    assert [turn["call"]["id"] for turn in settled["turns"][:2]] == [{"call": 0}, {"call": 1}]


def test_an_object_for_an_id_cannot_pass_for_an_ordinal() -> None:
    settled = settle(conversation(["a"], ["a"]))
    forged: Any = conversation(["a"], ["a"])
    forged["turns"][0]["call"]["id"] = forged["turns"][1]["result"]["of"] = {"call": 0}
    assert settled == forged
    assert settle(forged) != settled


def test_any_other_shape_is_left_alone() -> None:
    odd = {"turns": [1, {"call": {"id": ["a"]}}, {"result": {"of": ["a"]}}]}
    bodies: list[Any] = [None, [], "a", {"turns": None}, odd]
    for body in bodies:
        assert settle(body) is body


@given(st.lists(st.sampled_from("abcd"), max_size=5), st.lists(st.sampled_from("abcd"), max_size=5))
def test_consistent_renaming_and_nothing_else_gives_the_same(calls: list[str], results: list[str]) -> None:
    body = conversation(calls, results)
    before = copy.deepcopy(body)
    settled = settle(body)
    assert body == before
    linked = set(calls) & set(results)
    renamed = {name: f"new-{name}" for name in linked}
    other = conversation([renamed.get(name, name) for name in calls], [renamed.get(name, name) for name in results])
    assert settle(other) == settled
    for place in range(len(results)):
        changed = conversation(calls, [*results[:place], "other", *results[place + 1 :]])
        assert settle(changed) != settled
