"""One suite for every database behind the store's interface."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cache import Limits, Pruned, Query, Store, StoreError, Tally, open_store
from cache.entry import Chunk, Reply, Usage, Vector

KEY = "ab" * 32
OTHER = "cd" * 32


@pytest.fixture(params=["file", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database that lasts."""
    if request.param == "file":
        return f"sqlite:///{tmp_path}/new folder/cache.db"
    return str(request.getfixturevalue("postgres").fresh_database())


@pytest.fixture(params=["memory", "file", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    urls = {"memory": lambda: "sqlite://", "file": lambda: f"sqlite:///{tmp_path}/cache.db"}
    fresh = urls.get(request.param) or (lambda: request.getfixturevalue("postgres").fresh_database())
    opened = await open_store(fresh())
    yield opened
    await opened.close()


def reply(**fields: Any) -> Reply:
    given = {
        "tenant": "local",
        "key": KEY,
        "form": "plain",
        "provider": "openai",
        "protocol": "openai_chat",
        "host": "api.openai.com",
        "operation": "chat",
        "model": "gpt-5",
        "request": b'{"method":"POST","body":{"messages":[{"role":"user","content":"hello"}]}}',
        "status": 200,
        "headers": (("content-type", "application/json"),),
        "body": b'{"id":"1"}',
        "created": 1000.0,
        "last_used": 1000.0,
    }
    return Reply(**{**given, **fields})


def vector(**fields: Any) -> Vector:
    values = struct.pack("<3f", 0.25, -1.5, 1e-8)
    given = {"tenant": "local", "key": KEY, "provider": "openai", "host": "h", "model": "m", "dimensions": 3}
    return Vector(**{**given, "values": values, "created": 1000.0, "last_used": 1000.0, **fields})


async def test_a_reply_comes_back_as_it_was_put(store: Store) -> None:
    stored = reply(
        form="sse",
        headers=(("content-type", "text/event-stream"), ("x-odd", "caf\udce9")),
        body=bytes(range(256)) * 40,
        chunks=(Chunk(1500, 10_000), Chunk(1700, 0), Chunk(9_000_000, 240)),
        ending="length",
        usage=Usage(10, 0, None, 3),
        upstream_ms=321,
        version=7,
        hits=4,
        last_used=2000.5,
        created=1234.5678,
    )
    await store.put(stored)
    assert await store.get("local", KEY, "sse") == stored


async def test_what_was_never_put_is_none(store: Store) -> None:
    await store.put(reply())
    assert await store.get("other", KEY, "plain") is None
    assert await store.get("local", OTHER, "plain") is None
    assert await store.get("local", KEY, "sse") is None
    assert await store.get("local", KEY, "plain", 1) is None
    assert await store.get_vectors("local", [KEY]) == {}
    assert await store.get_vectors("local", []) == {}


async def test_an_entry_without_times_was_made_now(store: Store) -> None:
    before = time.time()
    await store.put(reply(created=0.0, last_used=0.0))
    found = await store.get("local", KEY, "plain")
    assert found is not None
    assert before <= found.created <= time.time()
    assert found.last_used == found.created


async def test_repeats_keep_their_order(store: Store) -> None:
    for ordinal in (0, 1, 2, 10):
        await store.put(reply(ordinal=ordinal, body=b"%d" % ordinal), replace=False)
    assert await store.count("local", KEY, "plain") == 4
    bodies = [await store.get("local", KEY, "plain", ordinal) for ordinal in (0, 1, 2, 3, 4, None)]
    assert [found and found.body for found in bodies] == [b"0", b"1", b"2", b"10", None, b"10"]


async def test_replacing_removes_all_other_repeats_of_that_form_only(store: Store) -> None:
    for ordinal in range(3):
        await store.put(reply(ordinal=ordinal), replace=False)
    await store.put(reply(form="sse"))
    await store.put(reply(tenant="other"))
    await store.put(reply(body=b"new"))
    assert await store.count("local", KEY, "plain") == 1
    assert await store.count("local", KEY, "sse") == 1
    assert await store.count("other", KEY, "plain") == 1
    newest = await store.get("local", KEY, "plain")
    assert newest is not None
    assert newest.body == b"new"


async def test_without_replacing_only_the_same_ordinal_is_overwritten(store: Store) -> None:
    await store.put(reply(ordinal=0), replace=False)
    await store.put(reply(ordinal=1), replace=False)
    await store.put(reply(ordinal=0, body=b"again"), replace=False)
    first = await store.get("local", KEY, "plain", 0)
    assert first is not None
    assert first.body == b"again"
    assert await store.count("local", KEY, "plain") == 2


async def test_vectors_come_back_as_they_were_put(store: Store) -> None:
    stored = vector(text="héllo", tokens=5, version=2)
    await store.put_vectors([stored, vector(key=OTHER, tenant="other")])
    assert await store.get_vectors("local", [KEY, OTHER, KEY]) == {KEY: stored}
    again = dataclasses.replace(stored, tokens=9)
    await store.put_vectors([again])
    assert await store.get_vectors("local", [KEY]) == {KEY: again}


async def test_ten_thousand_vectors_at_once(store: Store) -> None:
    keys = [f"{number:064x}" for number in range(10_000)]
    await store.put_vectors([vector(key=key) for key in keys[::2]])
    found = await store.get_vectors("local", keys)
    assert sorted(found) == keys[::2]
    assert all(found[key].values == vector().values for key in found)


async def test_what_was_put_is_there_after_opening_again(url: str) -> None:
    store = await open_store(url)
    await store.put(reply())
    await store.put_vectors([vector()])
    await store.close()
    again = await open_store(url)
    assert await again.get("local", KEY, "plain") == reply()
    assert await again.get_vectors("local", [KEY]) == {KEY: vector()}
    await again.close()


async def test_uses_are_counted_and_written_when_closing(url: str) -> None:
    started = time.time()
    store = await open_store(url)
    await store.put(reply(hits=1))
    await store.put(reply(key=OTHER))
    await store.put_vectors([vector(), vector(key=OTHER)])
    for _ in range(3):
        await store.get("local", KEY, "plain")
    await store.get_vectors("local", [KEY, OTHER])
    await store.get_vectors("local", [KEY])
    await store.close()
    again = await open_store(url)
    used, unused = await again.find(Query(key_prefix=KEY)), await again.find(Query(key_prefix=OTHER))
    assert (used[0].hits, unused[0].hits) == (4, 0)
    assert used[0].last_used >= started
    assert unused[0].last_used == 1000.0
    vectors = await again.get_vectors("local", [KEY, OTHER])
    assert (vectors[KEY].hits, vectors[OTHER].hits) == (2, 1)
    assert vectors[KEY].last_used >= started
    await again.close()


async def test_uses_are_written_in_the_background(url: str) -> None:
    store, onlooker = await open_store(url, flush_every=0.001), await open_store(url)
    await store.put(reply())
    await store.get("local", KEY, "plain")
    async with asyncio.timeout(20):
        while (await onlooker.find(Query()))[0].hits != 1:  # noqa: ASYNC110 - the database knows
            await asyncio.sleep(0)
    await store.close()
    await onlooker.close()


async def test_finding_does_not_count_as_use(store: Store) -> None:
    await store.put(reply())
    await store.find(Query())
    await store.prune(Limits())  # writes what was counted
    assert (await store.find(Query()))[0].hits == 0


async def test_find_lists_the_newest_first_up_to_the_limit(store: Store) -> None:
    for number in range(5):
        await store.put(reply(key=f"{number}" * 64, created=1000.0 + number))
    await store.put(reply(tenant="other", created=5000.0))
    found = await store.find(Query(limit=3))
    assert [entry.key[0] for entry in found] == ["4", "3", "2"]
    assert [entry.tenant for entry in await store.find(Query(tenant="other"))] == ["other"]


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        (Query(), "abc"),
        (Query(key_prefix="aa"), "a"),
        (Query(key_prefix="a" * 64), "a"),
        (Query(key_prefix="ab"), ""),
        (Query(key_prefix="%"), ""),
        (Query(provider="anthropic"), "b"),
        (Query(host="b.example"), "b"),
        (Query(operation="embeddings"), "c"),
        (Query(model="m-c", provider="openai"), "c"),
        (Query(model="m-c", provider="anthropic"), ""),
        (Query(created_before=2.0), "a"),
        (Query(text="Grüße"), "ab"),
        (Query(text="only in b's body"), "b"),
        (Query(text="nowhere"), ""),
    ],
)
async def test_every_field_of_a_query_must_match(store: Store, query: Query, keys: str) -> None:
    await store.put(reply(key="a" * 64, model="m-a", request='{"body":"Grüße"}'.encode(), created=1.0))
    odd = {"host": "b.example", "provider": "anthropic", "body": b"only in b's body" * 500}
    await store.put(reply(key="b" * 64, **odd, request=b'{"body":"Gr\\u00fc\\u00dfe"}', created=2.0))
    await store.put(reply(key="c" * 64, model="m-c", operation="embeddings", request=b"{}", created=3.0))
    found = await store.find(query)
    assert sorted(entry.key[0] for entry in found) == list(keys)


