"""Content encodings undone, and only as far as is reasonable."""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest

from addons.encodings import EncodingError, decode, decoder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

TEXT = b"What is the answer? " * 500 + os.urandom(500)


def _bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "identity": ("", bytes),
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip ", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "bare deflate": ("deflate", _bare),
    "brotli": ("br", brotli.compress),
    "zstd": ("zstd", zstd.compress),
}
BOUNDED = [name for name in CODINGS if name != "identity"]


@pytest.mark.parametrize("name", CODINGS)
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_any_cutting_gives_the_same(name: str, size: int) -> None:
    encoding, encode = CODINGS[name]
    unpacker, data = decoder(encoding, len(TEXT)), encode(TEXT)
    pieces = [piece for at in range(0, len(data), size) for piece in unpacker.feed(data[at : at + size])]
    assert b"".join(pieces) == TEXT
    unpacker.end()


@pytest.mark.parametrize("name", CODINGS)
def test_nothing_is_whole(name: str) -> None:
    assert decode(b"", CODINGS[name][0], 10) == b""
    assert decode(CODINGS[name][1](b""), CODINGS[name][0], 10) == b""


@pytest.mark.parametrize("name", BOUNDED)
def test_the_limit_is_exact(name: str) -> None:
    encoding, encode = CODINGS[name]
    assert decode(encode(TEXT), encoding, len(TEXT)) == TEXT
    with pytest.raises(EncodingError, match="too large"):
        decode(encode(TEXT), encoding, len(TEXT) - 1)


@pytest.mark.parametrize("name", BOUNDED)
def test_a_bomb_is_unpacked_piece_by_piece_and_to_the_limit_only(name: str) -> None:
    encoding, encode = CODINGS[name]
    limit = 8 << 20
    sizes: list[int] = []

    def unpack() -> None:
        for piece in decoder(encoding, limit).feed(encode(b"\0" * (32 << 20))):
            sizes.append(len(piece))

    with pytest.raises(EncodingError, match="too large"):
        unpack()
    assert max(sizes) <= 4 << 20  # brotli gives whole blocks
    assert sum(sizes) <= limit


@pytest.mark.parametrize("name", BOUNDED)
def test_a_cut_body_is_told(name: str) -> None:
    encoding, encode = CODINGS[name]
    data = encode(TEXT)
    for end in (1, len(data) // 2, len(data) - 1):
        with pytest.raises(EncodingError):
            decode(data[:end], encoding, 1 << 20)


@pytest.mark.parametrize("name", BOUNDED)
def test_a_body_of_another_kind_is_told(name: str) -> None:
    with pytest.raises(EncodingError):
        decode(b'{"model": "m", "messages": []}', CODINGS[name][0], 1 << 20)


@pytest.mark.parametrize("name", BOUNDED)
def test_more_behind_the_end_is_told(name: str) -> None:
    """Another reader might take it for a part of the body."""
    encoding, encode = CODINGS[name]
    with pytest.raises(EncodingError):
        decode(encode(TEXT) + b"{}", encoding, 1 << 20)


@pytest.mark.parametrize("encoding", ["rot13", "gzip, gzip", "gzip,br", "gzip;q=1", "compress", "x" * 500, "*"])
def test_an_unknown_encoding_is_told_shortly(encoding: str) -> None:
    with pytest.raises(EncodingError, match="unknown content encoding") as told:
        decode(b"{}", encoding, 10)
    assert len(str(told.value)) < 80
