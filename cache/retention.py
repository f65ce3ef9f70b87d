"""Which entries have to go, oldest use first, until the limits hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cache.store import Limits


@dataclass(frozen=True, slots=True)
class Victim:
    """An entry that may be removed: a vector where `form` is None, else a reply."""

    key: str
    form: str | None
    ordinal: int
    size: int
    tenant: str


def surplus(candidates: Sequence[Victim], limits: Limits, entries: int, size: int) -> list[Victim]:
    """The first of `candidates` that must go from a store of that many entries and bytes."""
    gone: list[Victim] = []
    for victim in candidates:
        too_many = limits.max_entries is not None and entries > limits.max_entries
        too_large = limits.max_bytes is not None and size > limits.max_bytes
        if not (too_many or too_large):
            break
        gone.append(victim)
        entries -= 1
        size -= victim.size
    return gone
