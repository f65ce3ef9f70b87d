"""JSON text taken apart into its values and its layout, so that it can be written again byte for byte.

Numbers keep their spelling. A layout says how values are separated and which characters of strings
are escaped; the handful known here are those of the usual JSON writers. Syntax: RFC 8259.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

MAX_DEPTH = 60
MAX_CHARACTERS = 2_000_000
"""Beyond these a structure is neither readable nor quick to check, and is kept as text."""


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number as it was spelled: `1.0`, `1e-7` and `-0` come back as they went."""

    text: str


def _escaping(characters: str, base: Callable[[str], str] = encode_basestring) -> Callable[[str], str]:
    table = {ord(character): f"\\u{ord(character):04x}" for character in characters}
    return lambda text: base(text).translate(table)


_SEPARATORS = {"compact": (",", ":"), "spaced": (", ", ": "), "colon": (",", ": ")}
_INDENTS = {"indent-1": " ", "indent-2": "  ", "indent-3": "   ", "indent-4": "    ", "indent-tab": "\t"}
_ESCAPES: dict[str, Callable[[str], str]] = {
    "": encode_basestring,
    "ascii": encode_basestring_ascii,
    "html": _escaping("<>&\u2028\u2029"),
    "angle": _escaping("<>\u2028\u2029"),
    "slash": lambda text: encode_basestring_ascii(text).replace("/", "\\/"),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """`spacing` is `compact`, `spaced`, `colon` (a space after colons only) or `indent-1|2|3|4|tab`.

    `escape` is empty (only what JSON demands), `ascii`, `html` (also `<>&`), `angle` (also `<>`) or
    `slash` (ASCII, also `/`).
    """

    spacing: str = "compact"
    escape: str = ""

    def __str__(self) -> str:
        return f"{self.spacing} {self.escape}".rstrip()


COMPACT = Layout()
_ONE_LINE = [Layout(spacing, escape) for spacing in _SEPARATORS for escape in _ESCAPES]
_KNOWN = {str(layout): layout for layout in [*_ONE_LINE, *(Layout(i, e) for i in _INDENTS for e in _ESCAPES)]}


def layout_named(name: str) -> Layout | None:
    """The layout whose `str()` is `name`, or None."""
    return _KNOWN.get(name)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member name stands twice in one object")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_members, parse_float=Number, parse_int=Number, parse_constant=_refuse_constant
)


def parse(text: str) -> Any:
    """The value of a JSON text, numbers as `Number`.

    Raises ValueError for broken JSON, duplicate member names and texts that are too long or too deep.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError("too long")
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _pieces(value: Any, layout: Layout, indent: str) -> Iterator[str]:
    if isinstance(value, Number):
        yield value.text
    elif isinstance(value, str):
        yield _ESCAPES[layout.escape](value)
    elif isinstance(value, dict):
        yield from _collection(value.items(), "{}", layout, indent)
    elif isinstance(value, list):
        yield from _collection(value, "[]", layout, indent)
    else:
        yield {None: "null", True: "true", False: "false"}[value]


def _collection(items: Any, brackets: str, layout: Layout, indent: str) -> Iterator[str]:
    if not items:
        yield brackets
        return
    step = _INDENTS.get(layout.spacing)
    inner = indent if step is None else indent + step
    comma, colon = _SEPARATORS.get(layout.spacing, (",", ": "))
    before = brackets[0] if step is None else f"{brackets[0]}\n{inner}"
    between = comma if step is None else f",\n{inner}"
    for number, item in enumerate(items):
        yield between if number else before
        if brackets == "{}":
            yield _ESCAPES[layout.escape](item[0]) + colon
            item = item[1]
        yield from _pieces(item, layout, inner)
    yield brackets[1] if step is None else f"\n{indent}{brackets[1]}"


def render(value: Any, layout: Layout) -> str:
    """`value` as JSON text in that layout."""
    return "".join(_pieces(value, layout, ""))


def is_exact(value: Any, layout: Layout, text: str) -> bool:
    """Whether `render(value, layout) == text`; gives up at the first difference."""
    position = 0
    for piece in _pieces(value, layout, ""):
        if not text.startswith(piece, position):
            return False
        position += len(piece)
    return position == len(text)


def find_layout(value: Any, text: str) -> Layout | None:
    """The layout in which `value` gives exactly `text`, the simplest first; None if none of those known does."""
    indented = re.match(r"[\[{]\n( {1,4}|\t)[^ \t]", text)
    if indented:
        spacing = next(name for name, step in _INDENTS.items() if step == indented.group(1))
        candidates = [Layout(spacing, escape) for escape in _ESCAPES]
    else:
        candidates = _ONE_LINE
    return next((layout for layout in candidates if is_exact(value, layout, text)), None)


def common_layout(texts: list[str]) -> Layout:
    """The one-line layout in which most of these JSON texts are exact; the compact one if none is."""
    values = [(parse(text), text) for text in texts]
    best, most = COMPACT, 0
    for layout in _ONE_LINE:
        count = sum(is_exact(value, layout, text) for value, text in values)
        if count > most:
            best, most = layout, count
        if most == len(values):
            break
    return best
