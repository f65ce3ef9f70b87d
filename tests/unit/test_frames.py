from __future__ import annotations

from addons.frames import FORM, Frames
from cache import Store
from tests.unit.exchanges import KEY, SECRET, made


async def test_the_first_frame_of_a_space_is_kept(store: Store) -> None:
    frames, found = Frames(store), made(protocol="openai_embeddings")
    assert await frames.get(found, KEY) is None
    await frames.keep(found, KEY, {"object": "list"}, 0)
    await frames.keep(found, KEY, {"object": "another"}, 0)
    assert await frames.get(found, KEY) == {"object": "list"}
    assert await store.count("local", KEY, FORM) == 1


async def test_an_empty_frame_or_one_with_a_credential_is_not_kept(store: Store) -> None:
    frames, found = Frames(store), made(protocol="openai_embeddings")
    for frame in ({}, None, {"echo": SECRET}):
        await frames.keep(found, KEY, frame, 0)
    assert await store.count("local", KEY, FORM) == 0


async def test_a_store_that_cannot_be_read_has_no_frame(store: Store) -> None:
    await store.close()
    assert await Frames(store).get(made(protocol="openai_embeddings"), KEY) is None
