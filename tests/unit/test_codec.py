"""Blobs, chunks and names survive, and damage does not."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.codec import COMPRESS_FROM, label, pack, pack_chunks, storable, unpack, unpack_chunks
from cache.entry import Chunk


@given(st.binary(max_size=200), st.integers(1, 200))
def test_any_bytes_come_back(data: bytes, times: int) -> None:
    assert unpack(pack(data * times)) == data * times


def test_compression_is_used_where_it_pays() -> None:
    assert len(pack(b"data: {}\n\n" * 10_000)) < 1000
    noise = os.urandom(COMPRESS_FROM * 4)
    assert len(pack(noise)) == len(noise) + 5
    assert len(pack(b"a" * (COMPRESS_FROM - 1))) == COMPRESS_FROM + 4


@given(st.binary(max_size=60), st.booleans(), st.data())
def test_no_single_altered_or_missing_byte_goes_unnoticed(data: bytes, long: bool, draw: st.DataObject) -> None:
    blob = bytearray(pack(data * 200 if long else data))
    place = draw.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= draw.draw(st.integers(1, 255))
    try:
        assert unpack(bytes(blob)) == (data * 200 if long else data)
    except ValueError:
        return
    pytest.fail("the altered blob was taken for a good one")


@pytest.mark.parametrize("blob", [b"", b"\0", b"\0\0\0\0", b"\1\0\0\0\0", b"\2\0\0\0\0"])
def test_what_is_no_blob_is_refused(blob: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(blob)


@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 2**33)), max_size=50))
def test_chunks_come_back_whatever_their_times(pairs: list[tuple[int, int]]) -> None:
    chunks = tuple(Chunk(offset, length) for offset, length in pairs)
    assert unpack_chunks(pack_chunks(chunks), sum(chunk.length for chunk in chunks)) == chunks


def test_chunks_are_small() -> None:
    assert len(pack_chunks([Chunk(1000 * number, 100) for number in range(1000)])) < 200


def test_chunks_that_do_not_add_up_to_the_body_are_refused() -> None:
    with pytest.raises(ValueError, match="add up"):
        unpack_chunks(pack_chunks([Chunk(0, 5), Chunk(1, 6)]), 12)


@given(st.text(st.characters(codec=None, categories=["Cs", "Lu", "Cc", "So"])))
def test_stored_text_is_utf8_without_nul(text: str) -> None:
    stored = storable(text)
    assert "\0" not in stored
    stored.encode()
    assert len(label(text * 300)) <= 200


def test_ordinary_text_is_stored_as_it_is() -> None:
    assert storable("gpt-5 · größer 😀") == "gpt-5 · größer 😀"
    assert label("m" * 200) == "m" * 200
