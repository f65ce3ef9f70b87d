"""A folder of cassette files as the store: everything is read at the start, and written through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cache.cassette.file import dump_replies, dump_vectors
from cache.cassette.folder import Identity, Scan, identity, remove_file, reply_path, scan, vector_path, write_file
from cache.codec import label, storable
from cache.entry import Reply, Vector
from cache.sqlite import MEMORY, SqliteStore
from cache.store import Limits, Pruned, Query, Stats, Store, StoreError, Tally

EVERYTHING = 2**31 - 1
"""A limit for queries that must not miss anything."""

_TOGETHER = 200
"""Entries put into memory at a time while a folder is read."""

type _Dump[T] = Callable[[Sequence[T]], bytes]


@dataclass(frozen=True, slots=True)
class _Recording:
    """Where a request is kept and how many repeats stand there."""

    path: Path
    count: int


class CassetteStore(Store):
    """Answers come from a database in memory, which holds what the files hold. Use `open`.

    Hits, last uses and the books end with the process. Files that change on disk meanwhile are not
    noticed. A broken file is never overwritten or removed.
    """

    def __init__(self, folder: Path, memory: SqliteStore) -> None:
        self.folder = folder
        self.problems: list[str] = []
        """One line `path:line: what` for each file that could not be read."""
        self._memory = memory
        self._broken: set[Path] = set()
        self._recordings: dict[Identity, _Recording] = {}
        self._taken: set[Path] = set()
        self._shards: dict[Path, set[tuple[str, str]]] = {}
        self._places: dict[tuple[str, str], Path] = {}
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, folder: Path, *, create: bool = True, strict: bool = False) -> CassetteStore:
        """Read all files of a folder, which with `create` need not exist: the first write makes it.

        Broken files end up in `problems`. Raises StoreError for a missing folder without `create`,
        and with `strict` for the first broken file.
        """
        found = await asyncio.to_thread(_read, folder, create)
        if strict and found.problems:
            raise StoreError(found.problems[0])
        store = cls(folder, await SqliteStore.open(MEMORY))
        try:
            await store._fill(found)
        except BaseException:
            await store.close()
            raise
        return store

    async def _fill(self, found: Scan) -> None:
        self.problems, self._broken = found.problems, found.broken
        replies: list[Reply] = []
        for path, repeats in found.replies.items():
            self._record(path, repeats)
            replies += repeats
        for start in range(0, len(replies), _TOGETHER):
            await asyncio.gather(*(self._memory.put(it, replace=False) for it in replies[start : start + _TOGETHER]))
        for path, vectors in found.vectors.items():
            self._place(path, [(vector.tenant, vector.key) for vector in vectors])
            await self._memory.put_vectors(vectors)

    async def get(self, tenant: str, key: str, form: str, ordinal: int | None = None) -> Reply | None:
        return await self._memory.get(tenant, key, form, ordinal)

    async def count(self, tenant: str, key: str, form: str) -> int:
        return await self._memory.count(tenant, key, form)

    async def put(self, reply: Reply, *, replace: bool = True) -> None:
        reply = _settled(reply)
        async with self._writing:
            others = [] if replace else await self._repeats(identity(reply))
            await self._write_replies([*(other for other in others if other.ordinal != reply.ordinal), reply])
            await self._memory.put(reply, replace=replace)

    async def put_repeats(self, repeats: Sequence[Reply]) -> None:
        """Store all repeats of one (tenant, key, form) in place of what is there. Raises StoreError."""
        settled = [_settled(reply) for reply in repeats]
        async with self._writing:
            await self._write_replies(settled)
            for number, reply in enumerate(settled):
                await self._memory.put(reply, replace=number == 0)

    async def get_vectors(self, tenant: str, keys: Sequence[str]) -> dict[str, Vector]:
        return await self._memory.get_vectors(tenant, keys)

    async def put_vectors(self, vectors: Sequence[Vector]) -> None:
        settled = [_settled_vector(vector) for vector in vectors]
        files: dict[Path, dict[str, Vector]] = {}
        async with self._writing:
            for vector in settled:
                path = self._places.get((vector.tenant, vector.key)) or vector_path(vector)
                files.setdefault(path, {})[vector.key] = vector
            for path, new in files.items():
                known = {vector.key: vector for vector in await self._shard(path)}
                if all(_says_the_same(known.get(key), vector) for key, vector in new.items()):
                    continue  # recorded again, to the bit: nothing for git to see
                await self._write(path, dump_vectors, list((known | new).values()))
                self._place(path, [(vector.tenant, vector.key) for vector in new.values()])
            await self._memory.put_vectors(settled)

    async def find(self, query: Query) -> list[Reply]:
        return await self._memory.find(query)

    async def find_vectors(self, query: Query) -> list[Vector]:
        return await self._memory.find_vectors(query)

    async def delete(self, tenant: str, key_prefix: str) -> int:
        async with self._writing:
            for owner, key, form in list(self._recordings):
                if owner == tenant and key.startswith(key_prefix):
                    await self._remove_recording((owner, key, form))
            gone = {place for place in self._places if place[0] == tenant and place[1].startswith(key_prefix)}
            await self._drop_vectors(gone)
            return await self._memory.delete(tenant, key_prefix)

    async def prune(self, limits: Limits, tenant: str | None = None) -> Pruned:
        async with self._writing:
            pruned = await self._memory.prune(limits, tenant)
            if pruned.replies:
                await self._follow_replies()
            if pruned.vectors:
                gone: set[tuple[str, str]] = set()
                for path, places in self._shards.items():
                    gone |= places - {(vector.tenant, vector.key) for vector in await self._shard(path)}
                await self._drop_vectors(gone)
            return pruned

    async def add(self, tallies: Sequence[Tally]) -> None:
        await self._memory.add(tallies)

    async def stats(self, tenant: str | None = None) -> Stats:
        return await self._memory.stats(tenant)

    async def close(self) -> None:
        await self._memory.close()

    async def _repeats(self, place: Identity) -> list[Reply]:
        tenant, key, form = place
        found = await self._memory.find(Query(tenant=tenant, key_prefix=key, limit=EVERYTHING))
        return [reply for reply in found if reply.key == key and reply.form == form]

    async def _shard(self, path: Path) -> list[Vector]:
        """The vectors of one file that are still in memory."""
        places = self._shards.get(path, set())
        found: list[Vector] = []
        for tenant in {tenant for tenant, _ in places}:
            keys = [key for owner, key in places if owner == tenant]
            found += (await self._memory.get_vectors(tenant, keys)).values()
        return found

    def _place(self, path: Path, places: Iterable[tuple[str, str]]) -> None:
        for place in places:
            self._places[place] = path
            self._shards.setdefault(path, set()).add(place)

    async def _write_replies(self, repeats: Sequence[Reply]) -> None:
        place = identity(repeats[0])
        known = self._recordings.get(place)
        path = known.path if known else reply_path(repeats[0], self._taken)
        await self._write(path, dump_replies, repeats)
        self._record(path, repeats)

    def _record(self, path: Path, repeats: Sequence[Reply]) -> None:
        self._recordings[identity(repeats[0])] = _Recording(path, len(repeats))
        self._taken.add(path)

    async def _write[T](self, path: Path, dump: _Dump[T], entries: Sequence[T]) -> None:
        if path in self._broken and (self.folder / path).exists():
            raise StoreError(f"{self.folder / path} is broken and is not overwritten: repair or remove it first")

        def work() -> None:
            write_file(self.folder, path, dump(entries))

        await asyncio.to_thread(work)

    async def _remove_recording(self, place: Identity) -> None:
        path = self._recordings[place].path
        await asyncio.to_thread(remove_file, self.folder, path)
        del self._recordings[place]
        self._taken.discard(path)

    async def _follow_replies(self) -> None:
        """Let the files lose what memory has lost."""
        for place, recording in list(self._recordings.items()):
            count = await self._memory.count(*place)
            if not count:
                await self._remove_recording(place)
            elif count != recording.count:
                await self._write_replies(await self._repeats(place))

    async def _drop_vectors(self, gone: set[tuple[str, str]]) -> None:
        for path in {self._places[place] for place in gone}:
            kept = [vector for vector in await self._shard(path) if (vector.tenant, vector.key) not in gone]
            if kept:
                await self._write(path, dump_vectors, kept)
            else:
                await asyncio.to_thread(remove_file, self.folder, path)
            for place in self._shards[path] & gone:
                del self._places[place]
            self._shards[path] -= gone


def _says_the_same(old: Vector | None, new: Vector) -> bool:
    """Whether two recordings of a vector differ in nothing but when they were made and used."""
    return old is not None and old == replace(new, created=old.created, hits=old.hits, last_used=old.last_used)


def _read(folder: Path, create: bool) -> Scan:
    if create and not folder.exists():
        return Scan()
    if not folder.exists():
        record = f"record one with: run.py --mode record --cassette {folder} exec -- COMMAND"
        raise StoreError(f"no cassette folder at {folder}; {record}")
    return scan(folder)


def _settled(reply: Reply) -> Reply:
    """As a database would give it back, so that files and memory agree."""
    names = ("provider", "protocol", "host", "operation", "model", "ending")
    labels: dict[str, Any] = {name: label(getattr(reply, name)) for name in names}
    return replace(reply, **labels, created=reply.created or time.time())


def _settled_vector(vector: Vector) -> Vector:
    labels: dict[str, Any] = {name: label(getattr(vector, name)) for name in ("provider", "host", "model")}
    return replace(vector, **labels, text=storable(vector.text), created=vector.created or time.time())
