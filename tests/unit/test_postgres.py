"""What only a server can do to us: stop, restart, hang, refuse, and know our password."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from cache import Query, StoreError, open_store
from cache.postgres import PostgresStore
from tests.postgres import PostgresServer
from tests.unit.test_store import KEY, OTHER, reply, vector


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of this module's own, as it is stopped here."""
    with PostgresServer() as started:
        yield started


@pytest.fixture
async def store(server: PostgresServer) -> AsyncIterator[PostgresStore]:
    opened = await PostgresStore.open(server.fresh_database(), answer_within=1.0, retry_after=0.0)
    yield opened
    await opened.close()


async def test_a_restart_goes_unnoticed(server: PostgresServer, store: PostgresStore) -> None:
    await store.put(reply())
    await asyncio.gather(*(store.get("local", KEY, "plain") for _ in range(30)))  # several connections
    server.stop()
    server.start()
    assert await store.get("local", KEY, "plain") == reply()
    await store.put(reply(key=OTHER))


async def test_a_stopped_server_is_reported_soon_and_found_again(server: PostgresServer, store: PostgresStore) -> None:
    await store.put(reply())
    server.stop()
    try:
        with pytest.raises(StoreError, match="does not answer within 1 s"):
            await store.get("local", KEY, "plain")
        with pytest.raises(StoreError):
            await store.put(reply(key=OTHER))
    finally:
        server.start()
    assert await store.get("local", KEY, "plain") == reply()
    await store.put(reply(key=OTHER))
    assert len(await store.find(Query())) == 2


async def test_while_the_server_is_away_only_one_waits_for_it(server: PostgresServer) -> None:
    store = await PostgresStore.open(server.fresh_database(), answer_within=0.2, retry_after=3600.0)
    server.stop()
    try:
        with pytest.raises(StoreError, match=r"within 0\.2 s"):
            await store.get("local", KEY, "plain")
        with pytest.raises(StoreError, match=r"does not answer$"):
            await store.get("local", KEY, "plain")
    finally:
        server.start()
        await store.close()


async def test_a_hanging_server_is_given_up_in_time(server: PostgresServer, store: PostgresStore) -> None:
    await store.put(reply())
    with psycopg.connect(server.url) as connection:
        backends = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchall()
    held = [pid for (pid,) in backends if _alive(pid)]
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match="does not answer within 1 s"):
            await store.get("local", KEY, "plain")
    finally:
        for pid in held:
            os.kill(pid, signal.SIGCONT)
    assert await store.get("local", KEY, "plain") == reply()


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:sesame-42@127.0.0.1:1/db",
        "postgresql://me:sesame-42%zz@127.0.0.1/db",
        "postgresql://me:sesame-42@127.0.0.1:port/db",
        "postgresql://me@127.0.0.1:1/db?password=sesame-42",
        "postgresql://me:sesame-42@127.0.0.1:1/db?nonsense=sesame-42",
    ],
)
async def test_no_error_tells_the_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        await open_store(url)
    told: BaseException | None = caught.value
    while told is not None:
        assert "sesame" not in str(told)
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)


async def test_a_damaged_reply_is_an_error_that_names_it(server: PostgresServer) -> None:
    url = server.fresh_database()
    store = await PostgresStore.open(url)
    await store.put(reply(key=OTHER))
    await store.put(reply())
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE replies SET body = substr(body, 2) WHERE key = %s", [KEY])
    with pytest.raises(StoreError, match=KEY):
        await store.get("local", KEY, "plain")
    assert await store.get("local", OTHER, "plain") == reply(key=OTHER)
    await store.close()


async def test_two_stores_writing_the_same_entries_do_not_fail_each_other(server: PostgresServer) -> None:
    url = server.fresh_database()
    stores = [await open_store(url) for _ in range(2)]
    vectors = [vector(key=f"{number:064x}") for number in range(50)]
    puts = [store.put(reply(key=f"{number % 7:064x}")) for number in range(50) for store in stores]
    await asyncio.gather(*puts, stores[0].put_vectors(vectors), stores[1].put_vectors(vectors[::-1]))
    stats = await stores[0].stats()
    assert (stats.replies, stats.vectors) == (7, 50)
    for store in stores:
        await store.close()


async def test_transactions_that_stand_in_each_others_way_are_repeated(server: PostgresServer) -> None:
    url = server.fresh_database()
    store = await PostgresStore.open(url, answer_within=30.0)
    for ordinal in (0, 1):
        await store.put(reply(ordinal=ordinal), replace=False)
    async with await psycopg.AsyncConnection.connect(url) as other:
        # We hold 1 and the put holds 0; then each wants the other's, and the put is the one to give way.
        await other.execute("SET deadlock_timeout = '60s'")
        await other.execute("UPDATE replies SET hits = 5 WHERE ordinal = 1")
        put = asyncio.create_task(store._change([_hit(0), _hit(1)]))
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as onlooker:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while await (await onlooker.execute(waiting)).fetchone() != (1,):  # noqa: ASYNC110 - the server knows
                await asyncio.sleep(0)
        await other.execute("UPDATE replies SET hits = 5 WHERE ordinal = 0")
    assert await put == [1, 1]
    assert [found.hits for found in await store.find(Query())] == [6, 6]
    await store.close()


def _hit(ordinal: int) -> tuple[str, dict[str, int]]:
    return "UPDATE replies SET hits = hits + 1 WHERE ordinal = %(ordinal)s", {"ordinal": ordinal}
