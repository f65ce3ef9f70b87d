"""The migrations lead from nothing to the tables and back, once, and refuse a newer database."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from cache import StoreError, open_store
from cache.migrate import REVISION, configuration, upgrade
from cache.tables import metadata

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/cache.db"
    return str(request.getfixturevalue("postgres").fresh_database())


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
    with engine.begin() as connection:
        yield connection


def differences(url: str) -> list[object]:
    with connected(url) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, metadata))


async def test_opening_an_empty_database_makes_exactly_the_tables(url: str) -> None:
    assert differences(url)
    await (await open_store(url)).close()
    assert differences(url) == []


def test_down_and_up_again(url: str) -> None:
    with connected(url) as connection:
        upgrade(connection)
    with connected(url) as connection:
        command.downgrade(configuration(connection), "base")
    with connected(url) as connection:
        assert sa.inspect(connection).get_table_names() == ["alembic_version"]
        assert sa.inspect(connection).has_table("replies") is False
    with connected(url) as connection:
        upgrade(connection)
    assert differences(url) == []


def test_the_revision_the_code_expects_is_the_newest_migration() -> None:
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        assert ScriptDirectory.from_config(configuration(connection)).get_heads() == [REVISION]
    engine.dispose()


async def test_a_newer_database_is_refused_and_left_alone(url: str) -> None:
    await (await open_store(url)).close()
    with connected(url) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"was written by a newer wiretape \(revision 9999\); upgrade wiretape or use"):
        await open_store(url)
    with connected(url) as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == "9999"


async def test_a_migration_that_fails_leaves_nothing_behind(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connected(url) as connection:
        connection.execute(sa.text("CREATE TABLE vectors (mine integer)"))
    with pytest.raises(StoreError, match="vectors"):
        await open_store(url)
    with connected(url) as connection:
        assert sa.inspect(connection).get_table_names() == ["vectors"]


OPEN = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from cache import open_store
sys.stdin.readline()
async def main():
    await (await open_store(sys.argv[2])).close()
asyncio.run(main())
"""


def test_several_processes_opening_at_once_migrate_once(url: str) -> None:
    command_line = [sys.executable, "-c", OPEN, str(ROOT), url]
    running = [
        subprocess.Popen(command_line, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in running]
    assert ended == [("", 0)] * 4
    assert differences(url) == []


def _imported_by(code: str) -> set[str]:
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}\nprint(sorted(sys.modules))"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return {name.partition(".")[0] for name in ast.literal_eval(shown.stdout)}


def test_alembic_is_imported_only_where_there_is_something_to_do(tmp_path: Path) -> None:
    opening: Callable[[str], str] = lambda url: (  # noqa: E731
        "import asyncio, cache\n"
        "async def main():\n"
        f"    await (await cache.open_store({url!r})).close()\n"
        "asyncio.run(main())"
    )
    url = f"sqlite:///{tmp_path}/cache.db"
    assert "alembic" in _imported_by(opening(url))
    assert "alembic" not in _imported_by(opening(url))
    assert "sqlalchemy" not in _imported_by("import cache, cache.keys, cache.entry")
