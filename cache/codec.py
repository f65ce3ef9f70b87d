"""Entries to rows and back: blobs are checksummed and, where it pays, compressed."""

from __future__ import annotations

import json
import struct
import sys
import time
import zlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import orjson

from cache.entry import Chunk, Reply, Usage, Vector
from cache.store import StoreError, Tally

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RAW = 0
ZSTD = 1
COMPRESS_FROM = 2048
"""Bytes from which compression is tried: a smaller row fits its page anyway and is read faster raw."""

LABEL_LENGTH = 200
"""Characters kept of a name: names stand in indices, whose rows Postgres limits to about 2,700 bytes."""

_LARGEST = 2**63 - 1
_prefix = struct.Struct("<BI")


def pack(data: bytes) -> bytes:
    """A blob: one byte saying how it is coded, a CRC-32 of the rest (4 bytes, little-endian), the rest.

    The rest is `data` itself (0) or a Zstandard frame of it (1, RFC 8878) when that saves a tenth.
    The CRC starts from that byte, so that it covers it as well.
    """
    coding, payload = RAW, data
    if len(data) >= COMPRESS_FROM:
        frame = zstd.compress(data, level=3)
        if len(frame) * 10 <= len(data) * 9:
            coding, payload = ZSTD, frame
    return _prefix.pack(coding, zlib.crc32(payload, coding)) + payload


def unpack(blob: bytes) -> bytes:
    """What `pack` was given; raises ValueError for a blob that was altered."""
    try:
        coding, checksum = _prefix.unpack_from(blob)
        payload = bytes(memoryview(blob)[_prefix.size :])
    except (struct.error, TypeError) as error:
        raise ValueError(f"not a blob: {error}") from None
    if zlib.crc32(payload, coding) != checksum:
        raise ValueError("the checksum differs")
    if coding == RAW:
        return payload
    if coding != ZSTD:
        raise ValueError(f"unknown coding {coding}")
    try:
        return zstd.decompress(payload)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from None


def pack_chunks(chunks: Sequence[Chunk]) -> bytes:
    """All offsets, each as the difference from the one before, then all lengths, as one packed array.

    A leading `I` or `q` tells the array's item: 32 bits unsigned, or 64 bits signed where that is too narrow.
    """
    if not chunks:
        return pack(b"")
    before = 0
    steps = []
    for chunk in chunks:
        steps.append(chunk.offset - before)
        before = chunk.offset
    numbers = [*steps, *(chunk.length for chunk in chunks)]
    item = "I" if min(numbers) >= 0 and max(numbers) < 2**32 else "q"
    return pack(item.encode() + struct.pack(f"<{len(numbers)}{item}", *numbers))


def unpack_chunks(blob: bytes, length: int) -> tuple[Chunk, ...]:
    """The chunks of a body of `length` bytes; raises ValueError if they do not add up to it."""
    data = unpack(blob)
    if not data:
        return ()
    item = data[:1].decode("ascii", "replace")
    if item not in ("I", "q") or (len(data) - 1) % (2 * struct.calcsize(f"<{item}")):
        raise ValueError("not a list of chunks")
    numbers = struct.unpack_from(f"<{(len(data) - 1) // struct.calcsize(f'<{item}')}{item}", data, 1)
    half = len(numbers) // 2
    if sum(numbers[half:]) != length:
        raise ValueError("the chunks do not add up to the body")
    return tuple(map(Chunk, accumulate(numbers[:half]), numbers[half:]))


def label(text: str) -> str:
    """A name as both databases can hold it: at most 200 characters, no NUL, no lone surrogates."""
    return storable(text[:LABEL_LENGTH])


