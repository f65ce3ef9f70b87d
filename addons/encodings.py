"""Content encodings (RFC 9110 §8.4) undone with a bound on what may come out."""

from __future__ import annotations

import sys
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class EncodingError(ValueError):
    """A body that is not what its Content-Encoding says, or that grows beyond all bounds."""


_STEP = 1 << 20
"""About so many bytes are decoded at a time: a small piece may stand for a very large one."""


class Decoder(Protocol):
    """Takes encoded pieces, gives decoded ones."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode the next piece, about a mebibyte at a time; raises EncodingError."""

    def end(self) -> None:
        """Raises EncodingError if the encoded body is not complete."""


class _Identity:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def end(self) -> None:
        return None


class _Unpacker(ABC):
    """One library's decompressor, bounded: `limit` is the most bytes that may come out in all."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._fed = False

    @abstractmethod
    def _some(self, data: bytes) -> bytes:
        """Take in `data` and give the next bytes, `_STEP` or so; none when more has to be taken in."""

    @abstractmethod
    def _complete(self) -> bool:
        """Whether the encoded body has come to its end, and nothing follows."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._fed = self._fed or bool(data)
        while True:
            try:
                decoded = self._some(data)
            except (zlib.error, brotli.error, zstd.ZstdError, EOFError) as error:
                raise EncodingError(f"broken content encoding: {error}") from None
            if not decoded:
                return
            self._left -= len(decoded)
            if self._left < 0:
                raise EncodingError("the decoded body is too large")
            yield decoded
            data = b""

    def end(self) -> None:
        if self._fed and not self._complete():
            raise EncodingError("the encoded body is cut")


class _Zlib(_Unpacker):
    """gzip, or zlib; which `deflate` means, but some servers send it bare: with window 0 the first byte tells."""

    def __init__(self, window: int, limit: int) -> None:
        super().__init__(limit)
        self._library: Any = zlib.decompressobj(window) if window else None

    def _some(self, data: bytes) -> bytes:
        if self._library is None:
            if not data:
                return b""
            self._library = zlib.decompressobj(zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS)
        return bytes(self._library.decompress(self._library.unconsumed_tail + data, _STEP))

    def _complete(self) -> bool:
        return bool(self._library.eof and not self._library.unused_data)


class _Brotli(_Unpacker):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._library = brotli.Decompressor()

    def _some(self, data: bytes) -> bytes:
        return bytes(self._library.process(data, output_buffer_limit=_STEP))

    def _complete(self) -> bool:
        return bool(self._library.is_finished())


class _Zstd(_Unpacker):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._library = zstd.ZstdDecompressor()

    def _some(self, data: bytes) -> bytes:
        if self._library.eof and not data:
            return b""
        return self._library.decompress(data, _STEP)

    def _complete(self) -> bool:
        return self._library.eof and not self._library.unused_data


def decoder(encoding: str, limit: int) -> Decoder:
    """A decoder for a Content-Encoding header; `limit` bounds the decoded size in bytes.

    Raises EncodingError for an encoding we do not know, or several at once.
    """
    match encoding.strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return _Zlib(16 + zlib.MAX_WBITS, limit)
        case "deflate":
            return _Zlib(0, limit)
        case "br":
            return _Brotli(limit)
        case "zstd":
            return _Zstd(limit)
        case other:
            raise EncodingError(f"unknown content encoding {other[:40]!r}")


def decode(body: bytes, encoding: str, limit: int) -> bytes:
    """A whole body decoded; raises EncodingError if it is broken, cut or decodes to over `limit` bytes."""
    unpacker = decoder(encoding, limit)
    decoded = b"".join(unpacker.feed(body))
    unpacker.end()
    return decoded
