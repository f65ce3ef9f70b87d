"""The one interface behind which SQLite, Postgres and a folder of cassette files stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from cache.entry import Reply, Vector


class StoreError(Exception):
    """The database or the cassette folder cannot do what was asked; hides the driver's own error."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which replies to list: every field that is set must match.

    `text` is looked for in request and body, as it is or escaped as in JSON, upper and lower case apart.
    """

    tenant: str = "local"
    key_prefix: str = ""
    provider: str = ""
    model: str = ""
    host: str = ""
    operation: str = ""
    text: str = ""
    created_before: float | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """Retention: None means no limit. `max_age` in seconds since creation, `max_bytes` of stored bodies."""

    max_age: float | None = None
    max_entries: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one pruning removed."""

    replies: int = 0
    vectors: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """One line of the books: what happened on a day, to be added to what is there already.

    `day` is `YYYY-MM-DD` in UTC. `saved_*` is what the cache spared; `note` is why something was
    not stored (outcome `miss`) or went past the cache (outcome `pass`), else empty.
    """

    day: str
    tenant: str
    provider: str
    model: str
    outcome: str
    note: str = ""
    count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    saved_input_tokens: int = 0
    saved_output_tokens: int = 0
    saved_ms: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """Sizes of the store (rows; bytes as stored) and the books."""

    replies: int = 0
    vectors: int = 0
    bytes: int = 0
    tallies: tuple[Tally, ...] = field(default=())


class Store(ABC):
    """Replies and vectors by tenant and key.

    All methods may raise StoreError. None of them blocks the event loop for long: a point lookup
    may run in the loop, everything heavier runs elsewhere. What `put` was given is durable when it
    returns (it survives `kill -9` of the process).
    """

    @abstractmethod
    async def get(self, tenant: str, key: str, form: str, ordinal: int | None = None) -> Reply | None:
        """The repeat at place `ordinal` (from 0, by their ordinals, gaps not counted), or the newest for None.

        Counts as a use.
        """

    @abstractmethod
    async def count(self, tenant: str, key: str, form: str) -> int:
        """How many repeats are stored."""

    @abstractmethod
    async def put(self, reply: Reply, *, replace: bool = True) -> None:
        """Store a reply, overwriting the one at its ordinal.

        With `replace`, all other repeats of the same (tenant, key, form) go in the same transaction.
        A `created` of 0 means now; `last_used` is at least `created`.
        """

    @abstractmethod
    async def get_vectors(self, tenant: str, keys: Sequence[str]) -> dict[str, Vector]:
        """The known ones among `keys`, in one query however many there are. Counts as a use."""

    @abstractmethod
    async def put_vectors(self, vectors: Sequence[Vector]) -> None:
        """Store vectors in one transaction, overwriting equal keys."""

    @abstractmethod
    async def find(self, query: Query) -> list[Reply]:
        """Matching replies, newest first. Does not count as a use."""

    @abstractmethod
    async def find_vectors(self, query: Query) -> list[Vector]:
        """Vectors that match by tenant, key, provider, model and host, by key. Does not count as a use."""

    @abstractmethod
    async def delete(self, tenant: str, key_prefix: str) -> int:
        """Remove a tenant's replies and vectors whose key starts so, all of them for an empty prefix; how many went."""

    @abstractmethod
    async def prune(self, limits: Limits, tenant: str | None = None) -> Pruned:
        """Remove what is too old, then the least recently used until the limits hold."""

    @abstractmethod
    async def add(self, tallies: Sequence[Tally]) -> None:
        """Add to the books."""

    @abstractmethod
    async def stats(self, tenant: str | None = None) -> Stats:
        """Sizes and books, of one tenant or of all."""

    @abstractmethod
    async def close(self) -> None:
        """Write what is pending and let go of files and connections."""
