"""Durations and sizes as people write them: `30d`, `500MB`."""

from __future__ import annotations

import re
from decimal import Decimal

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"": 1, "B": 1}
_BYTES |= {f"{letter}B": 1000**power for power, letter in enumerate("kMGT", start=1)}
_BYTES |= {f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", start=1)}
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds in `90`, `90s`, `15m`, `12h` or `30d`; a fraction such as `1.5h` is fine.

    Raises ValueError for anything else.
    """
    seconds = _parse(text, {unit.lower(): factor for unit, factor in _SECONDS.items()})
    if seconds is None:
        raise ValueError("must be a duration such as 90s, 15m, 12h or 30d, or a number of seconds")
    return seconds


def parse_size(text: str) -> int:
    """Bytes in `1000`, `500MB` (powers of 1000) or `2GiB` (powers of 1024), in any letter case.

    Raises ValueError for anything else, a bare `2G` included: it is read both ways.
    """
    size = _parse(text, {unit.lower(): factor for unit, factor in _BYTES.items()})
    if size is None:
        raise ValueError("must be a size such as 500MB or 2GiB, or a number of bytes")
    return int(size)


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back as exactly this many seconds."""
    for unit in ("d", "h", "m"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds) // _SECONDS[unit]}{unit}"
    return f"{Decimal(repr(float(seconds))).normalize():f}s"


def format_size(size: int) -> str:
    """The text with the largest unit that `parse_size` reads back as exactly this many bytes."""
    by_factor = sorted(((factor, unit) for unit, factor in _BYTES.items() if factor > 1), reverse=True)
    for factor, unit in by_factor:
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def _parse(text: str, units: dict[str, int]) -> float | None:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2].lower() not in units:
        return None
    number = float(match[1]) if "." in match[1] else int(match[1])
    return number * units[match[2].lower()]
