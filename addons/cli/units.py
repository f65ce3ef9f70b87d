"""Sizes and durations as people read them."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes in the unit that suits them: `405 B`, `1.3 kB`, `2.0 GB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def age(seconds: float) -> str:
    """How long ago something was, in its largest unit: `5 min`, `3 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def waiting(milliseconds: float) -> str:
    """A time that somebody waits, or need not: `30 ms`, `4.2 s`, `12 min`, `3.1 h`."""
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
