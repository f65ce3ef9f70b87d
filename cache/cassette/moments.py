"""Times in a cassette: ISO 8601 in UTC with as many digits as the float has, so that nothing is lost."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cache.cassette.yaml_text import Mapping

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,20})?Z")


def time_text(seconds: float) -> str:
    """Unix seconds as `2026-01-31T12:00:00.5Z`. Raises ArithmeticError beyond the years 1 to 9999."""
    exact = Decimal(repr(seconds))
    whole = int(exact.to_integral_value(rounding="ROUND_FLOOR"))
    moment = _EPOCH + timedelta(seconds=whole)
    fraction = f"{exact - whole:f}"[1:].rstrip("0").rstrip(".")
    return f"{moment.replace(tzinfo=None).isoformat()}{fraction}Z"


def read_time(entry: Mapping, name: str) -> float:
    """The member in Unix seconds, the very float it was. Raises BrokenCassette."""
    match = _TIME.fullmatch(entry.of(str, name))
    try:
        moment = datetime.fromisoformat(match[1] if match else "").replace(tzinfo=UTC)
    except ValueError:
        raise entry.broken(name, f"{name!r} must be a UTC time such as 2026-01-31T12:00:00.5Z") from None
    fraction = match[2] if match else None
    return float(Decimal((moment - _EPOCH) // timedelta(seconds=1)) + Decimal(fraction or 0))
