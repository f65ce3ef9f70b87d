"""Vectors are packed exactly or refused."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.protocols import json_values, vectors
from addons.protocols.base import BadReply


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_a_vector_survives_the_way_through_json(values: list[float]) -> None:
    packed = vectors.pack(values)
    assert packed == struct.pack(f"<{len(values)}f", *values)
    assert vectors.pack(json_values.parse(json_values.dump(vectors.unpack(packed)))) == packed


@pytest.mark.parametrize(
    "values", [[], None, "ab", [1, "2"], [True], [None], [float("nan")], [float("inf")], [1e39], [10**400], [[1.0]]]
)
def test_what_is_no_vector_is_refused(values: object) -> None:
    with pytest.raises(BadReply):
        vectors.pack(values)


def test_as_many_as_asked_for_and_all_of_one_length() -> None:
    assert len(vectors.pack_all([[1, 2], [3.5, 4]], 2)) == 2
    for rows, count in (([[1.0]], 2), ([[1.0], [2.0]], 1), ([[1.0], [1.0, 2.0]], 2), (None, 0), ({"0": [1.0]}, 1)):
        with pytest.raises(BadReply):
            vectors.pack_all(rows, count)
