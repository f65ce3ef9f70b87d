"""The binary event stream is read the same however it is cut, and damage never goes unnoticed."""

from __future__ import annotations

import itertools
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addons.protocols.aws_events import BrokenFrame, Frame, FrameReader
from tests.samples.event_stream import event, frame, raw_frame

STREAM = event("messageStart", {"role": "assistant"}) + frame(b"") + event("messageStop", {"stopReason": "end_turn"})


def read(*pieces: bytes) -> list[Frame]:
    reader = FrameReader()
    frames = [found for piece in pieces for found in reader.feed(piece)]
    assert reader.pending == 0
    return frames


def test_headers_and_payload() -> None:
    first, empty, last = read(STREAM)
    assert first.headers == {
        ":event-type": "messageStart",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert first.payload == b'{"role": "assistant"}'
    assert empty == Frame({}, b"")
    assert last.headers[":event-type"] == "messageStop"


def test_every_type_of_header() -> None:
    headers = b"\x01a\x00" + b"\x01b\x01" + b"\x01c\x02\xff" + b"\x01d\x03\xff\xfe" + b"\x01e\x04\x00\x00\x00\x07"
    headers += b"\x01f\x05" + struct.pack(">q", -5) + b"\x01g\x06\x00\x02xy" + b"\x01h\x07\x00\x02\xc3\xa4"
    headers += b"\x01i\x08" + struct.pack(">q", 1_700_000_000_000) + b"\x01j\x09" + bytes(range(16))
    (found,) = read(raw_frame(headers, b""))
    assert found.headers == {
        **{"a": True, "b": False, "c": -1, "d": -2, "e": 7, "f": -5, "g": b"xy", "h": "ä"},
        **{"i": 1_700_000_000_000, "j": bytes(range(16))},
    }


@given(st.lists(st.integers(0, len(STREAM))))
def test_any_chunking_gives_the_same_frames(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read(*[STREAM[start:end] for start, end in itertools.pairwise(edges)]) == read(STREAM)


def test_a_cut_stream_has_something_pending() -> None:
    whole = [len(event("messageStart", {"role": "assistant"}))]
    whole += [whole[0] + len(frame(b"")), len(STREAM), 0]
    for place in range(len(STREAM)):
        reader = FrameReader()
        reader.feed(STREAM[:place])
        assert (reader.pending == 0) == (place in whole)


def test_any_flipped_bit_is_noticed() -> None:
    for place in range(len(STREAM)):
        for bit in (1, 0x80):
            damaged = bytearray(STREAM)
            damaged[place] ^= bit
            with pytest.raises(BrokenFrame):
                FrameReader().feed(bytes(damaged))


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05ab",  # a name longer than what is there
        b"\x01a",  # no type
        b"\x01a\x0a",  # an unknown type
        b"\x01a\x07\x00\x09xy",  # a string longer than what is there
        b"\x01a\x04\x00",  # half a number
        b"\x01a\x07\x00\x01\xff",  # no UTF-8
        b"\x01a\x00\x01a\x00",  # twice the same name
    ],
)
def test_unreadable_headers_are_refused(headers: bytes) -> None:
    with pytest.raises(BrokenFrame):
        FrameReader().feed(raw_frame(headers, b""))


def test_impossible_lengths_are_refused_at_once() -> None:
    for size, headers in ((15, 0), (20, 10), (2**31, 0)):
        prelude = struct.pack(">II", size, headers)
        with pytest.raises(BrokenFrame):
            FrameReader().feed(prelude + struct.pack(">I", zlib.crc32(prelude)))
