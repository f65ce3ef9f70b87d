"""A folder of cassette files used as the store."""

from __future__ import annotations

import asyncio
import stat
import string
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.cassette import CassetteStore
from cache.cassette.folder import reply_path, scan, vector_path
from cache.entry import Reply, Vector
from cache.store import Limits, Query, StoreError, Tally
from tests.unit.recordings import a_reply

KEY = "0123456789abcdef" * 4


def a_vector(key: str, **changes: Any) -> Vector:
    vector = Vector("local", key, "openai", "api.example.com", "embed", 1, b"\x00\x00\x80\x3f", "hi", 1, created=5.0)
    return replace(vector, **changes)


def bare(reply: Reply | None) -> Reply | None:
    return replace(reply, hits=0, last_used=0.0) if reply else None


def only_file(folder: Path, name: str = "*") -> Path:
    [path] = folder.rglob(f"{name}.yaml")
    return path


def modes(folder: Path) -> dict[bool, set[int]]:
    """The permissions by whether it is a folder."""
    found = [folder, *folder.rglob("*")]
    return {kind: {stat.S_IMODE(it.stat().st_mode) for it in found if it.is_dir() is kind} for kind in (True, False)}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "cassettes"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[CassetteStore]:
    opened = await CassetteStore.open(folder)
    yield opened
    await opened.close()


async def reopened(folder: Path, **options: Any) -> CassetteStore:
    return await CassetteStore.open(folder, create=False, **options)


async def test_what_is_put_is_there_after_reopening(store: CassetteStore, folder: Path) -> None:
    assert files(folder) == {}
    plain, streamed = a_reply(), a_reply(form="sse", body=b"data: [DONE]\n\n", model="x/y:z")
    await asyncio.gather(store.put(plain), store.put(streamed))
    assert bare(await store.get("local", KEY, "plain")) == plain
    again = await reopened(folder)
    assert bare(await again.get("local", KEY, "plain")) == plain
    assert bare(await again.get("local", KEY, "sse")) == streamed
    assert await again.get("other", KEY, "plain") is None
    await again.close()
    assert sorted(files(folder)) == [
        "openai/chat-completions-gpt-4.1-0123456789ab.yaml",
        "openai/chat-completions-x-y-z-0123456789ab.sse.yaml",
    ]


async def test_files_are_for_their_owner_only(store: CassetteStore, folder: Path) -> None:
    await store.put(a_reply())
    assert modes(folder) == {True: {0o700}, False: {0o600}}


async def test_repeats_keep_their_order_and_replace_drops_them(store: CassetteStore, folder: Path) -> None:
    repeats = [a_reply(ordinal=number, body=b"%d" % number) for number in range(3)]
    for reply in (repeats[1], repeats[0], repeats[2]):
        await store.put(reply, replace=False)
    [(_, text)] = files(folder).items()
    assert scan(folder).replies.popitem()[1] == tuple(repeats)
    assert await store.count("local", KEY, "plain") == 3

    await store.put(replace(repeats[1], body=b"new"), replace=False)
    again = await reopened(folder)
    assert [bare(await again.get("local", KEY, "plain", number)) for number in range(4)] == [
        repeats[0],
        replace(repeats[1], body=b"new"),
        repeats[2],
        None,
    ]
    await again.put(repeats[2], replace=True)
    assert scan(folder).replies.popitem()[1] == (repeats[2],)
    assert await again.count("local", KEY, "plain") == 1
    await again.close()
    assert text.count(b"ordinal") == 0


async def test_a_rerecorded_request_keeps_its_file(store: CassetteStore, folder: Path) -> None:
    await store.put(a_reply())
    before = set(files(folder))
    (folder / before.copy().pop()).rename(folder / "mine.yaml")
    again = await reopened(folder)
    await again.put(a_reply(model="renamed", operation="/other"))
    await again.close()
    assert set(files(folder)) == {"mine.yaml"}


async def test_two_keys_that_begin_alike_have_two_files(store: CassetteStore, folder: Path) -> None:
    twins = [a_reply(KEY[:12] + letter * 52) for letter in "ab"]
    for reply in twins:
        await store.put(reply)
    found = scan(folder)
    assert sorted(repeats[0].key for repeats in found.replies.values()) == [reply.key for reply in twins]


