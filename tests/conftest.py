"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.postgres import PostgresServer

# Examples are not timed: how long one takes says more about the machine than about the code.
settings.register_profile("wiretape", deadline=None)
settings.load_profile("wiretape")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running Postgres server of this worker's own."""
    with PostgresServer() as server:
        yield server
