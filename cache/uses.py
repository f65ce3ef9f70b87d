"""Hits that were not written yet: collected in memory, so that a hit costs no write."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from cache.entry import Reply

type Place = tuple[str, str, str, int]
"""Where a reply stands: (tenant, key, form, ordinal)."""


@dataclass(slots=True)
class Uses:
    """How often and when last replies and vectors were used since the last write."""

    replies: dict[Place, tuple[int, float]] = field(default_factory=dict)
    vectors: dict[str, Counter[str]] = field(default_factory=dict)
    vectors_at: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.replies or self.vectors)

    def reply(self, reply: Reply) -> None:
        """One more use of a reply, now."""
        place = (reply.tenant, reply.key, reply.form, reply.ordinal)
        self.replies[place] = (self.replies.get(place, (0, 0.0))[0] + 1, time.time())

    def keys(self, tenant: str, keys: Iterable[str]) -> None:
        """One more use of each of these vectors, now."""
        self.vectors.setdefault(tenant, Counter()).update(list(keys))  # a mapping would be added up by its values
        self.vectors_at = time.time()

    def merge(self, earlier: Uses) -> None:
        """Take back uses that could not be written."""
        for place, (count, at) in earlier.replies.items():
            more, later = self.replies.get(place, (0, 0.0))
            self.replies[place] = (count + more, max(at, later))
        for tenant, counts in earlier.vectors.items():
            self.vectors.setdefault(tenant, Counter()).update(counts)
        self.vectors_at = max(self.vectors_at, earlier.vectors_at)

    def vector_groups(self) -> dict[tuple[str, int], list[str]]:
        """The vectors' keys by (tenant, how often), so that each group is one statement."""
        groups: dict[tuple[str, int], list[str]] = {}
        for tenant, counts in self.vectors.items():
            for key, count in counts.items():
                groups.setdefault((tenant, count), []).append(key)
        return groups
