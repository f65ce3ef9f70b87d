"""Recordings moved between a database and a folder of cassette files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cache.cassette import CassetteStore
from cache.entry import Chunk, Reply, Vector
from cache.sqlite import SqliteStore
from cache.store import Query, Store, StoreError
from cache.transfer import Moved, export, import_
from tests.unit.recordings import a_reply

KEYS = ["a" * 64, "b" * 64, "c" * 64]


RECORDED = [
    a_reply(KEYS[0], body=b'{"n": 1}\n', created=1767225600.123456),
    a_reply(KEYS[0], ordinal=1, body=b"second", created=7.0),
    a_reply(KEYS[0], ordinal=4, body=b"\xff\x00"),
    a_reply(KEYS[1], form="sse", body=b"data: {}\n\n", chunks=(Chunk(3, 10),)),
    a_reply(KEYS[2], model="other"),
]


@pytest.fixture
async def database() -> AsyncIterator[Store]:
    store = await SqliteStore.open(":memory:")
    for reply in RECORDED:
        await store.put(reply, replace=False)
    yield store
    await store.close()


@pytest.fixture
async def empty() -> AsyncIterator[Store]:
    store = await SqliteStore.open(":memory:")
    yield store
    await store.close()


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.yaml")}


async def held(store: Store, tenant: str = "local") -> list[Reply]:
    found = await store.find(Query(tenant=tenant))
    bare = [replace(reply, hits=0, last_used=0.0) for reply in found]
    return sorted(bare, key=lambda reply: (reply.key, reply.ordinal))


async def test_export_and_import_give_the_same_entries_and_the_same_files(
    database: Store, empty: Store, tmp_path: Path
) -> None:
    assert await export(database, tmp_path / "one", Query(limit=1)) == Moved(replies=5)
    assert len(files(tmp_path / "one")) == 3
    assert await import_(tmp_path / "one", empty) == Moved(replies=5)
    assert await held(empty) == RECORDED
    await export(empty, tmp_path / "two", Query())
    assert files(tmp_path / "two") == files(tmp_path / "one")


async def test_only_what_matches_is_exported_and_the_rest_of_the_folder_stays(database: Store, tmp_path: Path) -> None:
    await export(database, tmp_path, Query(model="other"))
    before = files(tmp_path)
    assert await export(database, tmp_path, Query(key_prefix="a")) == Moved(replies=3)
    assert len(files(tmp_path)) == 2
    assert before.items() <= files(tmp_path).items()


async def test_a_tenants_recording_plays_for_everyone(empty: Store, tmp_path: Path) -> None:
    await empty.put(a_reply(KEYS[0], tenant="alice"))
    await export(empty, tmp_path, Query(tenant="alice"))
    assert await import_(tmp_path, empty) == Moved(replies=1)
    assert await import_(tmp_path, empty, tenant="bob") == Moved(replies=1)
    assert await held(empty) == [a_reply(KEYS[0])]
    assert await held(empty, "bob") == [a_reply(KEYS[0], tenant="bob")]


async def test_an_import_takes_the_place_of_what_is_there(database: Store, empty: Store, tmp_path: Path) -> None:
    await export(database, tmp_path, Query(key_prefix="a"))
    await empty.put(a_reply(KEYS[0], ordinal=9))
    await import_(tmp_path, empty)
    assert [reply.ordinal for reply in await held(empty)] == [0, 1, 4]


async def test_a_broken_file_is_left_out_or_stops_everything(database: Store, empty: Store, tmp_path: Path) -> None:
    await export(database, tmp_path, Query())
    path = tmp_path / next(path for path in files(tmp_path) if "other" in path.name)
    path.write_text("wiretape: 9\n")
    with pytest.raises(StoreError, match=r"yaml:1: written in format 9"):
        await import_(tmp_path, empty, strict=True)
    assert await held(empty) == []
    moved = await import_(tmp_path, empty)
    assert (moved.replies, len(moved.problems)) == (4, 1)
    with pytest.raises(StoreError, match="is broken and is not overwritten"):
        await export(database, tmp_path, Query())
    assert path.read_text() == "wiretape: 9\n"


async def test_vectors_go_along(empty: Store, tmp_path: Path) -> None:
    source = await CassetteStore.open(tmp_path / "one")
    vector = Vector("local", KEYS[0], "openai", "h", "m", 1, b"\x00\x00\x80\x3f", "hi", 1, created=5.0)
    await source.put_vectors([vector, replace(vector, key=KEYS[1])])
    assert await import_(tmp_path / "one", empty) == Moved(vectors=2)
    assert {key: it.values for key, it in (await empty.get_vectors("local", KEYS)).items()} == dict.fromkeys(
        KEYS[:2], vector.values
    )
    assert await export(source, tmp_path / "two", Query(key_prefix="a")) == Moved(vectors=1)
    await source.close()
    assert len(files(tmp_path / "two")) == 1


async def test_a_missing_folder_is_an_error(empty: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no cassette folder at"):
        await import_(tmp_path / "none", empty)