async def test_searching_text_reads_on_until_enough_is_found(store: Store) -> None:
    puts = [reply(key=f"{n:064x}", body=b"wanted" if n < 3 else b"", created=float(n // 7 + 1)) for n in range(1100)]
    await asyncio.gather(*map(store.put, puts))
    assert [found.key for found in await store.find(Query(text="wanted"))] == [f"{n:064x}" for n in (2, 1, 0)]
    assert len(await store.find(Query(text="wanted", limit=2))) == 2


async def test_delete_by_prefix_removes_replies_and_vectors_of_one_tenant(store: Store) -> None:
    await store.put(reply())
    await store.put(reply(form="sse"))
    await store.put(reply(key=OTHER))
    await store.put(reply(tenant="other"))
    await store.put_vectors([vector()])
    assert await store.delete("local", "ab") == 3
    assert await store.delete("local", "ab") == 0
    assert await store.get("local", KEY, "plain") is None
    assert await store.get_vectors("local", [KEY]) == {}
    assert await store.get("local", OTHER, "plain") is not None
    assert await store.get("other", KEY, "plain") is not None
    assert await store.delete("local", "") == 1


async def test_old_entries_are_pruned_by_age_since_creation(store: Store) -> None:
    now = time.time()
    await store.put(reply(created=now - 100, last_used=now))
    await store.put(reply(key=OTHER, created=now - 1))
    await store.put_vectors([vector(created=now - 100), vector(key=OTHER, created=now)])
    pruned = await store.prune(Limits(max_age=50))
    assert (pruned.replies, pruned.vectors) == (1, 1)
    assert pruned.bytes > 0
    assert [entry.key for entry in await store.find(Query())] == [OTHER]
    assert list(await store.get_vectors("local", [KEY, OTHER])) == [OTHER]


async def test_the_least_recently_used_go_first_replies_and_vectors_alike(store: Store) -> None:
    for number, key in enumerate("abcd"):
        await store.put(reply(key=key * 64, created=float(number + 1), last_used=0.0))
    await store.put_vectors([vector(created=0.5, last_used=0.0), vector(key=OTHER, created=2.5, last_used=0.0)])
    await store.get("local", "a" * 64, "plain")  # the oldest reply is now the last used
    pruned = await store.prune(Limits(max_entries=3))
    assert (pruned.replies, pruned.vectors) == (1, 2)
    assert sorted(entry.key[0] for entry in await store.find(Query())) == ["a", "c", "d"]
    assert await store.prune(Limits(max_entries=3)) == Pruned()


async def test_pruning_by_bytes_removes_no_more_than_needed(store: Store) -> None:
    for number in range(1200):
        await store.put(reply(key=f"{number:064x}", body=b"x" * 1000, last_used=2000.0 + number))
    before = (await store.stats()).bytes
    each = before // 1200
    pruned = await store.prune(Limits(max_bytes=each * 100 + 10))
    assert pruned == Pruned(1100, 0, each * 1100)
    assert (await store.stats()).bytes == each * 100
    assert await store.get("local", f"{1100:064x}", "plain") is not None
    assert await store.get("local", f"{1099:064x}", "plain") is None


async def test_limits_of_one_tenant_leave_the_others_alone(store: Store) -> None:
    for tenant in ("local", "other"):
        for key in (KEY, OTHER):
            await store.put(reply(tenant=tenant, key=key))
    assert (await store.prune(Limits(max_age=1, max_entries=0), "other")).replies == 2
    assert len(await store.find(Query())) == 2


async def test_the_books_add_up(store: Store) -> None:
    line = Tally("2025-01-31", "local", "openai", "gpt-5", "hit", "", 1, 10, 20, 30, 40, 50)
    await store.add([line, dataclasses.replace(line, outcome="miss", note="truncated"), line])
    await store.add([line])
    await store.add([dataclasses.replace(line, tenant="other")])
    await store.add([])
    books = (await store.stats("local")).tallies
    assert books == (
        Tally("2025-01-31", "local", "openai", "gpt-5", "hit", "", 3, 30, 60, 90, 120, 150),
        dataclasses.replace(line, outcome="miss", note="truncated"),
    )
    assert len((await store.stats()).tallies) == 3


async def test_stats_count_rows_and_stored_bytes(store: Store) -> None:
    assert await store.stats() == await store.stats("local")
    assert (await store.stats()).bytes == 0
    await store.put(reply(body=b"a" * 100_000))
    await store.put(reply(tenant="other"))
    await store.put_vectors([vector()])
    everything, mine = await store.stats(), await store.stats("local")
    assert (everything.replies, everything.vectors) == (2, 1)
    assert (mine.replies, mine.vectors) == (1, 1)
    assert 0 < mine.bytes < everything.bytes < 1000  # compressed


async def test_names_no_database_can_hold_do_not_fail_an_entry(store: Store) -> None:
    odd = "\ud800\0" + "m" * 5000
    huge = Usage(10**30, 0)
    await store.put(reply(model=odd, operation="/" + "p" * 9000, usage=huge))
    await store.put_vectors([vector(text="nul \0", model=odd)])
    await store.add([Tally("2025-01-31", "local", "openai", odd, "hit", count=1)])
    (found,) = await store.find(Query(model=odd))
    assert found.model.startswith("\ufffd\ufffdmmm")
    assert found.usage.input_tokens == 2**63 - 1
    assert (await store.get_vectors("local", [KEY]))[KEY].text == "nul \ufffd"
    assert (await store.stats()).tallies[0].model == found.model


@pytest.mark.parametrize("key", ["nul\0", "\ud800"])
async def test_an_impossible_key_is_a_store_error_or_nothing_and_harms_no_other(store: Store, key: str) -> None:
    with contextlib.suppress(StoreError):
        assert await store.get("local", key, "plain") is None
    good, bad = await asyncio.gather(store.put(reply()), store.put(reply(key="\ud800")), return_exceptions=True)
    assert good is None
    assert isinstance(bad, StoreError)
    assert await store.get("local", KEY, "plain") == reply()


async def test_many_at_once(store: Store) -> None:
    replies = [reply(key=f"{number:064x}", body=b"%d" % number) for number in range(300)]
    await asyncio.gather(*map(store.put, replies))
    found = await asyncio.gather(*(store.get("local", entry.key, "plain") for entry in replies))
    assert found == replies


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreError):
        await store.put(reply())
    with pytest.raises(StoreError):
        await store.get("local", KEY, "plain")
    with pytest.raises(StoreError):
        await store.find(Query())


@pytest.mark.parametrize("url", ["", "cache.db", "mysql://me:pass-word@host/db", "sqlite:relative", "sqlite://host/x"])
async def test_an_unknown_kind_of_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        await open_store(url)
    assert "sqlite:///" in str(caught.value)
    assert "pass-word" not in str(caught.value)
