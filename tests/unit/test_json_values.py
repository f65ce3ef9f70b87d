"""JSON is read leniently where providers are lenient, and never half."""

from __future__ import annotations

import numpy as np
import pytest

from addons.protocols import json_values


def test_reads_what_only_the_standard_library_reads() -> None:
    assert json_values.parse(b'{"text":"\\ud83d"}') == {"text": "\ud83d"}


@pytest.mark.parametrize("text", [b"", b'{"a":1', b"<html>", b'{"a":1}x', b"\xff", b"[" * 100_000])
def test_refuses_what_is_no_whole_value(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        json_values.parse(text)


def test_sse_values_take_a_last_event_without_its_blank_line_only_if_it_is_whole() -> None:
    assert list(json_values.sse_values(b'data: {"a":1}\n\ndata: {"b":2}')) == [{"a": 1}, {"b": 2}]
    with pytest.raises(ValueError):  # noqa: PT011
        list(json_values.sse_values(b'data: {"a":1}\n\ndata: {"b":'))


def test_ndjson_values_take_a_last_line_without_its_end() -> None:
    assert list(json_values.ndjson_values(b'{"a":1}\r\n\n{"b":2}')) == [{"a": 1}, {"b": 2}]


def test_dump_writes_float32_in_shortest_decimals() -> None:
    vector = np.array([0.1, -0.00069758215, 1e-7], dtype="<f4")
    assert json_values.dump({"v": vector}) == b'{"v":[0.1,-0.00069758215,1e-7]}'
    assert json_values.dump({"v": vector, "n": 2**70}) == b'{"v":[0.1,-0.00069758215,1e-07],"n":1180591620717411303424}'


@pytest.mark.parametrize(
    ("value", "read"), [(3, 3), (2.0, 2), (True, None), (-1, None), ("3", None), (float("nan"), None), (None, None)]
)
def test_count(value: object, read: int | None) -> None:
    assert json_values.count(value) == read
