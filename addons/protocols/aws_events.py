"""The binary event stream of AWS services, `application/vnd.amazon.eventstream`.

A frame is: total length and headers length (4 bytes each, big-endian), CRC-32 of these 8 bytes,
the headers, the payload, CRC-32 of everything before it. A header is: name length (1 byte), name,
value type (1 byte), value. Sources: the Amazon Transcribe developer guide, "Event stream encoding",
and https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_SMALLEST = _PRELUDE.size + _CRC.size
_LARGEST = 32 * 1024 * 1024
"""Above any frame AWS sends (24 MiB of payload, 128 KiB of headers): garbage is refused, not waited for."""

# Value types by number: those of a fixed size with their layout (8 is milliseconds since 1970, 9 a UUID).
_FIXED = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
    9: struct.Struct(">16s"),
}
_TRUE, _FALSE, _BYTES, _STRING = 0, 1, 6, 7


class BrokenFrame(ValueError):
    """The bytes are no event stream, or were damaged on the way."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: headers as Python values (`:event-type`, `:message-type`, …) and the payload."""

    headers: dict[str, Any]
    payload: bytes


class FrameReader:
    """Takes an event stream in pieces of any size and gives its frames as they become whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet; not 0 at the end of a stream means it was cut."""
        return len(self._buffer)

    def feed(self, piece: bytes) -> list[Frame]:
        """The frames that `piece` completes. Raises BrokenFrame; the reader is of no use afterwards."""
        self._buffer += piece
        frames: list[Frame] = []
        start = 0
        while (size := self._next_size(start)) and start + size <= len(self._buffer):
            frames.append(_frame(bytes(self._buffer[start : start + size])))
            start += size
        del self._buffer[:start]
        return frames

    def _next_size(self, start: int) -> int:
        """The length of the frame at `start`, 0 as long as its prelude is not there."""
        if len(self._buffer) - start < _PRELUDE.size:
            return 0
        size, headers_size, crc = _PRELUDE.unpack_from(self._buffer, start)
        if zlib.crc32(self._buffer[start : start + 8]) != crc:
            raise BrokenFrame("the checksum of a frame's prelude is wrong")
        if not _SMALLEST + headers_size <= size <= _LARGEST:
            raise BrokenFrame(f"a frame of {size} bytes cannot hold {headers_size} bytes of headers")
        return int(size)


def _frame(raw: bytes) -> Frame:
    (crc,) = _CRC.unpack_from(raw, len(raw) - _CRC.size)
    if zlib.crc32(raw[: -_CRC.size]) != crc:
        raise BrokenFrame("the checksum of a frame is wrong")
    _, headers_size, _ = _PRELUDE.unpack_from(raw)
    headers_end = _PRELUDE.size + headers_size
    return Frame(_headers(raw[_PRELUDE.size : headers_end]), raw[headers_end : -_CRC.size])


def _headers(raw: bytes) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    position = 0
    try:
        while position < len(raw):
            name_end = position + 1 + raw[position]
            name = raw[position + 1 : name_end].decode("utf-8")
            if name in headers:
                raise BrokenFrame(f"the header {name[:40]} stands twice in a frame")
            headers[name], position = _value(raw, name_end)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise BrokenFrame("the headers of a frame are not readable") from None
    return headers


def _value(raw: bytes, position: int) -> tuple[Any, int]:
    """The header value whose type stands at `position`, and where the next header starts."""
    kind, position = raw[position], position + 1
    if kind in (_TRUE, _FALSE):
        return kind == _TRUE, position
    if layout := _FIXED.get(kind):
        return layout.unpack_from(raw, position)[0], position + layout.size
    if kind not in (_BYTES, _STRING):
        raise BrokenFrame(f"a frame has a header of the unknown type {kind}")
    (length,) = _LENGTH.unpack_from(raw, position)
    start, end = position + _LENGTH.size, position + _LENGTH.size + length
    if end > len(raw):
        raise BrokenFrame("a frame's header is longer than the headers")
    value = raw[start:end]
    return (value.decode("utf-8") if kind == _STRING else value), end