async def test_tenants_are_kept_apart(store: CassetteStore, folder: Path) -> None:
    for tenant in ("local", "../x", "..\\x"):
        await store.put(a_reply(tenant=tenant, body=tenant.encode()))
    again = await reopened(folder)
    for tenant in ("local", "../x", "..\\x"):
        found = await again.get(tenant, KEY, "plain")
        assert found is not None
        assert found.body == tenant.encode()
    await again.close()
    assert len(files(folder)) == 3


async def test_delete_and_find(store: CassetteStore, folder: Path) -> None:
    await store.put(a_reply())
    await store.put(a_reply("f" * 64, model="other"))
    await store.put_vectors([a_vector("ab" * 32), a_vector("ab" + "c" * 62)])
    assert [reply.key for reply in await store.find(Query(model="other"))] == ["f" * 64]
    assert await store.delete("local", "ff") == 1
    assert await store.delete("local", "abab") == 1
    assert await store.delete("elsewhere", "") == 0
    left = scan(folder)
    assert [repeats[0].key for repeats in left.replies.values()] == [KEY]
    assert [vector.key for vectors in left.vectors.values() for vector in vectors] == ["ab" + "c" * 62]
    assert await store.delete("local", "") == 2
    assert files(folder) == {}
    assert (await store.stats()).replies == 0


async def test_pruned_entries_leave_the_folder(store: CassetteStore, folder: Path) -> None:
    for number in range(3):
        await store.put(a_reply(ordinal=number, created=1000.0 + number), replace=False)
    await store.put(a_reply("e" * 64, created=5.0))
    await store.put_vectors([a_vector("ab" * 32, created=5.0), a_vector("ab" + "c" * 62, created=2000.0)])
    pruned = await store.prune(Limits(max_entries=3))
    assert (pruned.replies, pruned.vectors) == (2, 1)
    found = scan(folder)
    assert [reply.ordinal for repeats in found.replies.values() for reply in repeats] == [1, 2]
    assert [len(vectors) for vectors in found.vectors.values()] == [1]
    again = await reopened(folder)
    assert (await again.stats()).replies == 2
    assert await again.get("local", KEY, "plain", 1) is not None
    assert await again.get("local", KEY, "plain", 2) is None
    await again.close()


async def test_the_books_are_kept_while_it_runs(store: CassetteStore) -> None:
    await store.add([Tally("2026-01-01", "local", "openai", "m", "hit", count=2)])
    assert [tally.count for tally in (await store.stats()).tallies] == [2]


async def test_vectors_share_files_by_model_and_key(store: CassetteStore, folder: Path) -> None:
    vectors = [a_vector(f"{number:02x}" + f"{copy:062x}") for number in range(4) for copy in range(5)]
    await store.put_vectors(vectors[::-1])
    assert len(files(folder)) == 4
    await store.put_vectors([replace(vectors[0], text="changed", host="other"), a_vector("00" + "f" * 62)])
    again = await reopened(folder)
    known = await again.get_vectors("local", [vector.key for vector in vectors] + ["00" + "f" * 62, "nowhere"])
    assert len(known) == 21
    assert (known[vectors[0].key].text, known[vectors[0].key].host) == ("changed", "other")
    assert len(await again.find_vectors(Query(limit=50))) == 21
    assert [vector.key for vector in await again.find_vectors(Query(host="other"))] == [vectors[0].key]
    await again.close()
    assert len(files(folder)) == 4


async def test_writing_the_same_again_changes_nothing(store: CassetteStore, folder: Path) -> None:
    await store.put(a_reply())
    await store.put_vectors([a_vector("ab" * 32)])
    before = files(folder)
    await store.get("local", KEY, "plain")
    await store.put(a_reply(hits=4, last_used=9e9))
    await store.put_vectors([a_vector("ab" * 32)])
    assert files(folder) == before


