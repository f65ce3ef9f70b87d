"""Incremental readers for the streams providers send: server-sent events and JSON lines."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

_LINE_END = re.compile(r"\r\n|\n|\r")
_SPACE = b" \t\r\n"


class Event(NamedTuple):
    """One server-sent event; `event` is `message` where the stream does not name it."""

    event: str
    data: str


class SseReader:
    """Server-sent events as the WHATWG standard reads them.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    The events do not depend on how the bytes are cut into chunks. `id` and `retry` are skipped.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._partial: list[str] = []
        self._started = False
        self._after_return = False
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes."""
        text = self._decoder.decode(chunk)
        if not text:
            return []
        if not self._started:
            self._started = True
            text = text.removeprefix("\ufeff")
        elif self._after_return:
            # A carriage return ended the last line; its line feed belongs to it.
            text = text.removeprefix("\n")
        if not text:
            self._after_return = False
            return []
        self._after_return = text.endswith("\r")
        first, *others = _LINE_END.split(text)
        self._partial.append(first)
        if not others:
            return []
        events = self._lines(["".join(self._partial), *others[:-1]])
        self._partial = [others[-1]]
        return events

    def _lines(self, lines: list[str]) -> list[Event]:
        events: list[Event] = []
        for line in lines:
            if line:
                self._field(line)
                continue
            if self._data:
                events.append(Event(self._event or "message", "\n".join(self._data)))
                self._data = []
            self._event = ""
        return events

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value

    @property
    def pending(self) -> Event | None:
        """The event a blank line would complete now, which the standard drops when the stream ends here."""
        event, data = self._event, list(self._data)
        name, _, value = "".join(self._partial).partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
        elif name == "event":
            event = value.removeprefix(" ")
        return Event(event or "message", "\n".join(data)) if data else None


class NdjsonReader:
    """JSON values one a line, given out as bytes. https://github.com/ndjson/ndjson-spec"""

    def __init__(self) -> None:
        self._partial: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, without blank ones and without their ends."""
        first, *others = chunk.split(b"\n")
        self._partial.append(first)
        if not others:
            return []
        lines = [b"".join(self._partial), *others[:-1]]
        self._partial = [others[-1]]
        return [line for line in (line.strip(_SPACE) for line in lines) if line]

    @property
    def pending(self) -> bytes:
        """What stands after the last line end: a whole value if the sender left the line end out."""
        return b"".join(self._partial).strip(_SPACE)


def read_sse(body: bytes) -> tuple[list[Event], Event | None]:
    """All events of a whole stream, and what is left over, as `SseReader.pending` tells it."""
    reader = SseReader()
    return reader.feed(body), reader.pending
