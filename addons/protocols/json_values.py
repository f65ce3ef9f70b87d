"""Reading and writing JSON values whose shape is not ours to trust."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from addons.protocols.base import PLAIN
from addons.protocols.events import NdjsonReader, read_sse


def parse(text: bytes | str) -> Any:
    """The JSON value in `text`; raises ValueError if there is none or not a whole one.

    What orjson refuses although it is JSON to others (lone surrogates in escapes, NaN) is read by
    the standard library, since providers do send the former when a stream splits a character.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply") from None


def sse_values(body: bytes) -> Iterator[Any]:
    """The JSON values of a whole event stream; raises ValueError at one that is not whole.

    An event without its closing blank line counts if its value is whole. `[DONE]` is no value.
    """
    events, pending = read_sse(body)
    for event in [*events, pending] if pending else events:
        if event.data != "[DONE]":
            yield parse(event.data)


def ndjson_values(body: bytes) -> Iterator[Any]:
    """The JSON values of a whole body of lines; raises ValueError at one that is not whole."""
    reader = NdjsonReader()
    lines = reader.feed(body)
    for line in [*lines, reader.pending] if reader.pending else lines:
        yield parse(line)


def dump(value: Any) -> bytes:
    """`value` as compact UTF-8 JSON; numpy arrays of float32 become their shortest exact decimals."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_numbers).encode("ascii")


def _numbers(array: Any) -> Any:
    return orjson.loads(orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY))


def at(value: Any, *names: str) -> Any:
    """The member reached through objects by these names, or None where the way ends early."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; empty for anything that is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def count(value: Any) -> int | None:
    """A number of tokens as a provider reports it (some write `2.0`), or None if it is no such number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == value and 0 <= value < 2**53 else None


def form_of(stream: Any, streamed: str) -> str:
    """The form a member `stream` asks for: `plain` or `streamed`, or one of its own where servers may read either."""
    if stream is None or stream is False:
        return PLAIN
    return streamed if stream is True else f"{streamed}+odd"


def total(*parts: int | None) -> int | None:
    """The sum of what was reported, None if nothing was."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def named[T](names: Mapping[str, T], value: Any, default: T) -> T:
    """What `names` says about a string, `default` for any other value."""
    return names.get(value, default) if isinstance(value, str) else default