async def test_a_broken_file_is_named_left_out_and_left_alone(store: CassetteStore, folder: Path) -> None:
    await store.put(a_reply())
    await store.put(a_reply("f" * 64))
    path = only_file(folder, f"*{KEY[:12]}")
    path.write_text("wiretape: 1\nprovider: [\n")
    again = await reopened(folder)
    assert again.problems == [f"{path}:3: not YAML: did not find expected node content"]
    assert await again.get("local", KEY, "plain") is None
    assert await again.get("local", "f" * 64, "plain") is not None
    with pytest.raises(StoreError, match=r"is broken and is not overwritten: repair or remove it first"):
        await again.put(a_reply())
    assert await again.get("local", KEY, "plain") is None
    await again.delete("local", "")
    assert path.read_text() == "wiretape: 1\nprovider: [\n"
    with pytest.raises(StoreError, match=r"yaml:3: not YAML"):
        await reopened(folder, strict=True)
    path.unlink()
    await again.put(a_reply())
    assert path.exists()
    await again.close()


async def test_a_key_in_two_files_is_a_problem(store: CassetteStore, folder: Path) -> None:
    await store.put(a_reply())
    path = only_file(folder)
    (folder / "openai" / "zz.yaml").write_bytes(path.read_bytes())
    again = await reopened(folder)
    assert again.problems == [
        f"{folder / 'openai' / 'zz.yaml'}:1: holds the same key 0123456789ab as {path.relative_to(folder)}"
    ]
    assert await again.count("local", KEY, "plain") == 1
    await again.close()


async def test_a_reply_with_a_credential_is_neither_written_nor_kept(store: CassetteStore, folder: Path) -> None:
    with pytest.raises(StoreError, match="credential"):
        await store.put(a_reply(headers=(("set-cookie", "a=b"),)))
    assert await store.get("local", KEY, "plain") is None
    assert files(folder) == {}


async def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    store: CassetteStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put(a_reply())
    before = files(folder)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*yaml: No space left on device"):
        await store.put(a_reply(body=b"new"))
    assert files(folder) == before
    assert bare(await store.get("local", KEY, "plain")) == a_reply()


async def test_a_missing_folder_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no cassette folder at .*; record one with: run.py --mode record"):
        await reopened(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"is not a folder"):
        await CassetteStore.open(tmp_path / "file")


_names = st.text(max_size=60) | st.sampled_from(
    ["", "..", "../../etc/passwd", "con", "NUL", "com1.x", "a" * 300, "C:\\x", "/", ".git", "-", "a/b", "\ud800", "%2e"]
)


def test_a_model_stands_once_in_a_file_name_also_where_its_path_is_escaped() -> None:
    reply = a_reply("ab" * 32, provider="bedrock", operation="POST /model/m-1%3A0/converse", model="m-1:0")
    assert reply_path(reply).as_posix() == "bedrock/model-converse-m-1-0-abababababab.yaml"


@given(provider=_names, operation=_names, model=_names, form=_names, key=_names, tenant=_names)
def test_paths_are_safe_whatever_the_names(
    provider: str, operation: str, model: str, form: str, key: str, tenant: str
) -> None:
    reply = a_reply(key, provider=provider, operation=operation, model=model, form=form, tenant=tenant)
    path = reply_path(reply)
    other = reply_path(reply, {path})
    vector = vector_path(a_vector(key, provider=provider, model=model, tenant=tenant))
    assert path != other
    for each in (path, other, vector):
        assert len(str(each)) <= 120
        assert len(each.parts) == (2 if tenant == "local" else 3)
        assert each.suffix == ".yaml"
        for part in each.parts:
            assert set(part) <= set(string.ascii_lowercase + string.digits + "-.")
            assert part[0] not in "-."
            assert part[-1] not in "-."
            assert part.split(".")[0] not in ("con", "prn", "aux", "nul", "com1")


async def test_a_vector_recorded_again_leaves_its_file_alone(store: CassetteStore, folder: Path) -> None:
    await store.put_vectors([a_vector("ab" * 32, created=5.0)])
    before = files(folder)
    await store.put_vectors([a_vector("ab" * 32, created=99.0)])
    assert files(folder) == before
    await store.put_vectors([a_vector("ab" * 32, created=99.0, tokens=77)])
    assert files(folder) != before
