"""The rows of declared views: one real table per view, made of names that were checked."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import msgspec

from trivet.adapters.sqlite.session import Session
from trivet.core.errors import NotFound
from trivet.core.facts import ViewFree, ViewPut
from trivet.core.ports import Row, View
from trivet.core.rules import (
    check_after,
    check_columns,
    clean,
    key_values,
    row_changed,
    row_exists,
)


def declared(session: Session, name: str) -> View:
    """Return the declaration of a view.

    Raises:
        NotFound: It was never declared.
    """
    row = session.one("view", (name,))
    if row is None:
        raise NotFound(f"no view {name!r} is declared", code="no-view", hint="Declare it first.")
    return msgspec.json.decode(row[0], type=View)


def is_declared(session: Session, view: View) -> bool:
    """Whether a view is declared just so."""
    row = session.one("view", (view.name,))
    return row is not None and msgspec.json.decode(row[0], type=View) == view


def declare(session: Session, view: View) -> None:
    """Make the view's table, anew when the declaration changed."""
    if is_declared(session, view):
        return
    session.run("set_view", (view.name, msgspec.json.encode(view).decode()))
    table = _table(view.name)
    columns = [
        f'"{name}" {kind.upper()}' + (" NOT NULL" if name in view.key else "")
        for name, kind in view.columns.items()
    ]
    key = f"PRIMARY KEY ({_listed(view.key)})"
    statements = [
        f"DROP TABLE IF EXISTS {table}",
        f"CREATE TABLE {table} ({', '.join(columns)}, {key}) STRICT, WITHOUT ROWID",
    ]
    for number, names in enumerate(view.indexes, 1):
        index = f'"view_{view.name}_{number}"'
        statements.append(f"CREATE INDEX {index} ON {table} ({_listed(names)})")
    for statement in statements:
        session.execute(statement)


def check_free(session: Session, stretches: Iterable[ViewFree]) -> None:
    """Make sure that no row stands in any of these stretches.

    Raises:
        NotFound: A view was never declared.
        Conflict: A row stands there (code `row-exists`).
    """
    for stretch in stretches:
        view = declared(session, stretch.view)
        check_columns(view, (stretch.column,))
        marks = f"({', '.join('?' * len(view.key))})"
        key = f"({_listed(view.key)})"
        statement = (
            f"SELECT 1 FROM {_table(stretch.view)} WHERE {key} >= {marks} AND {key} <= {marks} "  # noqa: S608  # checked names
            f'AND "{stretch.column}" IS NOT NULL LIMIT 1'
        )
        for _ in session.execute(statement, key_values(view, stretch)):
            raise row_exists(stretch)


def put_rows(session: Session, puts: Iterable[ViewPut]) -> None:
    """Insert or replace rows by key.

    Raises:
        NotFound: A view was never declared.
        Invalid: A row has an undeclared column or a value of another type.
        Conflict: The row that stands there is another one than was expected (`row-changed`).
    """
    wanted = list(puts)
    for put in wanted:
        if put.expect:
            _check_standing(session, put)
    for name, group in groupby(wanted, key=lambda put: put.view):
        view = declared(session, name)
        rows = [_full(view, put.row) for put in group]
        marks = ", ".join("?" * len(view.columns))
        statement = (
            f"INSERT OR REPLACE INTO {_table(name)} ({_listed(view.columns)}) VALUES ({marks})"  # noqa: S608  # checked names
        )
        session.execute_many(statement, rows)


def _check_standing(session: Session, put: ViewPut) -> None:
    view = declared(session, put.view)
    key = {name: put.row[name] for name in view.key}
    conditions, values = _equalities(view, {**put.expect, **key})
    statement = f"SELECT 1 FROM {_table(view.name)} WHERE {' AND '.join(conditions)}"  # noqa: S608  # checked names
    if not list(session.execute(statement, tuple(values))):
        raise row_changed(put)


def _full(view: View, row: Row) -> tuple[Any, ...]:
    check_columns(view, row)
    return tuple(clean(view, column, row.get(column)) for column in view.columns)


def select(  # the search's own words
    session: Session,
    name: str,
    where: Mapping[str, Any],
    order: str | None,
    after: tuple[Any, ...] | None,
    limit: int,
) -> tuple[Row, ...]:
    """Return rows of a view, as `Views.find` says."""
    view = declared(session, name)
    conditions, values = _equalities(view, where)
    column = (order or "").removeprefix("-")
    falls = (order or "").startswith("-")
    if column:
        check_columns(view, (column,))
    if after is not None:
        behind, more = _behind(view, column, falls=falls, after=after)
        conditions.append(behind)
        values += more
    ordering = [f'"{column}" {"DESC" if falls else "ASC"}'] if column else []
    statement = (
        f"SELECT {_listed(view.columns)} FROM {_table(name)}"  # noqa: S608  # checked names
        + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
        + f" ORDER BY {', '.join([*ordering, _listed(view.key)])} LIMIT ?"
    )
    rows = session.execute(statement, (*values, limit))
    return tuple(dict(zip(view.columns, row, strict=True)) for row in rows)


def delete(session: Session, name: str, where: Mapping[str, Any]) -> int:
    """Delete the rows of a view that match by equality; return how many they were."""
    view = declared(session, name)
    conditions, values = _equalities(view, where)
    statement = f"DELETE FROM {_table(name)}"  # noqa: S608  # checked names
    if conditions:
        statement += f" WHERE {' AND '.join(conditions)}"
    session.execute(statement, tuple(values))
    return session.connection.changes()


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _table(name: str) -> str:
    return f'"view_{name}"'


def _equalities(view: View, where: Mapping[str, Any]) -> tuple[list[str], list[Any]]:
    check_columns(view, where)
    conditions: list[str] = []
    values: list[Any] = []
    for column, value in where.items():
        if value is None:
            conditions.append(f'"{column}" IS NULL')
        else:
            conditions.append(f'"{column}" = ?')
            values.append(clean(view, column, value))
    return conditions, values


def _behind(
    view: View, column: str, *, falls: bool, after: tuple[Any, ...]
) -> tuple[str, list[Any]]:
    """Say in SQL what stands behind the last row seen; NULL counts as smaller than all else."""
    check_after(view, column, after)
    last = after[-len(view.key) :]
    key = [clean(view, name, last[place]) for place, name in enumerate(view.key)]
    further = f"({_listed(view.key)}) > ({', '.join('?' * len(key))})"
    if not column:
        return further, key
    value = clean(view, column, after[0])
    name = f'"{column}"'
    if value is None:
        beyond = "FALSE" if falls else f"{name} IS NOT NULL"
        return f"({beyond} OR ({name} IS NULL AND {further}))", key
    if falls:
        return f"({name} < ? OR {name} IS NULL OR ({name} = ? AND {further}))", [
            value,
            value,
            *key,
        ]
    return f"({name} >= ? AND ({name} > ? OR {further}))", [value, value, *key]
