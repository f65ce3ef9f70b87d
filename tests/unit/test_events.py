from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.protocols.events import Event, NdjsonReader, SseReader, read_sse


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """`body` in pieces, cut at these places (empty pieces included)."""
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(edges)]


CUTS = st.lists(st.integers(min_value=0, max_value=10_000), max_size=12)
FIELDS = ["data: a", "data:é…🙂", "data", "data:  two", "event: x", "event", ": note", "id: 1", "retry: 5", "odd: y"]
SSE_PIECES = st.lists(st.sampled_from([*FIELDS, "", "", "\ufeff", "\r", "\n", "\r\n"]), max_size=20)


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", [("message", "a")]),
        (b"data:a\r\n\r\ndata: b\r\rdata:  c\n\n", [("message", "a"), ("message", "b"), ("message", " c")]),
        (b"event: x\ndata: 1\ndata: 2\n\ndata: 3\n\n", [("x", "1\n2"), ("message", "3")]),
        (b"data: 1\nevent: late\n\n", [("late", "1")]),
        (b"event: lost\n\ndata: a\n\n", [("message", "a")]),
        (b": ping\n\n:\n\ndata: a\n\n", [("message", "a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a")]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("message", "a")]),
        (b"data\n\ndata:\ndata:\n\n", [("message", ""), ("message", "\n")]),
        (b"id: 1\nretry: 2\nunknown: 3\ndatax: 4\n\n", []),
        (b"data: \xff\n\n", [("message", "\ufffd")]),
        (b"", []),
    ],
)
def test_sse_follows_the_standard(body: bytes, events: list[tuple[str, str]]) -> None:
    assert SseReader().feed(body) == events


@pytest.mark.parametrize(
    ("body", "pending"),
    [
        (b"data: a\n\n", None),
        (b"data: a\n\n: bye", None),
        (b"data: a\n\nevent: x\n", None),
        (b"data: a\n\ndata: b", Event("message", "b")),
        (b"data: a\n\nevent: x\ndata: b\ndata: c\n", Event("x", "b\nc")),
        (b"data: b\nevent: y", Event("y", "b")),
    ],
)
def test_sse_tells_what_was_left_over(body: bytes, pending: Event | None) -> None:
    events, left = read_sse(body)
    assert left == pending
    assert all(event.data == "a" for event in events)


@given(SSE_PIECES, st.sampled_from(["\n", "\r", "\r\n"]), CUTS)
def test_sse_events_do_not_depend_on_the_chunks(lines: list[str], end: str, places: list[int]) -> None:
    body = "".join(line + end for line in lines).encode()
    whole, pending = read_sse(body)
    reader = SseReader()
    assert [event for chunk in cut(body, places) for event in reader.feed(chunk)] == whole
    assert reader.pending == pending


@given(st.lists(st.sampled_from(["data: a\n\n", "event: é\ndata: 🙂\r\n\r\n", "\ufeff", "\r", "x"]), max_size=6))
def test_sse_survives_single_bytes(pieces: list[str]) -> None:
    body = "".join(pieces).encode()
    reader = SseReader()
    events = [event for byte in body for event in reader.feed(bytes([byte]))]
    assert (events, reader.pending) == read_sse(body)


def test_ndjson_gives_lines_and_the_rest() -> None:
    reader = NdjsonReader()
    assert reader.feed(b'{"a":1}\r\n\n  \n{"b"') == [b'{"a":1}']
    assert reader.pending == b'{"b"'
    assert reader.feed(b":2}\n") == [b'{"b":2}']
    assert reader.pending == b""


@given(st.lists(st.sampled_from(['{"é":"\\n"}', "", "1", " [2] ", "\r"]), max_size=10), CUTS)
def test_ndjson_lines_do_not_depend_on_the_chunks(lines: list[str], places: list[int]) -> None:
    body = "\n".join(lines).encode()
    whole, pieces = NdjsonReader(), NdjsonReader()
    assert [line for chunk in cut(body, places) for line in pieces.feed(chunk)] == whole.feed(body)
    assert pieces.pending == whole.pending
