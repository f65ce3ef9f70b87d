"""What only a SQLite file can do to us: locks, damage, a full disk, a file that is replaced."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cache import Limits, Query, StoreError, open_store
from cache.entry import Chunk
from cache.sqlite import SqliteStore
from tests.unit.test_store import KEY, OTHER, reply, vector

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cache.db"


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def size(folder: Path) -> int:
    """Bytes of all files in it."""
    return sum(entry.stat().st_size for entry in folder.iterdir())


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(path, busy_timeout=0.05)
    yield opened
    await opened.close()


async def test_only_the_owner_can_read_what_is_stored(store: SqliteStore, path: Path) -> None:
    await store.put(reply())
    modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    assert modes == {"cache.db": 0o600, "cache.db-wal": 0o600, "cache.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_closing_leaves_one_file(store: SqliteStore, path: Path) -> None:
    await store.put(reply())
    await store.close()
    assert [entry.name for entry in path.parent.iterdir()] == ["cache.db"]


async def test_a_lock_held_by_another_process_is_reported_and_passes(store: SqliteStore, path: Path) -> None:
    await store.put(reply())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"cache\.db: database is locked"):
        await store.put(reply(key=OTHER))
    assert await store.get("local", KEY, "plain") is not None
    other.execute("ROLLBACK")
    other.close()
    await store.put(reply(key=OTHER))
    assert await store.get("local", OTHER, "plain") is not None


async def test_a_full_disk_is_reported_and_passes(store: SqliteStore) -> None:
    await store.put(reply())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(StoreError, match=r"cache\.db: "):
            await store.put(reply(key=OTHER, body=os.urandom(3 << 20)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert await store.get("local", OTHER, "plain") is None
    assert await store.get("local", KEY, "plain") == reply()
    await store.put(reply(key=OTHER, body=b"small"))
    assert await store.get("local", OTHER, "plain") is not None


async def test_hits_that_could_not_be_written_are_kept(store: SqliteStore, path: Path) -> None:
    await store.put(reply())
    await store.get("local", KEY, "plain")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        await store.prune(Limits())
    await store.get("local", KEY, "plain")
    other.execute("ROLLBACK")
    other.close()
    await store.prune(Limits())
    assert (await store.find(Query()))[0].hits == 2


@pytest.mark.parametrize("column", ["body", "request", "headers", "chunks"])
@pytest.mark.parametrize(
    "damage", ["substr({0}, 1, length({0}) - 1)", "x''", "'text'", "x'09000000' || {0}", "zeroblob(9)"]
)
async def test_a_damaged_reply_is_an_error_that_names_it(
    store: SqliteStore, path: Path, column: str, damage: str
) -> None:
    await store.put(reply(body=b"long enough to be compressed" * 200, chunks=(Chunk(1, 5600),)))
    await store.put(reply(key=OTHER))
    with sqlite3.connect(path) as other:
        other.execute(f"UPDATE replies SET {column} = {damage.format(column)} WHERE key = ?", [KEY])
    other.close()
    with pytest.raises(StoreError, match=KEY):
        await store.get("local", KEY, "plain")
    assert await store.get("local", OTHER, "plain") is not None
    await store.put(reply())
    assert await store.get("local", KEY, "plain") == reply()


async def test_a_damaged_vector_is_an_error_that_names_it(store: SqliteStore, path: Path) -> None:
    await store.put_vectors([vector()])
    with sqlite3.connect(path) as other:
        other.execute("UPDATE vectors SET dimensions = 4")
    other.close()
    with pytest.raises(StoreError, match=KEY):
        await store.get_vectors("local", [KEY])


async def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    diary = b"my diary, not a database\n" * 100
    write(path, diary)
    with pytest.raises(StoreError, match=r"cache\.db: file is not a database"):
        await open_store(f"sqlite:///{path}")
    assert read(path) == diary


async def test_an_impossible_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "cache.db"):
        with pytest.raises(StoreError, match=str(place)):
            await open_store(f"sqlite:///{place}")


async def test_damage_in_the_file_never_raises_anything_but_a_store_error(path: Path) -> None:
    store = await SqliteStore.open(path)
    replies = [reply(key=f"{number:064x}", body=os.urandom(600)) for number in range(200)]
    await asyncio.gather(*map(store.put, replies))
    await store.close()
    content = bytearray(read(path))
    content[8192:] = bytes(255 - byte for byte in content[8192:])
    write(path, bytes(content))
    failures = 0
    try:
        store = await SqliteStore.open(path)
    except StoreError:
        return
    for expected in replies:
        try:
            assert await store.get("local", expected.key, "plain") in (expected, None)
        except StoreError:
            failures += 1
    assert failures
    await store.close()


async def test_a_file_that_was_removed_is_made_anew_with_the_next_write(store: SqliteStore, path: Path) -> None:
    await store.put(reply())
    for name in ("cache.db", "cache.db-wal", "cache.db-shm"):
        (path.parent / name).unlink()
    await store.put(reply(key=OTHER))
    onlooker = await open_store(f"sqlite:///{path}")
    assert [found.key for found in await onlooker.find(Query())] == [OTHER]
    await onlooker.close()
    assert await store.get("local", KEY, "plain") is None
    assert await store.get("local", OTHER, "plain") == reply(key=OTHER)


async def test_the_file_shrinks_after_pruning(store: SqliteStore, path: Path) -> None:
    puts = [reply(key=f"{number:064x}", body=os.urandom(9000)) for number in range(500)]
    await asyncio.gather(*map(store.put, puts))
    await store.prune(Limits(max_entries=500))
    before = size(path.parent)
    await store.prune(Limits(max_entries=10))
    assert size(path.parent) < before / 3


PUTS = f"""
import asyncio, sys
sys.path.insert(0, {str(ROOT)!r})
from cache import open_store
from tests.unit.test_store import reply

async def main():
    store = await open_store("sqlite:///" + sys.argv[1])
    for number in range(int(sys.argv[2])):
        await store.put(reply(key=f"{{number:032x}}" + sys.argv[3] * 32))
        print(number, flush=True)
    await store.close()

asyncio.run(main())
"""


def start(path: Path, count: int, mark: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PUTS, str(path), str(count), mark]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_several_processes_make_and_fill_one_file(path: Path) -> None:
    running = [start(path, 60, mark) for mark in "abc"]
    assert [process.communicate(timeout=60)[0].count("\n") for process in running] == [60, 60, 60]
    store = await open_store(f"sqlite:///{path}")
    assert (await store.stats()).replies == 180
    await store.close()


async def test_killing_the_process_loses_nothing_that_was_put(path: Path) -> None:
    process = start(path, 1_000_000, "a")
    assert process.stdout is not None
    told = [int(process.stdout.readline()) for _ in range(150)]
    process.send_signal(signal.SIGKILL)
    told += [int(line) for line in process.communicate(timeout=60)[0].split("\n")[:-1]]
    store = await open_store(f"sqlite:///{path}")
    assert await store.count("local", f"{told[-1]:032x}" + "a" * 32, "plain") == 1
    assert (await store.stats()).replies >= len(told)
    await store.close()
