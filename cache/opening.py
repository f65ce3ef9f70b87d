"""A store from its URL."""

from __future__ import annotations

from cache.store import Store, StoreError


async def open_store(url: str, *, flush_every: float = 5.0, answer_within: float = 2.0) -> Store:
    """Open the database at `url`, making or migrating its tables where needed.

    `sqlite:///relative/path`, `sqlite:////absolute/path`, `sqlite://` (in memory) or
    `postgresql://user:password@host:port/database`. Hits are written every `flush_every` seconds;
    Postgres is given `answer_within` seconds to answer. Raises StoreError.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite" and (not rest or rest.startswith("/")):
        from cache.sqlite import MEMORY, SqliteStore

        path = rest[1:]
        if path in ("", MEMORY):
            return await SqliteStore.open(MEMORY, flush_every=flush_every)
        return await SqliteStore.open(path, flush_every=flush_every)
    if separator and scheme in ("postgresql", "postgres"):
        from cache.postgres import PostgresStore

        return await PostgresStore.open(url, flush_every=flush_every, answer_within=answer_within)
    raise StoreError("no such kind of store: use sqlite:///path or postgresql://user:password@host/database")