def storable(text: str) -> str:
    """`text` with U+FFFD for what a database refuses: NUL and lone surrogates."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _whole(number: int) -> int:
    return min(max(number, -_LARGEST), _LARGEST)


def _known(number: int | None) -> int | None:
    return None if number is None else _whole(number)


def _pack_headers(headers: Sequence[tuple[str, str]]) -> bytes:
    try:
        return pack(orjson.dumps(headers))
    except orjson.JSONEncodeError:  # bytes that were no UTF-8 reach us as lone surrogates
        return pack(json.dumps(headers).encode("ascii"))


def _unpack_headers(blob: bytes) -> tuple[tuple[str, str], ...]:
    text = unpack(blob)
    try:
        pairs = orjson.loads(text)
    except orjson.JSONDecodeError:
        pairs = json.loads(text)
    return tuple([(name, value) for name, value in pairs])


def reply_row(reply: Reply) -> dict[str, Any]:
    """The row of a reply by column name. A `created` of 0 means now; it was last used no earlier."""
    request, headers, body = pack(reply.request), _pack_headers(reply.headers), pack(reply.body)
    chunks = pack_chunks(reply.chunks)
    created = reply.created or time.time()
    return {
        "tenant": reply.tenant,
        "key": reply.key,
        "form": reply.form,
        "ordinal": reply.ordinal,
        "provider": label(reply.provider),
        "protocol": label(reply.protocol),
        "host": label(reply.host),
        "operation": label(reply.operation),
        "model": label(reply.model),
        "request": request,
        "status": reply.status,
        "headers": headers,
        "body": body,
        "chunks": chunks,
        "ending": label(reply.ending),
        "input_tokens": _known(reply.usage.input_tokens),
        "output_tokens": _known(reply.usage.output_tokens),
        "cached_tokens": _known(reply.usage.cached_tokens),
        "reasoning_tokens": _known(reply.usage.reasoning_tokens),
        "upstream_ms": _whole(reply.upstream_ms),
        "version": reply.version,
        "created": created,
        "hits": reply.hits,
        "last_used": max(created, reply.last_used),
        "size": len(request) + len(headers) + len(body) + len(chunks),
    }


def reply_from(row: Sequence[Any]) -> Reply:
    """The reply of a row in the order of the table's columns; raises StoreError, naming the key, for a damaged one."""
    try:
        body = unpack(row[12])
        return Reply(
            tenant=row[0],
            key=row[1],
            form=row[2],
            provider=row[4],
            protocol=row[5],
            host=row[6],
            operation=row[7],
            model=row[8],
            request=unpack(row[9]),
            status=row[10],
            headers=_unpack_headers(row[11]),
            body=body,
            ordinal=row[3],
            chunks=unpack_chunks(row[13], len(body)),
            ending=row[14],
            usage=Usage(row[15], row[16], row[17], row[18]),
            upstream_ms=row[19],
            version=row[20],
            created=row[21],
            hits=row[22],
            last_used=row[23],
        )
    except (ValueError, TypeError) as error:
        raise StoreError(f"the stored reply {row[1]} is damaged ({error}): remove it and ask again") from None


def vector_row(vector: Vector) -> dict[str, Any]:
    """The row of a vector by column name. A `created` of 0 means now; it was last used no earlier."""
    created = vector.created or time.time()
    return {
        "tenant": vector.tenant,
        "key": vector.key,
        "provider": label(vector.provider),
        "host": label(vector.host),
        "model": label(vector.model),
        "dimensions": vector.dimensions,
        "values": _prefix.pack(RAW, zlib.crc32(vector.values, RAW)) + vector.values,
        "text": storable(vector.text),
        "tokens": _whole(vector.tokens),
        "version": vector.version,
        "created": created,
        "hits": vector.hits,
        "last_used": max(created, vector.last_used),
        "size": len(vector.values) + _prefix.size,
    }


def vector_from(row: Sequence[Any]) -> Vector:
    """The vector of a row in the order of the table's columns; raises StoreError, naming the key, for a damaged one."""
    try:
        values = unpack(row[6])
        if len(values) != 4 * row[5]:
            raise ValueError(f"{len(values)} bytes for {row[5]} dimensions")
        tenant, key, provider, host, model, dimensions = row[:6]
        return Vector(tenant, key, provider, host, model, dimensions, values, *row[7:13])
    except (ValueError, TypeError) as error:
        raise StoreError(f"the stored vector {row[1]} is damaged ({error}): remove it and ask again") from None


def tally_row(tally: Tally) -> dict[str, Any]:
    """The row of a line of the books by column name."""
    return {
        "day": tally.day,
        "tenant": tally.tenant,
        "provider": label(tally.provider),
        "model": label(tally.model),
        "outcome": label(tally.outcome),
        "note": label(tally.note),
        "count": tally.count,
        "input_tokens": _whole(tally.input_tokens),
        "output_tokens": _whole(tally.output_tokens),
        "saved_input_tokens": _whole(tally.saved_input_tokens),
        "saved_output_tokens": _whole(tally.saved_output_tokens),
        "saved_ms": _whole(tally.saved_ms),
    }
