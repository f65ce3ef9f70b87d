"""Bringing a database to the tables of this version, under a lock, and refusing a newer one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy

from cache.store import StoreError

REVISION = "0001"
"""The newest migration: what the database must stand at to be used."""

LOCK = 0x77_69_72_65_74_61_70_65
"""The Postgres advisory lock that only one of us holds while migrating ("wiretape" in ASCII)."""

_READ = "SELECT version_num FROM alembic_version"


def refuse_others(connection: sqlite3.Connection) -> None:
    """Raise StoreError for a SQLite database with tables of something else, before anything in it is changed."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "alembic_version" not in tables:
        raise StoreError(f"holds tables of something else ({', '.join(sorted(tables)[:3])}); use another file")


def upgrade_sqlite(connection: sqlite3.Connection) -> None:
    """Bring a SQLite database up to date; `connection` is in autocommit mode. Raises StoreError for a newer one."""
    known = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()[0]
    if known and connection.execute(_READ).fetchall() == [(REVISION,)]:
        return
    engine = _engine("sqlite+pysqlite://", connection)
    with engine.connect() as wrapped, _transaction(wrapped, "BEGIN IMMEDIATE"):
        upgrade(wrapped)


def upgrade_postgres(conninfo: str) -> None:
    """Bring a Postgres database up to date. Raises StoreError for a newer one, psycopg.Error if there is none."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        try:
            if connection.execute(_READ).fetchall() == [(REVISION,)]:
                return
        except psycopg.errors.UndefinedTable:
            pass  # an empty database
        with _engine("postgresql+psycopg://", connection).connect() as wrapped, _transaction(wrapped, "BEGIN"):
            wrapped.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
            upgrade(wrapped)


def upgrade(connection: sqlalchemy.Connection, revision: str = "head") -> None:
    """Run the migrations up to `revision` in the transaction that `connection` is in."""
    from alembic import command
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    settings = configuration(connection)
    scripts = ScriptDirectory.from_config(settings)
    if sqlalchemy.inspect(connection).has_table("alembic_version"):
        for (current,) in connection.exec_driver_sql(_READ).fetchall():
            try:
                scripts.get_revision(current)
            except CommandError:
                raise StoreError(
                    f"was written by a newer wiretape (revision {current}); upgrade wiretape or use another store"
                ) from None
    command.upgrade(settings, revision)


def configuration(connection: sqlalchemy.Connection) -> Any:
    """Alembic's settings for the migrations in this package, without any file."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", "cache:migrations")
    settings.attributes["connection"] = connection
    return settings


@contextmanager
def _transaction(connection: sqlalchemy.Connection, begin: str) -> Iterator[None]:
    """All or nothing. The errors are the driver's own, as they are where SQLAlchemy is not used."""
    try:
        connection.exec_driver_sql(begin)
        try:
            yield
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
    except sqlalchemy.exc.DBAPIError as error:
        raise (error.orig or error) from None


def _engine(url: str, connection: Any) -> sqlalchemy.Engine:
    """SQLAlchemy over a connection that is open already and stays so; transactions are ours to begin and end."""
    return sqlalchemy.create_engine(
        url,
        creator=lambda: connection,
        poolclass=sqlalchemy.StaticPool,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
    )
