r"""The YAML of cassettes: a plain subset in which every value has one spelling and nothing is guessed.

Written are block mappings and sequences, numbers as JSON spells them, and strings plain, quoted, or
over several lines: as a literal block `|`, or in double quotes with `\n\` at line ends where a block
would leave white space there, which editors and commit hooks like to remove. Read is any YAML without
anchors, aliases and tags; an unquoted scalar is `null`, `true`, `false` or a JSON number if it looks
exactly so, and a string otherwise. Syntax: YAML 1.1, https://yaml.org/spec/1.1/.
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring
from typing import Any

import yaml

from cache.cassette.json_layout import MAX_DEPTH, Number

_MAX_KEY = 150
# YAML wants a member name on one line of at most 1,024 characters, escapes counted.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Words and looks that other YAML readers would not take for strings are always quoted.
_PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)(?:[^\W\d_]|[/_])[^\t\n]*(?<![ :])", re.IGNORECASE)
_NAME = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z_][A-Za-z0-9_]*", re.IGNORECASE)
_LINE = 400
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
_LOOSE_ENDS = re.compile(r"[ \t](?:\n|\Z)|(?:\n|\A)\n\Z")
_CONFLICT = re.compile(r"^(?:<{7}|>{7})(?: |$)", re.MULTILINE)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BrokenCassette(ValueError):
    """A cassette file says something it must not: `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"{line}: {what}")
        self.line = line
        self.what = what


class OneLine(dict[str, Any]):
    """A mapping to be written on one line, `{name: "text", other: 1}`, where that is not too long to read."""


class Mapping(dict[str, Any]):
    """A mapping that knows the lines (from 1) it and its members begin on."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}

    def broken(self, name: str, what: str) -> BrokenCassette:
        """The error that names this member and its line."""
        return BrokenCassette(self.lines.get(name, self.line), what)

    def of(self, kind: type[Any], name: str, default: Any = None) -> Any:
        """The member, which must be a `str`, `int`, `bool`, `list` or `Mapping`; a missing one is `default`.

        Raises BrokenCassette for another type, and for a missing one without default.
        """
        if name not in self:
            if default is None:
                raise BrokenCassette(self.line, f"{name!r} is missing")
            return default
        value = self[name]
        if kind is int and isinstance(value, Number) and re.fullmatch(r"-?[0-9]{1,19}", value.text):
            return int(value.text)
        if not isinstance(value, kind):
            words = {str: "a string", int: "a whole number", bool: "true or false", list: "a list"}
            raise self.broken(name, f"{name!r} must be {words.get(kind, 'a mapping')}")
        return value

    def mappings(self, name: str) -> list[Mapping]:
        """The member, a list of mappings that is not empty. Raises BrokenCassette."""
        entries = self.of(list, name)
        if not entries or not all(isinstance(entry, Mapping) for entry in entries):
            raise self.broken(name, f"{name!r} must be a list of mappings, and not empty")
        return list(entries)


def is_representable(value: Any, depth: int = 0) -> bool:
    """Whether `dump` can write this JSON value: no lone surrogates, no endless names, not too deep."""
    if isinstance(value, str):
        return not _SURROGATE.search(value)
    if isinstance(value, dict):
        names = all(len(name) <= _MAX_KEY and not _SURROGATE.search(name) for name in value)
        return names and depth < MAX_DEPTH and all(is_representable(item, depth + 1) for item in value.values())
    if isinstance(value, list):
        return depth < MAX_DEPTH and all(is_representable(item, depth + 1) for item in value)
    return True


def dump(document: dict[str, Any], *, blocks: bool = True) -> str:
    """A mapping of JSON values (numbers as int or Number) as YAML. Without `blocks` no string spans lines."""
    lines: list[str] = []
    _members(lines, document, 0, blocks)
    return "\n".join(lines) + "\n"


def _members(lines: list[str], mapping: dict[str, Any], column: int, blocks: bool) -> None:
    for name, value in mapping.items():
        _value(lines, f"{' ' * column}{_quoted(name)}:", value, column, blocks)


def _items(lines: list[str], items: list[Any], column: int, blocks: bool) -> None:
    lead = " " * column + "-"
    for item in items:
        if not isinstance(item, dict | list) or not item or _is_flow(item):
            _value(lines, lead, item, column, blocks)
            continue
        first = len(lines)
        (_members if isinstance(item, dict) else _items)(lines, item, column + 2, blocks)  # type: ignore[arg-type]
        lines[first] = lead + lines[first][column + 1 :]


def _value(lines: list[str], lead: str, value: Any, column: int, blocks: bool) -> None:
    if isinstance(value, OneLine) and len(line := f"{lead} {_flow(value)}") <= _LINE:
        lines.append(line)
    elif isinstance(value, dict) and value:
        lines.append(lead)
        _members(lines, value, column + 2, blocks)
    elif isinstance(value, list) and value and not _is_flow(value):
        lines.append(lead)
        _items(lines, value, column, blocks)
    elif blocks and isinstance(value, str) and "\n" in value:
        safe = not _UNPRINTABLE.search(value) and not _LOOSE_ENDS.search(value)
        (_literal if safe else _escaped_lines)(lines, lead, value, " " * (column + 2))
    else:
        lines.append(f"{lead} {_scalar(value)}")


def _flow(value: Any) -> str:
    """A value within a line: strings always in quotes, as commas and brackets would end a plain one."""
    if isinstance(value, dict):
        names = (name if _NAME.fullmatch(name) else f'"{_escaped(name)}"' for name in value)
        return "{" + ", ".join(f"{name}: {_flow(item)}" for name, item in zip(names, value.values(), strict=True)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return f'"{_escaped(value)}"' if isinstance(value, str) else _scalar(value)


def _is_flow(value: Any) -> bool:
    """Lists of numbers (token ids, vectors) stand on one line."""
    return isinstance(value, list) and all(isinstance(item, Number) for item in value)


def _literal(lines: list[str], lead: str, text: str, indent: str) -> None:
    # Without the indicator a reader would take leading spaces for indentation.
    indicator = "2" if text[0] in " \t\n" else ""
    lines.append(f"{lead} |{indicator}{'' if text.endswith('\n') else '-'}")
    lines.extend(indent + line if line else "" for line in text.removesuffix("\n").split("\n"))


def _escaped_lines(lines: list[str], lead: str, text: str, indent: str) -> None:
    # A backslash at the end of a line joins it with the next, whose leading white space does not count.
    first, *rest = [_escaped(line) for line in text.removesuffix("\n").split("\n")]
    rows = [f'{lead} "{first}', *(indent + (f"\\{row}" if row.startswith(" ") else row) for row in rest)]
    lines.extend(f"{row}\\n\\" for row in rows[:-1])
    lines.append(rows[-1] + ('\\n"' if text.endswith("\n") else '"'))


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Number):
        return value.text
    if isinstance(value, list):
        return "[" + ", ".join(item.text for item in value) + "]"
    if isinstance(value, dict):
        return "{}"
    return "null" if value is None else str(value).lower()


def _escaped(text: str) -> str:
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", encode_basestring(text)[1:-1])


def _quoted(text: str) -> str:
    if not text or "\n" in text or "\t" in text or _UNPRINTABLE.search(text):
        return f'"{_escaped(text)}"'
    if _PLAIN.fullmatch(text) and ": " not in text and " #" not in text:
        return text
    if '"' in text or "\\" in text:
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"'


class _Builder:
    """Puts the events of one YAML document together."""

    def __init__(self) -> None:
        self.document: Any = None
        self._documents = 0
        self._open: list[Any] = []
        self._names: list[str | None] = []

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise BrokenCassette(line, "anchors and aliases are not allowed")
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise BrokenCassette(line, "a second document begins")
        elif isinstance(event, yaml.ScalarEvent | yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if event.tag:
                raise BrokenCassette(line, f"the tag {event.tag[:40]} is not allowed")
            self._node(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._open.pop()
            self._names.pop()

    def _node(self, event: Any, line: int) -> None:
        parent = self._open[-1] if self._open else None
        if isinstance(parent, Mapping) and self._names[-1] is None:
            self._name(parent, event, line)
            return
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = _read_scalar(event)
        else:
            value = Mapping(line) if isinstance(event, yaml.MappingStartEvent) else []
        if parent is None:
            self.document = value
        elif isinstance(parent, Mapping):
            parent[str(self._names[-1])] = value
            self._names[-1] = None
        else:
            parent.append(value)
        if not isinstance(event, yaml.ScalarEvent):
            self._open.append(value)
            self._names.append(None)
            if len(self._open) > 2 * MAX_DEPTH:
                raise BrokenCassette(line, "nested too deeply")

    def _name(self, parent: Mapping, event: Any, line: int) -> None:
        if not isinstance(event, yaml.ScalarEvent):
            raise BrokenCassette(line, "a member name must be a string")
        name = event.value
        if name in parent:
            raise BrokenCassette(line, f"{name[:40]!r} stands twice")
        parent.lines[name] = line
        self._names[-1] = name


def _read_scalar(event: yaml.ScalarEvent) -> Any:
    text = event.value
    if event.style in ("'", '"', "|", ">"):
        return text
    if text in _WORDS:
        return _WORDS[text]
    return Number(text) if _NUMBER.fullmatch(text) else text


def load(text: str) -> Mapping:
    """The mapping a YAML text holds, numbers as Number. Raises BrokenCassette with the line."""
    conflict = _CONFLICT.search(text)
    if conflict:
        line = text.count("\n", 0, conflict.start()) + 1
        raise BrokenCassette(line, f"a merge conflict is not resolved ({conflict[0].strip()})")
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        # What is never closed is found out at the end, but goes wrong where it begins.
        unclosed = "end of stream" in (error.problem or "") and error.context_mark
        mark = unclosed or error.problem_mark or error.context_mark
        what = f"not YAML: {error.problem or error.context or 'cannot be read'}"
        raise BrokenCassette(mark.line + 1 if mark else 1, what) from None
    except yaml.YAMLError as error:
        position = min(int(getattr(error, "position", 0) or 0), len(text))
        raise BrokenCassette(text.count("\n", 0, position) + 1, "a character YAML does not allow") from None
    if not isinstance(builder.document, Mapping):
        raise BrokenCassette(1, "a mapping is expected")
    return builder.document
