"""Fixtures for tests of single modules."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cache import Store, open_store


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    """An empty database in memory."""
    opened = await open_store("sqlite://")
    yield opened
    await opened.close()
