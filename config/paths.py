"""Paths with named pieces: `/v1beta/models/{model}:generateContent`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

_PIECE = re.compile(r"\{([a-z_]+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path to match against the path of a request as it is on the wire, without its query.

    `{name}` stands for one segment or the part of it up to the text that follows, `{name+}` for
    one or more segments. An encoded slash does not end a segment.
    """

    text: str
    _regex: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises ValueError for a path that does not start with a slash or has stray or repeated braces."""
        if not self.text.startswith("/") or "?" in self.text or "#" in self.text:
            raise ValueError("must be a path that starts with / and has no query")
        pieces = list(_PIECE.finditer(self.text))
        if set(_PIECE.sub("", self.text)) & set("{}*") or len({piece[1] for piece in pieces}) < len(pieces):
            raise ValueError("may hold {name} for one segment and {name+} for several, each name once")
        start, source = 0, ""
        for piece in pieces:
            named = f"(?P<{piece[1]}>{'.+' if piece[2] else '[^/]+'})"
            source += re.escape(self.text[start : piece.start()]) + named
            start = piece.end()
        source += re.escape(self.text[start:])
        object.__setattr__(self, "_regex", re.compile(source, re.DOTALL) if pieces else None)

    @property
    def fixed(self) -> bool:
        """Whether it is one single path."""
        return self._regex is None

    def match(self, path: str) -> dict[str, str] | None:
        """The named pieces of `path`, percent-decoded, or None if it is another path."""
        if self._regex is None:
            return {} if path == self.text else None
        match = self._regex.fullmatch(path)
        return {name: unquote(value) for name, value in match.groupdict().items()} if match else None
