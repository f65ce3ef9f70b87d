"""Repeats of one request within this run of the proxy: their order when recorded and when replayed."""

from __future__ import annotations

from collections import Counter

from addons.inflight import Slot


class Runs:
    """Counts repeats. Places are given out when a request starts, so they keep the order of asking."""

    def __init__(self) -> None:
        self._places: Counter[Slot] = Counter()
        self._stored: set[Slot] = set()

    def place(self, slot: Slot) -> int:
        """The place of one more request among its repeats, from 0."""
        place = self._places[slot]
        self._places[slot] += 1
        return place

    def has_stored(self, slot: Slot) -> bool:
        """Whether something was stored in this run, so that nothing is there any more that older runs left."""
        return slot in self._stored

    def stored(self, slot: Slot) -> None:
        """A repeat is stored."""
        self._stored.add(slot)
