"""Every statement the databases are sent, written once in SQLAlchemy Core and rendered for one driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Delete,
    Dialect,
    Executable,
    Integer,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg as pg_psycopg
from sqlalchemy.dialects.sqlite import pysqlite

from cache.codec import label
from cache.store import Query
from cache.tables import replies, tallies, vectors

type Params = Mapping[str, Any]
type Statement = tuple[str, Params]

ENTRY = (replies.c.tenant, replies.c.key, replies.c.form)
AGE = (replies.c.created, replies.c.key, replies.c.form, replies.c.ordinal)
"""The order of `find`, newest first: total, so that pages neither overlap nor leave gaps."""


class Statements:
    """Statements as text with the driver's named placeholders: `:name` for sqlite3, `%(name)s` for psycopg."""

    def __init__(self, *, postgres: bool) -> None:
        self._postgres = postgres
        self._dialect: Dialect = pg_psycopg.dialect() if postgres else pysqlite.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
        one, none = literal_column("1", Integer), literal_column("0", Integer)
        self.newest = self._text(_entry(select(replies)).order_by(replies.c.ordinal.desc()).limit(one).offset(none))
        at = bindparam("ordinal", type_=Integer)
        self.repeat = self._text(_entry(select(replies)).order_by(replies.c.ordinal).limit(one).offset(at))
        self.count = self._text(_entry(select(func.count()).select_from(replies)))
        self.put = self._text(self._upsert(replies))
        self.drop_others = self._text(_entry(delete(replies)).where(replies.c.ordinal != bindparam("ordinal")))
        self.drop_reply = self._text(_entry(delete(replies)).where(replies.c.ordinal == bindparam("ordinal")))
        self.drop_vector = self._text(delete(vectors).where(*_named(vectors.c.tenant, vectors.c.key)))
        of_tenant = vectors.c.tenant == bindparam("tenant")
        self.get_vectors = self._text(select(vectors).where(of_tenant, self._among(vectors.c.key)))
        self.put_vector = self._text(self._upsert(vectors))
        self.used_reply = self._text(_entry(_used(replies)).where(replies.c.ordinal == bindparam("ordinal")))
        self.used_vectors = self._text(_used(vectors).where(of_tenant, self._among(vectors.c.key)))
        self.add = self._text(self._upsert(tallies, adding=True))

    def render(self, statement: Executable) -> Statement:
        """A statement built for one occasion, with its values."""
        compiled = statement.compile(dialect=self._dialect)  # type: ignore[attr-defined]
        return compiled.string, compiled.params

    def find(self, query: Query, limit: int, after: tuple[Any, ...] | None) -> Statement:
        """`limit` replies that match all but the text, newest first, from behind the position `after` in AGE."""
        wanted: list[ColumnElement[bool]] = [replies.c.tenant == query.tenant]
        for name in ("provider", "model", "host", "operation"):
            if value := getattr(query, name):
                wanted.append(replies.c[name] == label(value))
        if query.key_prefix:
            wanted.append(_starts_with(replies.c.key, query.key_prefix))
        if query.created_before is not None:
            wanted.append(replies.c.created < query.created_before)
        if after is not None:
            wanted.append(tuple_(*AGE) < tuple_(*map(literal, after)))
        return self.render(select(replies).where(*wanted).order_by(*(c.desc() for c in AGE)).limit(limit))

    def find_vectors(self, query: Query) -> Statement:
        """Vectors that match by tenant, key, provider, model and host."""
        wanted: list[ColumnElement[bool]] = [vectors.c.tenant == query.tenant]
        for name in ("provider", "model", "host"):
            if value := getattr(query, name):
                wanted.append(vectors.c[name] == label(value))
        if query.key_prefix:
            wanted.append(_starts_with(vectors.c.key, query.key_prefix))
        return self.render(select(vectors).where(*wanted).order_by(vectors.c.key).limit(query.limit))

    def delete(self, table: Table, tenant: str, key_prefix: str) -> Statement:
        """Remove a tenant's rows whose key starts so."""
        return self.render(
            delete(table).where(table.c.tenant == tenant, _starts_with(table.c.key, key_prefix))
            if key_prefix
            else delete(table).where(table.c.tenant == tenant)
        )

    def expired(self, before: float, tenant: str, limit: int) -> Statement:
        """(key, form, ordinal, size, tenant) of entries created earlier; form is null for vectors."""
        return self._victims("created", tenant, limit, before)

    def least_used(self, tenant: str | None, limit: int) -> Statement:
        """The same for the entries used longest ago."""
        return self._victims("last_used", tenant, limit)

    def sizes(self, table: Table) -> Statement:
        """(tenant, rows, bytes) of a table: of all tenants, as that takes nothing but an index."""
        size = cast(func.coalesce(func.sum(table.c.size), 0), BigInteger)
        return self.render(select(table.c.tenant, func.count(), size).group_by(table.c.tenant))

    def books(self, tenant: str | None) -> Statement:
        """All tallies, oldest day first."""
        return self.render(_of_tenant(select(tallies), tallies, tenant).order_by(*tallies.primary_key.columns))

    def _victims(self, order: str, tenant: str | None, limit: int, before: float | None = None) -> Statement:
        halves = []
        for table in (replies, vectors):
            form, ordinal = (table.c.form, table.c.ordinal) if table is replies else (literal(None, Text), literal(0))
            columns = (table.c.key, form.label("form"), ordinal.label("ordinal"), table.c.size, table.c.tenant)
            half = _of_tenant(select(*columns, table.c[order].label("place")), table, tenant)
            halves.append(half if before is None else half.where(table.c[order] < before))
        both = union_all(*halves)
        return self.render(both.order_by(*(both.selected_columns[n] for n in ("place", "tenant"))).limit(limit))

    def _text(self, statement: Executable) -> str:
        return self.render(statement)[0]

    def _among(self, column: Column[Any]) -> ColumnElement[bool]:
        """Whether a column is in the list `keys`, which is one parameter however long: an array or JSON text."""
        if self._postgres:
            return column == any_(bindparam("keys", type_=ARRAY(Text)))
        return column.in_(select(func.json_each(bindparam("keys", type_=Text)).table_valued("value").c.value))

    def _upsert(self, table: Table, *, adding: bool = False) -> Executable:
        insert = postgresql.insert(table) if self._postgres else sqlite.insert(table)
        rest = [column for column in table.columns if not column.primary_key]
        return insert.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_={c.name: c + insert.excluded[c.name] if adding else insert.excluded[c.name] for c in rest},
        )


def _named(*columns: Column[Any]) -> list[ColumnElement[bool]]:
    return [column == bindparam(column.name) for column in columns]


def _entry[S: (Select[Any], Delete, Any)](statement: S) -> S:
    return statement.where(*_named(*ENTRY))


def _of_tenant[S: Select[Any, *tuple[Any, ...]]](statement: S, table: Table, tenant: str | None) -> S:
    return statement if tenant is None else statement.where(table.c.tenant == tenant)


def _used(table: Table) -> Any:
    used = bindparam("used", type_=table.c.last_used.type)
    return update(table).values(
        hits=table.c.hits + bindparam("more", type_=BigInteger),
        last_used=case((table.c.last_used < used, used), else_=table.c.last_used),
    )


def _starts_with(column: Column[Any], prefix: str) -> ColumnElement[bool]:
    """A range over the index; keys are lower-case hexadecimal, so `g` ends every prefix's range."""
    return (column >= prefix) & (column < prefix + "g")
