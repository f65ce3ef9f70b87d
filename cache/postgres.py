"""The store in a Postgres database."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from cache.engine import DatabaseStore, Row, Step
from cache.migrate import upgrade_postgres
from cache.statements import Params, Statements
from cache.store import StoreError

# The pool reports every attempt to reconnect; whoever asks for something is told by a StoreError.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

type Connection = psycopg.AsyncConnection[tuple[Any, ...]]

ROWS = 200
"""Rows fetched, or decoded in the event loop, at a time."""

LONGER = 5
"""How much more time than a lookup a transaction is given: it may carry thousands of rows."""

ATTEMPTS = 3
REPEATABLE = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


class PostgresStore(DatabaseStore):
    """One pool of connections for everything. Use `open`.

    While the database does not answer, every call fails: one in `retry_after` seconds tries again,
    for at most `answer_within` seconds, the others fail at once.
    """

    def __init__(self, conninfo: str, *, flush_every: float, answer_within: float, retry_after: float) -> None:
        super().__init__(Statements(postgres=True), flush_every)
        self._secrets = [value for name, value in conninfo_to_dict(conninfo).items() if "password" in name and value]
        self._answer_within = answer_within
        self._retry_after = retry_after
        self._retry_at = 0.0
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            conninfo,
            open=False,
            min_size=1,
            max_size=8,
            timeout=answer_within,
            reconnect_timeout=answer_within,
            kwargs={"autocommit": True, "prepare_threshold": 1},
            name="wiretape",
        )

    @classmethod
    async def open(
        cls, url: str, *, flush_every: float = 5.0, answer_within: float = 2.0, retry_after: float = 1.0
    ) -> PostgresStore:
        """Connect to, and migrate where needed, the database at a `postgresql://` URL.

        Hits are written every `flush_every` seconds. Raises StoreError.
        """
        try:
            conninfo = make_conninfo(url, connect_timeout=str(max(2, math.ceil(answer_within))))
            store = cls(conninfo, flush_every=flush_every, answer_within=answer_within, retry_after=retry_after)
        except (psycopg.Error, UnicodeError):
            # The driver's own words may quote what stands in the URL.
            raise StoreError("not a valid Postgres URL: use postgresql://user:password@host:5432/database") from None
        try:
            await asyncio.to_thread(upgrade_postgres, conninfo)
            await store._pool.open()
        except (psycopg.Error, StoreError) as error:
            await store._pool.close()
            raise store._error(error) from None
        store._start_flushing()
        return store

    async def _point(self, sql: str, params: Params) -> Sequence[Row]:
        async def read(connection: Connection) -> Sequence[Row]:
            cursor = await connection.execute(sql.encode(), params, binary=True)
            return await cursor.fetchall()

        return await self._run(read, self._answer_within)

    async def _rows[T](self, sql: str, params: Params, decode: Callable[[Row], T]) -> list[T]:
        async def read(connection: Connection) -> list[T]:
            found: list[T] = []
            async with connection.cursor(binary=True) as cursor:
                await cursor.execute(sql.encode(), params)
                while rows := await cursor.fetchmany(ROWS):
                    found += await asyncio.to_thread(_decode_all, decode, rows)
            return found

        return await self._run(read)

    async def _change(self, steps: Sequence[Step]) -> list[int]:
        async def write(connection: Connection) -> list[int]:
            changed = []
            async with connection.transaction(), connection.cursor() as cursor:
                for sql, params in steps:
                    if isinstance(params, list):
                        await cursor.executemany(sql.encode(), params)
                    else:
                        await cursor.execute(sql.encode(), params)
                    changed.append(cursor.rowcount)
            return changed

        return await self._run(write, LONGER * self._answer_within)

    def _keys(self, keys: Sequence[str]) -> list[str]:
        return list(keys)

    async def _tidy(self, *, removed: bool) -> None:
        """Postgres vacuums by itself."""

    async def _disconnect(self) -> None:
        await self._pool.close()

    async def _run[T](self, work: Callable[[Connection], Awaitable[T]], within: float | None = None) -> T:
        """Run work on a connection, again where the connection was stale or other transactions stood in the way."""
        for attempt in range(1, ATTEMPTS + 1):
            lost = hung = False
            try:
                async with self._connection() as connection, _hung_up_after(connection, within) as hung_up:
                    try:
                        return await work(connection)
                    finally:
                        lost, hung = connection.closed, hung_up()
            except PoolTimeout:
                raise self._silent(self._answer_within) from None
            except REPEATABLE as error:
                if attempt == ATTEMPTS:
                    raise self._error(error) from None
            except (psycopg.Error, UnicodeError, OverflowError) as error:
                if within is not None and hung:
                    raise self._silent(within) from None
                if not lost or attempt == ATTEMPTS:
                    raise self._error(error) from None
                await self._pool.check()  # the server was restarted: the others are as stale as this one
        raise AssertionError("the last attempt returns or raises")

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        now = time.monotonic()
        if now < self._retry_at:
            raise StoreError("the database does not answer")
        if self._retry_at:
            self._retry_at = now + self._retry_after  # this one tries, the others need not wait with it
        async with self._pool.connection() as connection:
            self._retry_at = 0.0
            yield connection

    def _silent(self, seconds: float) -> StoreError:
        self._retry_at = time.monotonic() + self._retry_after
        return StoreError(f"the database does not answer within {seconds:g} s")

    def _error(self, error: Exception) -> StoreError:
        text = " ".join(str(error).split())[:300]
        for secret in self._secrets:
            text = text.replace(str(secret), "***")
        return StoreError(f"the database: {text}")


@asynccontextmanager
async def _hung_up_after(connection: Connection, seconds: float | None) -> AsyncIterator[Callable[[], bool]]:
    """Cut the line to a server that hangs; cancelling politely, as the driver does, takes ten seconds more."""
    cut = False

    def hang_up() -> None:
        nonlocal cut
        cut = True
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)

    alarm = None if seconds is None else asyncio.get_running_loop().call_later(seconds, hang_up)
    try:
        yield lambda: cut
    finally:
        if alarm is not None:
            alarm.cancel()


def _decode_all[T](decode: Callable[[Row], T], rows: Sequence[Row]) -> list[T]:
    return [decode(row) for row in rows]
