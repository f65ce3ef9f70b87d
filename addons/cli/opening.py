"""The store that the settings name, opened; apart from the proxy, so that verbs which run none start quickly."""

from __future__ import annotations

import logging

from cache import Store, open_store
from config import Settings

log = logging.getLogger("wiretape")


async def opened_store(settings: Settings) -> Store:
    """The database or the cassette the settings name; broken cassette files are named in the log.

    Raises StoreError.
    """
    if settings.cassette is not None:
        from cache.cassette import CassetteStore

        cassette = await CassetteStore.open(settings.cassette, create=settings.mode != "replay", strict=settings.strict)
        for problem in cassette.problems:
            log.warning("%s", problem)
        return cassette
    assert settings.store_url is not None
    return await open_store(settings.store_url)
