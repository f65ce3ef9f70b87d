"""Single flight: equal requests at the same time share one answer."""

from __future__ import annotations

from addons.tape import Tape

type Slot = tuple[str, str, str]
"""Tenant, key and form."""


class Inflight:
    """Which answers are under way. Never shared between tenants, since the slot names one."""

    def __init__(self) -> None:
        self._tapes: dict[Slot, Tape] = {}

    def find(self, slot: Slot) -> Tape | None:
        """The answer under way for an equal request, unless it has failed or is too long to be kept."""
        tape = self._tapes.get(slot)
        if tape is None or tape.overflowed or tape.failure is not None:
            return None
        return tape

    def enter(self, slot: Slot, tape: Tape) -> None:
        """From now on equal requests may read along."""
        self._tapes.setdefault(slot, tape)

    def leave(self, slot: Slot, tape: Tape) -> None:
        """The answer is stored, or will not be."""
        if self._tapes.get(slot) is tape:
            del self._tapes[slot]

    def __len__(self) -> int:
        return len(self._tapes)
