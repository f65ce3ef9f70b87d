"""The one thread that writes to SQLite: what is queued goes into one transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from cache.store import StoreError

type Work[T] = Callable[[sqlite3.Connection], T]

BATCH = 256
"""Jobs in one transaction at most, so that another process waiting for its turn gets it."""

BROKEN = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""Errors after which a connection may never work again, while a new one would."""


@dataclass(slots=True)
class _Job:
    work: Work[Any]
    alone: bool
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class Writer:
    """Runs work on the writing connection, in its own thread, in the order it was given.

    `connect` opens the connection anew whenever there is none, `moved` tells whether the open one
    no longer leads to the file of that name, `guard` is held while the connection is in use.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        disconnect: Callable[[sqlite3.Connection], None],
        moved: Callable[[], bool],
        guard: AbstractContextManager[Any],
    ) -> None:
        self._connect = connect
        self._disconnect = disconnect
        self._moved = moved
        self._guard = guard
        self._connection: sqlite3.Connection | None = None
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._left: list[_Job | None] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="wiretape-writer", daemon=True)
        self._thread.start()

    async def submit[T](self, work: Work[T], *, alone: bool = False) -> T:
        """Run `work` and wait until its transaction is committed; `alone` is for work outside any transaction.

        Work may be run a second time when another's in the same transaction failed. Raises StoreError.
        """
        if self._closed:
            raise StoreError("the store is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._jobs.put(_Job(work, alone, loop, future))
        return await future

    async def close(self) -> None:
        """Finish what is queued, close the connection and end the thread."""
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while batch := self._take():
            self._commit(batch)
        self._drop()

    def _take(self) -> list[_Job]:
        """What goes into the next transaction: all that is queued, up to the first job that must be alone."""
        batch: list[_Job] = []
        while len(batch) < BATCH:
            try:
                job = self._left.pop() if self._left else self._jobs.get(block=not batch)
            except Empty:
                break
            if job is None or (job.alone and batch):
                self._left.append(job)
                break
            batch.append(job)
            if job.alone:
                break
        return batch

    def _commit(self, batch: list[_Job]) -> None:
        try:
            with self._guard:
                results = self._attempt(batch)
        except (sqlite3.OperationalError, StoreError) as error:
            self._fail(batch, error)
        except Exception as error:  # whatever it is, it belongs to whoever asked, and this thread must go on
            if len(batch) == 1 or type(error) is sqlite3.DatabaseError:
                self._fail(batch, error)
            else:
                for job in batch:  # one of them cannot be stored: the others can
                    self._commit([job])
        else:
            for job, result in zip(batch, results, strict=True):
                _settle(job, result, None)

    def _attempt(self, batch: list[_Job]) -> list[Any]:
        connection = self._open()
        if batch[0].alone:
            return [batch[0].work(connection)]
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [job.work(connection) for job in batch]
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return results

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and (self._connection.in_transaction or self._moved()):
            self._drop()
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._disconnect(connection)

    def _fail(self, batch: list[_Job], error: Exception) -> None:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in BROKEN:
            self._drop()
        for job in batch:
            _settle(job, None, error)


def _settle(job: _Job, result: Any, error: Exception | None) -> None:
    def deliver() -> None:
        if job.future.done():  # the caller was cancelled meanwhile
            return
        if error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)

    with suppress(RuntimeError):  # a loop that is closed has nobody left to tell
        job.loop.call_soon_threadsafe(deliver)
