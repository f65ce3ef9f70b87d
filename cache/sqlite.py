"""The store in a SQLite file, or in memory."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from pathlib import Path

from cache.engine import DatabaseStore, Row, Step
from cache.migrate import refuse_others, upgrade_sqlite
from cache.statements import Params, Statements
from cache.store import StoreError
from cache.writer import Work, Writer

MEMORY = ":memory:"
WAL_LIMIT = 16 << 20
"""Bytes of write-ahead log above which it is emptied into the database."""

FREE_PAGES = 256
"""Free pages that are kept for the next entries; above it, and above a tenth, they are given back."""

VACUUM_PAGES = 2000
"""Pages given back at a time, so that writers in between need not wait long."""


class SqliteStore(DatabaseStore):
    """Point lookups read directly in the event loop, one thread writes, everything else reads in threads of its own.

    Several processes may use one file. A file that is replaced or removed while it is open is opened
    (or made) anew with the next write. Use `open`.
    """

    def __init__(self, path: str, *, flush_every: float, busy_timeout: float) -> None:
        super().__init__(Statements(postgres=False), flush_every)
        self._path = path
        self._busy = busy_timeout
        self._reader: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._file: tuple[int, int] | None = None
        guard = self._lock if self._in_memory else nullcontext()
        self._writer = Writer(self._connect, self._release, self._moved, guard)

    @classmethod
    async def open(cls, path: str | Path, *, flush_every: float = 5.0, busy_timeout: float = 5.0) -> SqliteStore:
        """Open, and make or migrate where needed, the database in a file, or one in memory for ":memory:".

        Hits are written every `flush_every` seconds; a write waits `busy_timeout` seconds for another
        process's. Raises StoreError.
        """
        store = cls(str(path), flush_every=flush_every, busy_timeout=busy_timeout)
        try:
            await store._work(lambda connection: None, alone=True)
        except BaseException:
            await store._writer.close()
            raise
        store._start_flushing()
        return store

    @property
    def _in_memory(self) -> bool:
        return self._path == MEMORY

    async def _point(self, sql: str, params: Params) -> Sequence[Row]:
        try:
            with self._lock:
                if self._reader is not None:
                    return self._reader.execute(sql, params).fetchall()
        except (sqlite3.Error, ValueError, OverflowError):
            pass  # busy, broken or impossible: the writer can wait, knows how to reopen, and says what is wrong
        return await self._work(lambda connection: connection.execute(sql, params).fetchall(), alone=True)

    async def _rows[T](self, sql: str, params: Params, decode: Callable[[Row], T]) -> list[T]:
        if self._closed:
            raise StoreError(f"{self._path}: the store is closed")

        def read() -> list[T]:
            if self._in_memory:
                with self._lock:
                    rows = self._shared().execute(sql, params).fetchall()
            else:
                with closing(_connect(self._path, self._busy, reading=True)) as connection:
                    rows = connection.execute(sql, params).fetchall()
            return [decode(row) for row in rows]

        try:
            return await asyncio.to_thread(read)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            raise self._error(error) from None

    async def _change(self, steps: Sequence[Step]) -> list[int]:
        def run(connection: sqlite3.Connection) -> list[int]:
            return [
                (connection.executemany if isinstance(params, list) else connection.execute)(sql, params).rowcount
                for sql, params in steps
            ]

        return await self._work(run)

    def _keys(self, keys: Sequence[str]) -> str:
        return json.dumps(list(keys))

    async def _tidy(self, *, removed: bool) -> None:
        if self._in_memory:
            return
        if removed:
            while await self._work(_give_back, alone=True):
                pass
        await self._work(lambda connection: _checkpoint(connection, self._path, always=removed), alone=True)

    async def _disconnect(self) -> None:
        await self._writer.close()

    async def _work[T](self, work: Work[T], *, alone: bool = False) -> T:
        try:
            return await self._writer.submit(work, alone=alone)
        except StoreError as error:
            raise StoreError(f"{self._path}: {error}") from None
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> StoreError:
        if isinstance(error, OSError):
            return StoreError(f"{self._path}: {error.strerror or error}")
        return StoreError(f"{self._path}: {str(error)[:200]}")

    def _shared(self) -> sqlite3.Connection:
        if self._reader is None:
            raise sqlite3.ProgrammingError("the store is closed")
        return self._reader

    def _connect(self) -> sqlite3.Connection:
        """Open the writing connection and the event loop's reading one; runs in the writer's thread."""
        if self._in_memory:
            connection = _connect(MEMORY, self._busy)
            upgrade_sqlite(connection)
            self._reader = connection
            return connection
        _create(Path(self._path))
        connection = _connect(self._path, self._busy)
        try:
            refuse_others(connection)
            _prepare(connection, self._busy)
            upgrade_sqlite(connection)
            # The loop's reader never waits: where it would have to, the lookup moves to the writer.
            reader = _connect(self._path, 0.0, reading=True)
        except BaseException:
            connection.close()
            raise
        self._file = _identity(self._path)
        with self._lock:
            self._reader = reader
        return connection

    def _release(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            reader, self._reader = self._reader, None
            if reader is not None:
                reader.close()
        connection.close()

    def _moved(self) -> bool:
        return not self._in_memory and _identity(self._path) != self._file


def _create(path: Path) -> None:
    """Make the file, readable by its owner only; SQLite gives its companions the same permissions."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _connect(path: str, busy: float, *, reading: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        # No mmap: it would save a fifth of a lookup, and end the process if the file is truncated under it.
        connection.execute("PRAGMA cache_size = -16000")
        if reading:
            connection.execute("PRAGMA query_only = ON")
            # The last one to close empties the log; a reader of a replaced file must not touch the new one's.
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, busy: float) -> None:
    """What is said once per file (free pages can be given back, write-ahead log) and once per connection."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    deadline = time.monotonic() + busy
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait by itself when two processes make a new file at once.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - before every transaction, and Path costs as much again
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _checkpoint(connection: sqlite3.Connection, path: str, *, always: bool) -> None:
    """Empty the write-ahead log into the database, if need be."""
    wal = Path(f"{path}-wal")
    if always or (wal.exists() and wal.stat().st_size > WAL_LIMIT):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _give_back(connection: sqlite3.Connection) -> bool:
    """Give some free pages back to the file system; whether there is more to do."""

    def number(pragma: str) -> int:
        return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])

    free = number("freelist_count")
    if free <= max(FREE_PAGES, number("page_count") // 10):
        return False
    connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
    return number("freelist_count") < free  # not so in a database made without incremental vacuum
