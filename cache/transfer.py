"""Recordings on their way between a store and a folder of cassette files."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from cache.cassette.folder import identity, scan
from cache.cassette.store import EVERYTHING, CassetteStore
from cache.entry import Reply
from cache.store import Query, Store, StoreError

LOCAL_TENANT = "local"


@dataclass(frozen=True, slots=True)
class Moved:
    """How many entries were carried over, and a line `path:line: what` for each file that was left out."""

    replies: int = 0
    vectors: int = 0
    problems: tuple[str, ...] = ()


async def export(source: Store, folder: Path, query: Query) -> Moved:
    """Write everything that matches `query`, whatever its limit, to a folder, which may hold other recordings.

    A recording of the same request there is replaced. Whoever's it was, a cassette plays for
    everyone: it belongs to the tenant `local`. Raises StoreError, for a broken file in the way too.
    """
    query = dataclasses.replace(query, limit=EVERYTHING)
    found = sorted(await source.find(query), key=lambda reply: (identity(reply), reply.ordinal))
    replies = [dataclasses.replace(reply, tenant=LOCAL_TENANT) for reply in found]
    vectors = [dataclasses.replace(it, tenant=LOCAL_TENANT) for it in await source.find_vectors(query)]
    target = await CassetteStore.open(folder)
    try:
        for _, repeats in groupby(replies, key=identity):
            await target.put_repeats(list(repeats))
        await target.put_vectors(vectors)
    finally:
        await target.close()
    return Moved(len(replies), len(vectors), tuple(target.problems))


async def import_(folder: Path, target: Store, *, strict: bool = False, tenant: str | None = None) -> Moved:
    """Put everything a folder holds into a store, in place of what it has for the same requests.

    Ordinals stay as they are; `tenant` says whose it shall be if not the one in the files. Broken
    files are left out. Raises StoreError for a missing folder, and with `strict` for a broken
    file, before anything is stored.
    """
    found = await asyncio.to_thread(scan, folder)
    if strict and found.problems:
        raise StoreError(found.problems[0])
    count = 0
    for repeats in found.replies.values():
        for number, reply in enumerate(_owned(repeats, tenant)):
            await target.put(reply, replace=number == 0)
            count += 1
    vectors = 0
    for some in found.vectors.values():
        await target.put_vectors([dataclasses.replace(it, tenant=tenant or it.tenant) for it in some])
        vectors += len(some)
    return Moved(count, vectors, tuple(found.problems))


def _owned(repeats: Iterable[Reply], tenant: str | None) -> Iterable[Reply]:
    return (dataclasses.replace(reply, tenant=tenant or reply.tenant) for reply in repeats)
