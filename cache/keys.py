"""The key: a digest of what makes two requests the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import orjson

KEY_FORMAT = 1
"""Raised when the meaning of a key changes, so that old entries are never mistaken for new ones."""


def canonical(value: Any) -> bytes:
    """`value` (JSON types with string keys) as JSON with sorted members and no spaces.

    Two values give the same bytes if and only if they are equal as JSON, where `1` and `1.0` count
    as different. Numbers must be finite: whoever parsed them has refused the others. Values orjson
    cannot take exactly (lone surrogates, integers beyond 64 bits, deep nesting) are written by the
    standard library, behind a byte that keeps the two apart.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return b"\x00" + text.encode("ascii")


def digest(identity: dict[str, Any]) -> str:
    """The SHA-256 of an identity in 64 hexadecimal digits.

    An identity is one JSON object with named parts, so no two lists of parts can run together.
    Raises RecursionError for absurd nesting.
    """
    return hashlib.sha256(canonical({"format": KEY_FORMAT, **identity})).hexdigest()
