"""How a streamed body stands in a cassette: its events or lines, each exact or kept as raw text.

`sse` lists the events of a `text/event-stream`, `ndjson` the lines of newline-delimited JSON. A piece
has its members in the order of the wire: `event`, `id`, `retry`, `comment`, and `data` as a string or
`json` as a value; `raw` is the exact text of a piece that cannot be put so. `at` is the microsecond
a chunk came, standing on the first piece of that chunk. Beside the list stand, where they are not
the usual ones, the `layout` of the JSON, `line_end: crlf`, and `space: false` where no space follows
the colons. Format of events: HTML standard, section 9.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cache.cassette.json_layout import COMPACT, Layout, common_layout, is_exact, layout_named, parse, render
from cache.cassette.yaml_text import BrokenCassette, Mapping, OneLine, is_representable
from cache.entry import Chunk

_FIELDS = ("event", "data", "id", "retry")
_MEMBERS = frozenset((*_FIELDS, "comment", "json", "raw", "at"))
_SSE_START = re.compile(r"(?:data|event|id|retry)?:")
_LINE_ENDS = {"lf": "\n", "crlf": "\r\n"}


@dataclass(frozen=True, slots=True)
class _Framing:
    """What all pieces of one stream have in common."""

    kind: str
    layout: Layout
    line_end: str
    space: bool

    @property
    def end(self) -> str:
        """What closes a piece."""
        return self.line_end * 2 if self.kind == "sse" else self.line_end

    def render(self, piece: dict[str, Any]) -> str:
        if "raw" in piece:
            return str(piece["raw"])
        if self.kind == "ndjson":
            return render(piece["json"], self.layout) + self.line_end
        lines = []
        for name, value in piece.items():
            if name != "at":
                field = {"json": "data", "comment": ""}.get(name, name)
                text = render(value, self.layout) if name == "json" else value
                lines += [f"{field}:{' ' if self.space else ''}{line}{self.line_end}" for line in text.split("\n")]
        return "".join(lines) + self.line_end


def stream_entry(text: str, chunks: Sequence[Chunk]) -> dict[str, Any] | None:
    """The members for a stream with its pieces under `sse` or `ndjson`, or None if it does not look like one.

    The pieces carry `at` if every chunk begins and ends with a piece, else none does.
    """
    line_end = "\r\n" if "\r\n" in text else "\n"
    if _SSE_START.match(text):
        framing = _Framing("sse", COMPACT, line_end, "data: " in text)
    elif text.startswith("{") and text.count("}" + line_end) > 1:
        framing = _Framing("ndjson", COMPACT, line_end, True)
    else:
        return None
    blocks = [block + framing.end for block in text.split(framing.end)]
    blocks[-1] = blocks[-1].removesuffix(framing.end)
    blocks = [block for block in blocks if block]
    pieces = [_take(block, framing) for block in blocks]
    layout = common_layout([piece["data"] for piece in pieces if piece and _is_json(piece.get("data", ""))])
    framing = _Framing(framing.kind, layout, line_end, framing.space)
    entries = [_settle(block, piece, framing) for block, piece in zip(blocks, pieces, strict=True)]
    if all("raw" in entry for entry in entries):
        return None
    named: dict[str, Any] = {"layout": str(layout)} if layout != COMPACT else {}
    named |= {"line_end": "crlf"} if line_end == "\r\n" else {}
    named |= {} if framing.space else {"space": False}
    return {**named, framing.kind: _fold(entries, [len(block.encode()) for block in blocks], chunks)}


def _take(block: str, framing: _Framing) -> dict[str, Any] | None:
    """One piece by its fields, data as a string; None if it is not whole or its fields repeat or mix."""
    if not block.endswith(framing.end):
        return None
    if framing.kind == "ndjson":
        return {"data": block.removesuffix(framing.end)}
    piece: dict[str, Any] = {}
    for line in block.removesuffix(framing.end).split(framing.line_end):
        name, colon, value = line.partition(":")
        if not colon or (name and name not in _FIELDS):
            return None
        value = value.removeprefix(" ") if framing.space else value
        name = name or "comment"
        if name not in piece:
            piece[name] = value
        elif name == "data" and next(reversed(piece)) == "data":
            piece[name] += "\n" + value
        else:
            return None
    return piece


def _is_json(data: str) -> bool:
    if not data.startswith(("{", "[")):
        return False
    try:
        parse(data)
    except ValueError:
        return False
    return True


def _settle(block: str, piece: dict[str, Any] | None, framing: _Framing) -> dict[str, Any]:
    """The piece with its data as a JSON value where that is exact; raw where nothing else is."""
    raw = {"raw": block}
    if piece is None:
        return raw
    data = piece.get("data", "")
    value = parse(data) if _is_json(data) else None
    if value is not None and is_exact(value, framing.layout, data) and is_representable(value):
        told = OneLine(value) if isinstance(value, dict) else value
        parts = [("json", told) if name == "data" else (name, part) for name, part in piece.items()]
        piece = dict(parts)
    elif framing.kind == "ndjson":
        return raw
    return piece if framing.render(piece) == block else raw


def _fold(entries: list[dict[str, Any]], lengths: list[int], chunks: Sequence[Chunk]) -> list[dict[str, Any]]:
    """The pieces with the chunks' offsets on them, or unchanged where chunks and pieces do not agree."""
    folded: list[dict[str, Any]] = []
    waiting = list(reversed(chunks))
    left = 0
    for entry, length in zip(entries, lengths, strict=True):
        if left == 0 and waiting:
            chunk = waiting.pop()
            left = chunk.length
            entry = {"at": chunk.offset, **entry}
        left -= length
        if left < 0:
            return entries
        folded.append(entry)
    return entries if waiting or left else folded


def read_layout(entry: Mapping) -> Layout:
    """The JSON layout a mapping names, the compact one if it names none. Raises BrokenCassette."""
    layout = layout_named(entry.of(str, "layout", str(COMPACT)))
    if layout is None:
        raise entry.broken("layout", f"the layout {entry['layout'][:40]!r} is not known")
    return layout


def read_stream(entry: Mapping, kind: str) -> tuple[bytes, tuple[Chunk, ...]]:
    """Body and chunks (none if no piece has `at`) again. Raises BrokenCassette."""
    line_end = _LINE_ENDS.get(entry.of(str, "line_end", "lf"))
    if line_end is None:
        raise entry.broken("line_end", "'line_end' must be lf or crlf")
    framing = _Framing(kind, read_layout(entry), line_end, entry.of(bool, "space", True))
    parts: list[bytes] = []
    chunks: list[Chunk] = []
    for piece in entry.of(list, kind):
        _check_piece(piece, kind, entry)
        parts.append(framing.render(piece).encode("utf-8"))
        if "at" in piece:
            chunks.append(Chunk(piece.of(int, "at"), len(parts[-1])))
        elif chunks:
            chunks[-1] = Chunk(chunks[-1].offset, chunks[-1].length + len(parts[-1]))
    return b"".join(parts), tuple(chunks)


def _check_piece(piece: Any, kind: str, entry: Mapping) -> None:
    if not isinstance(piece, Mapping):
        raise entry.broken(kind, f"every piece of {kind!r} must be a mapping")
    if kind == "ndjson" and "json" not in piece and "raw" not in piece:
        raise BrokenCassette(piece.line, "a line needs 'json' or 'raw'")
    for name in piece:
        if name not in _MEMBERS:
            raise piece.broken(name, f"{name[:40]!r} is not a part of a stream")
        if name not in ("json", "at"):
            piece.of(str, name)
