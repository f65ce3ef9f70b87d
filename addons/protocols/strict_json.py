"""JSON read so that nothing is lost on the way: a body that two parsers could read differently is refused."""

from __future__ import annotations

import json
import math
from typing import Any


class AmbiguousJson(ValueError):
    """The text is not JSON, or not JSON that every parser reads alike."""


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise AmbiguousJson("a member name stands twice in one object")
    return members


def _finite(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise AmbiguousJson(f"the number {literal[:20]} is out of range")
    return number


def _refuse_constant(name: str) -> Any:
    raise AmbiguousJson(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_members, parse_float=_finite, parse_constant=_refuse_constant)


def loads(raw: bytes) -> Any:
    """Parse UTF-8 JSON; raises AmbiguousJson for anything else.

    Refused besides broken JSON: duplicate member names, NaN and infinities, numbers that overflow,
    a byte order mark, nesting too deep to walk.
    """
    try:
        return _decoder.decode(raw.decode("utf-8"))
    except AmbiguousJson:
        raise
    except RecursionError:
        raise AmbiguousJson("nested too deeply") from None
    except ValueError as error:
        raise AmbiguousJson(str(error)) from None
