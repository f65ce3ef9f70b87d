"""`cassette export` and `cassette import`: recordings between a database and a folder of text files."""

from __future__ import annotations

import sys
from pathlib import Path

from addons.cli import output
from addons.cli.opening import opened_store
from cache import Query, transfer
from config import ConfigError, Settings


async def move(settings: Settings, direction: str, folder: Path, *, as_json: bool) -> int:
    """Move recordings; 1 if a file of the cassette could not be read (the rest is imported)."""
    if settings.cassette is not None:
        raise ConfigError("cassette export and import work between a folder and a database: leave --cassette out")
    store = await opened_store(settings)
    try:
        if direction == "export":
            moved = await transfer.export(store, folder, Query())
        else:
            moved = await transfer.import_(folder, store, strict=settings.strict)
    finally:
        await store.close()
    if as_json:
        output.as_json({"replies": moved.replies, "vectors": moved.vectors, "problems": moved.problems})
    else:
        side = "to" if direction == "export" else "from"
        print(f"{direction}ed {moved.replies:,} replies and {moved.vectors:,} vectors {side} {folder}")
        for problem in moved.problems:
            print(f"wiretape: {problem}", file=sys.stderr)
    return 1 if moved.problems else 0
