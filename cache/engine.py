"""What SQLite and Postgres have in common: the store in terms of what each driver provides."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Table

from cache.codec import reply_from, reply_row, tally_row, vector_from, vector_row
from cache.entry import Reply, Vector
from cache.retention import Victim, surplus
from cache.statements import Params, Statement, Statements
from cache.store import Limits, Pruned, Query, Stats, Store, StoreError, Tally
from cache.tables import replies, vectors
from cache.uses import Uses

log = logging.getLogger(__name__)

type Row = Sequence[Any]
type Step = tuple[str, Params | list[dict[str, Any]]]
"""A statement with its values, or with a list of them to be run once for each."""

FEW = 300
"""Up to so many vectors are read like a point lookup; more are read off the event loop."""

LARGE = 1 << 18
"""Replies of more bytes are compressed off the event loop."""

BATCH = 500
"""Entries removed in one transaction, so that writers in between need not wait long."""


class DatabaseStore(Store):
    """A store in a database. Names longer than 200 characters are cut, what no database holds becomes U+FFFD."""

    def __init__(self, statements: Statements, flush_every: float) -> None:
        self._sql = statements
        self._flush_every = flush_every
        self._uses = Uses()
        self._flushing: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._closed = False

    @abstractmethod
    async def _point(self, sql: str, params: Params) -> Sequence[Row]:
        """A few rows by primary key, as directly as the driver allows."""

    @abstractmethod
    async def _rows[T](self, sql: str, params: Params, decode: Callable[[Row], T]) -> list[T]:
        """Many rows, read and decoded without holding up the event loop."""

    @abstractmethod
    async def _change(self, steps: Sequence[Step]) -> list[int]:
        """Run statements in one transaction that is durable afterwards; the rows each one changed."""

    @abstractmethod
    def _keys(self, keys: Sequence[str]) -> Any:
        """A list of keys as the one parameter the statements expect."""

    @abstractmethod
    async def _tidy(self, *, removed: bool) -> None:
        """Give space back to the file system; `removed` tells that entries have just gone."""

    @abstractmethod
    async def _disconnect(self) -> None:
        """Let go of files and connections."""

    async def get(self, tenant: str, key: str, form: str, ordinal: int | None = None) -> Reply | None:
        place: dict[str, Any] = {"tenant": tenant, "key": key, "form": form}
        try:
            if ordinal is None:
                rows = await self._point(self._sql.newest, place)
            else:
                rows = await self._point(self._sql.repeat, {**place, "ordinal": ordinal})
        except StoreError as error:
            raise StoreError(f"cannot read reply {key}: {error}") from None
        if not rows:
            return None
        reply = reply_from(rows[0])
        self._uses.reply(reply)
        return reply

    async def count(self, tenant: str, key: str, form: str) -> int:
        rows = await self._point(self._sql.count, {"tenant": tenant, "key": key, "form": form})
        return int(rows[0][0])

    async def put(self, reply: Reply, *, replace: bool = True) -> None:
        large = len(reply.request) + len(reply.body) > LARGE
        row = await asyncio.to_thread(reply_row, reply) if large else reply_row(reply)
        if not replace:
            await self._change([(self._sql.put, row)])
            return
        place = {name: row[name] for name in ("tenant", "key", "form", "ordinal")}
        await self._change([(self._sql.drop_others, place), (self._sql.put, row)])

    async def get_vectors(self, tenant: str, keys: Sequence[str]) -> dict[str, Vector]:
        if not keys:
            return {}
        params = {"tenant": tenant, "keys": self._keys(keys)}
        if len(keys) <= FEW:
            found = [vector_from(row) for row in await self._point(self._sql.get_vectors, params)]
        else:
            found = await self._rows(self._sql.get_vectors, params, vector_from)
        known = {vector.key: vector for vector in found}
        if known:
            self._uses.keys(tenant, known)
        return known

    async def put_vectors(self, vectors: Sequence[Vector]) -> None:
        # Sorted, here and below: transactions that lock the same rows in the same order cannot deadlock.
        rows = [vector_row(vector) for vector in sorted(vectors, key=lambda vector: (vector.tenant, vector.key))]
        if rows:
            await self._change([(self._sql.put_vector, rows)])

    async def find(self, query: Query) -> list[Reply]:
        needles = _spellings(query.text)
        found: list[Reply] = []
        after: tuple[Any, ...] | None = None
        while len(found) < query.limit:
            size = query.limit if not needles else BATCH
            page = await self._rows(*self._sql.find(query, size, after), reply_from)
            found += [reply for reply in page if not needles or _holds(reply, needles)]
            if len(page) < size:
                break
            last = page[-1]
            after = (last.created, last.key, last.form, last.ordinal)
        return found[: query.limit]

    async def find_vectors(self, query: Query) -> list[Vector]:
        return await self._rows(*self._sql.find_vectors(query), vector_from)

    async def delete(self, tenant: str, key_prefix: str) -> int:
        steps: list[Step] = [self._sql.delete(table, tenant, key_prefix) for table in (replies, vectors)]
        gone = sum(await self._change(steps))
        if gone:
            await self._tidy(removed=True)
        return gone

    async def prune(self, limits: Limits, tenant: str | None = None) -> Pruned:
        await self._flush()
        gone: list[Victim] = []
        if limits.max_age is not None:
            before = time.time() - limits.max_age
            for owner in {row[0] for table in (replies, vectors) for row in await self._sizes(table, tenant)}:
                while victims := await self._rows(*self._sql.expired(before, owner, BATCH), _victim):
                    gone += await self._remove(victims)
        while limits.max_entries is not None or limits.max_bytes is not None:
            sizes = [*await self._sizes(replies, tenant), *await self._sizes(vectors, tenant)]
            oldest = await self._rows(*self._sql.least_used(tenant, BATCH), _victim)
            victims = surplus(oldest, limits, sum(count for _, count, _ in sizes), sum(size for _, _, size in sizes))
            if not victims:
                break
            gone += await self._remove(victims)
        if gone:
            await self._tidy(removed=True)
        lost_vectors = sum(victim.form is None for victim in gone)
        return Pruned(len(gone) - lost_vectors, lost_vectors, sum(victim.size for victim in gone))

    async def add(self, tallies: Sequence[Tally]) -> None:
        order = ("day", "tenant", "provider", "model", "outcome", "note")
        rows = sorted(map(tally_row, tallies), key=lambda row: [row[name] for name in order])
        if rows:
            await self._change([(self._sql.add, rows)])

    async def stats(self, tenant: str | None = None) -> Stats:
        both = [await self._sizes(table, tenant) for table in (replies, vectors)]
        rows = [sum(count for _, count, _ in sizes) for sizes in both]
        size = sum(size for sizes in both for _, _, size in sizes)
        books = await self._rows(*self._sql.books(tenant), lambda row: Tally(*row))
        return Stats(rows[0], rows[1], size, tuple(books))

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._stopping.set()
        try:
            if self._flushing is not None:
                await self._flushing
            await self._flush()
        except StoreError as error:
            log.warning("the last hits were not counted: %s", error)
        finally:
            await self._disconnect()

    def _start_flushing(self) -> None:
        self._flushing = asyncio.create_task(self._keep_flushing(), name="wiretape-store-flush")

    async def _keep_flushing(self) -> None:
        failing = False
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._flush_every)
            try:
                await self._flush()
                await self._tidy(removed=False)
                failing = False
            except StoreError as error:
                if not failing:
                    log.warning("hits are not written for now, they are kept for later: %s", error)
                failing = True

    async def _flush(self) -> None:
        """Write the hits collected so far; on failure they are kept for the next time."""
        if not self._uses:
            return
        uses, self._uses = self._uses, Uses()
        steps: list[Step] = []
        if uses.replies:
            names = ("tenant", "key", "form", "ordinal")
            rows = [
                {**dict(zip(names, place, strict=True)), "more": more, "used": used}
                for place, (more, used) in sorted(uses.replies.items())
            ]
            steps.append((self._sql.used_reply, rows))
        for (tenant, more), keys in sorted(uses.vector_groups().items()):
            params = {"tenant": tenant, "keys": self._keys(keys), "more": more, "used": uses.vectors_at}
            steps.append((self._sql.used_vectors, params))
        try:
            await self._change(steps)
        except BaseException:
            self._uses.merge(uses)
            raise

    async def _sizes(self, table: Table, tenant: str | None) -> list[tuple[str, int, int]]:
        """(tenant, rows, bytes) of one tenant or of each."""
        sizes = await self._rows(*self._sql.sizes(table), lambda row: (row[0], row[1], row[2]))
        return [row for row in sizes if tenant is None or row[0] == tenant]

    async def _remove(self, victims: Sequence[Victim]) -> Sequence[Victim]:
        """Remove entries in one transaction."""
        ordered = sorted(victims, key=lambda victim: (victim.tenant, victim.key, victim.form or "", victim.ordinal))
        lost_replies: list[dict[str, Any]] = []
        lost_vectors: list[dict[str, Any]] = []
        for victim in ordered:
            place = {"tenant": victim.tenant, "key": victim.key}
            if victim.form is None:
                lost_vectors.append(place)
            else:
                lost_replies.append({**place, "form": victim.form, "ordinal": victim.ordinal})
        both = ((self._sql.drop_reply, lost_replies), (self._sql.drop_vector, lost_vectors))
        await self._change([(sql, rows) for sql, rows in both if rows])
        return victims


def _victim(row: Row) -> Victim:
    return Victim(*row[:5])


def _spellings(text: str) -> list[bytes]:
    """How `text` may stand in stored JSON: as it is, or escaped with or without ASCII."""
    if not text:
        return []
    written = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], text}
    return [spelling.encode("utf-8", "surrogatepass") for spelling in written]


def _holds(reply: Reply, needles: Sequence[bytes]) -> bool:
    return any(needle in reply.request or needle in reply.body for needle in needles)


__all__ = ["DatabaseStore", "Params", "Row", "Statement", "Step"]
