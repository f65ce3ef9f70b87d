"""An embedding request taken apart: keys that never collide, and tokens that add up."""

from __future__ import annotations

import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.items import Job, item_keys, shares, unique, vectors_of
from addons.protocols.base import Answers, BadReply, Batch
from tests.unit.exchanges import SECRET, made

TOKENS = st.lists(st.integers(0, 10**6), min_size=1, max_size=4)
ITEMS = st.lists(st.text(min_size=1) | TOKENS | st.dictionaries(st.text(), st.text(), min_size=1, max_size=2))


@given(st.integers(0, 10**9), ITEMS)
def test_shares_add_up_exactly(total: int, items: list[Any]) -> None:
    given_out = shares(total, items)
    assert len(given_out) == len(items)
    assert sum(given_out) == (total if items else 0)
    assert all(share >= 0 for share in given_out)


def test_longer_inputs_cost_more_and_unknown_costs_nothing() -> None:
    assert shares(30, ["a" * 10, "b" * 20]) == [10, 20]
    assert shares(None, ["a", "b"]) == shares(0, ["a", "b"]) == [0, 0]


def keys(
    items: list[Any], body: dict[str, Any] | None = None, namespace: str = "", **fields: Any
) -> tuple[str, list[str]]:
    found = made({"model": "m", "input": items, **(body or {})}, protocol="openai_embeddings", **fields)
    assert found.call is not None
    assert isinstance(found.protocol, Batch)
    return item_keys(found, found.call, found.protocol, items, namespace)


@given(st.lists(st.text(max_size=3) | TOKENS | st.lists(st.text(max_size=2), max_size=3), max_size=6))
def test_equal_inputs_and_they_alone_have_equal_keys(items: list[Any]) -> None:
    _, found = keys(items)
    assert len(set(found)) == len({orjson.dumps(item) for item in items})


def test_what_makes_another_space() -> None:
    spaces = [
        keys(["a"])[0],
        keys(["a"], {"model": "other"})[0],
        keys(["a"], {"dimensions": 4})[0],
        keys(["a"], namespace="n")[0],
        keys(["a"], level="content")[0],
    ]
    assert len(set(spaces)) == len(spaces)
    for noise in ({"user": "me"}, {"encoding_format": "base64"}, {"input": "other"}):
        assert keys(["a"], noise) == keys(["a"])
    assert keys(["a"], {"model": "other"}, level="content") == keys(["a"], level="content")


def job(items: list[Any]) -> Job:
    found = made({"model": "m", "input": items}, protocol="openai_embeddings")
    assert found.call is not None
    assert isinstance(found.protocol, Batch)
    return Job(found, found.call, found.protocol, items, *keys(items))


def answers(count: int, tokens: int | None = 10) -> Answers:
    return Answers([struct.pack("<2f", number, 1) for number in range(count)], "m-1", tokens)


def test_what_is_missing_is_named_once_and_what_was_known_is_saved() -> None:
    taken = job(["a", "b", "a", "cc"])
    assert list(taken.missing().values()) == ["a", "b", "cc"]
    known = vectors_of(taken.found, list(taken.missing().items()), answers(3, 8), version=4)
    taken.vectors = {vector.key: vector for vector in known}
    taken.fresh = {known[1].key}
    assert taken.missing() == {}
    assert [vector.tokens for vector in known] == [2, 2, 4]
    assert taken.saved == 2 + 2 + 4


def test_vectors_of_one_reply_have_one_length() -> None:
    taken = job(["a"])
    taken.agree(8)
    taken.agree(8)
    with pytest.raises(BadReply, match="4 dimensions where it sent 8"):
        taken.agree(4)


def test_what_is_stored_of_a_vector() -> None:
    found = made({"model": "asked", "input": []}, protocol="openai_embeddings")
    inputs = [("k0", f"my key {SECRET} " + "x" * 500), ("k1", [1, 2]), ("k0", "again")]
    first, second, third = vectors_of(found, inputs, answers(3), version=7)
    assert (first.model, first.dimensions, first.version, first.host) == ("m-1", 2, 7, "api.openai.com")
    assert first.values == struct.pack("<2f", 0, 1)
    assert SECRET not in first.text
    assert len(first.text) == 200
    assert second.text == "[1, 2]"
    (structured,) = vectors_of(found, [("k", {"parts": [{"text": "ö"}]})], answers(1), version=0)
    assert structured.text == '{"parts": [{"text": "ö"}]}'
    assert first.created == first.last_used > 1e9
    assert unique([first, second, third]) == [third, second]
    (unnamed,) = vectors_of(found, [("k", "x")], Answers([b"\0" * 4], "", None), version=0)
    assert (unnamed.model, unnamed.tokens) == ("asked", 0)
