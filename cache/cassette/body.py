"""How the bytes of a reply stand in a cassette: readable where that is exact, base64 where nothing else is.

A body is a mapping with one of these members, tried in this order: `sse` or `ndjson`, the pieces of a
stream; `json`, a value with the `layout` that gives back the same text (left out if compact) and the
white space `before` and `after` it; `text`, UTF-8 as it is; `base64`. Chunks that do not begin and end
with the pieces of a stream are listed beside as `chunks`, `offset+length` in microseconds and bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any

from cache.cassette.json_layout import COMPACT, find_layout, parse, render
from cache.cassette.stream import read_layout, read_stream, stream_entry
from cache.cassette.yaml_text import BrokenCassette, Mapping, is_representable
from cache.entry import Chunk

KINDS = ("sse", "ndjson", "json", "text", "base64")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_CHUNKS_PER_LINE = 8
_BASE64_LINE = 76


def encode_body(body: bytes, chunks: Sequence[Chunk], *, structured: bool = True) -> dict[str, Any]:
    """The mapping for a body and its chunks; without `structured` only `text` or `base64` is used."""
    entry = _text_entry(body, chunks, structured)
    if entry is None:
        encoded = base64.b64encode(body).decode("ascii")
        rows = [encoded[start : start + _BASE64_LINE] for start in range(0, len(encoded), _BASE64_LINE)]
        entry = {"base64": "".join(f"{row}\n" for row in rows)}
    if chunks and not any("at" in piece for piece in entry.get("sse", entry.get("ndjson", ()))):
        words = [f"{chunk.offset}+{chunk.length}" for chunk in chunks]
        rows = [" ".join(words[start : start + _CHUNKS_PER_LINE]) for start in range(0, len(words), _CHUNKS_PER_LINE)]
        entry = {"chunks": "".join(f"{row}\n" for row in rows), **entry}
    return entry


def _text_entry(body: bytes, chunks: Sequence[Chunk], structured: bool) -> dict[str, Any] | None:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    entry = (stream_entry(text, chunks) or json_entry(text)) if structured else None
    if entry is None and not _CONTROL.search(text):
        return {"text": text}
    return entry


def decode_body(entry: Mapping) -> tuple[bytes, tuple[Chunk, ...]]:
    """Body and chunks again. Raises BrokenCassette naming the line."""
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1:
        raise BrokenCassette(entry.line, f"a body needs exactly one of {', '.join(KINDS)}")
    chunks: tuple[Chunk, ...] = ()
    if kinds[0] in ("sse", "ndjson"):
        body, chunks = read_stream(entry, kinds[0])
    elif kinds[0] == "json":
        body = json_text(entry).encode("utf-8")
    elif kinds[0] == "text":
        body = entry.of(str, "text").encode("utf-8")
    else:
        body = read_base64(entry, "base64")
    if "chunks" in entry:
        chunks = _read_chunks(entry)
    total = sum(chunk.length for chunk in chunks)
    if chunks and total != len(body):
        raise entry.broken("chunks", f"the chunks add up to {total} bytes and the body has {len(body)}")
    return body, chunks


def read_base64(entry: Mapping, name: str) -> bytes:
    """A member in base64, white space allowed. Raises BrokenCassette."""
    try:
        return base64.b64decode(re.sub(r"\s", "", entry.of(str, name)), validate=True)
    except (binascii.Error, ValueError):
        raise entry.broken(name, f"{name!r} is not base64") from None


def json_entry(text: str) -> dict[str, Any] | None:
    """The members `layout`, `before`, `after` and `json` that give back exactly this text, or None."""
    stripped = text.strip(" \t\r\n")
    try:
        value = parse(stripped)
    except ValueError:
        return None
    layout = find_layout(value, stripped)
    if layout is None or not is_representable(value):
        return None
    start = text.index(stripped)
    framing = {"before": text[:start], "after": text[start + len(stripped) :]}
    named = {} if layout == COMPACT else {"layout": str(layout)}
    return {**named, **{name: space for name, space in framing.items() if space}, "json": value}


def json_text(entry: Mapping) -> str:
    """The JSON text that `json_entry` took apart. Raises BrokenCassette."""
    return f"{entry.of(str, 'before', '')}{render(entry['json'], read_layout(entry))}{entry.of(str, 'after', '')}"


def _read_chunks(entry: Mapping) -> tuple[Chunk, ...]:
    chunks = []
    for word in entry.of(str, "chunks").split():
        match = re.fullmatch(r"(-?[0-9]{1,18})\+([0-9]{1,18})", word)
        if not match:
            raise entry.broken("chunks", f"{word[:40]!r} is not offset+length")
        chunks.append(Chunk(int(match[1]), int(match[2])))
    return tuple(chunks)
