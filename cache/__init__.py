"""The store: replies, vectors and the books, in SQLite, in Postgres or in a folder of cassette files."""

from __future__ import annotations

from cache.entry import Chunk, Reply, Usage, Vector
from cache.opening import open_store
from cache.store import Limits, Pruned, Query, Stats, Store, StoreError, Tally

__all__ = [
    "Chunk",
    "Limits",
    "Pruned",
    "Query",
    "Reply",
    "Stats",
    "Store",
    "StoreError",
    "Tally",
    "Usage",
    "Vector",
    "open_store",
]
