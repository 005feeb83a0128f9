"""Views in dictionaries."""

from collections.abc import Iterable, Mapping
from typing import Any

from trivet.core.errors import NotFound
from trivet.core.facts import ViewFree, ViewPut
from trivet.core.ports import Row, View
from trivet.core.rules import (
    check_after,
    check_columns,
    check_view,
    clean,
    key_values,
    row_changed,
    row_exists,
)
from trivet.testing.memory_state import MemoryState


class MemoryViews:
    """`Views` in dictionaries."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def declare(self, view: View) -> None:
        check_view(view)
        with self._state.transaction():
            known = self._state.views.get(view.name)
            if known is None or known[0] != view:
                self._state.set(self._state.views, view.name, (view, {}))

    def put(self, view: str, rows: Iterable[Row]) -> None:
        with self._state.transaction():
            _declared(self._state, view)
            for row in rows:
                put_row(self._state, view, row)

    def find(
        self,
        view: str,
        *,
        where: Mapping[str, Any] | None = None,
        order: str | None = None,
        after: tuple[Any, ...] | None = None,
        limit: int = 100,
    ) -> tuple[Row, ...]:
        with self._state.lock:
            declared, stored = _declared(self._state, view)
            column = (order or "").removeprefix("-")
            check_columns(declared, [*(where or {}), *([column] if column else [])])
            if after is not None:
                check_after(declared, column, after)
            wanted = _cleaned(declared, where or {})
            rows = [dict(row) for row in stored.values() if _matches(row, wanted)]
        falls = (order or "").startswith("-")
        rows.sort(key=lambda row: tuple(row[name] for name in declared.key))
        if column:
            rows.sort(key=lambda row: _sortable(row[column]), reverse=falls)
        if after is not None:
            rows = [row for row in rows if _is_behind(declared, row, column, falls, after)]
        return tuple(rows[:limit])

    def remove(self, view: str, where: Mapping[str, Any]) -> int:
        with self._state.transaction():
            declared, stored = _declared(self._state, view)
            check_columns(declared, where)
            wanted = _cleaned(declared, where)
            doomed = [key for key, row in stored.items() if _matches(row, wanted)]
            for key in doomed:
                self._state.drop(stored, key)
        return len(doomed)


def _declared(state: MemoryState, view: str) -> tuple[View, dict[tuple[Any, ...], Row]]:
    if view not in state.views:
        raise NotFound(f"no view {view!r} is declared", code="no-view", hint="Declare it first.")
    return state.views[view]


def put_row(state: MemoryState, name: str, row: Row) -> None:
    """Insert or replace one row, inside the caller's transaction."""
    view, stored = _declared(state, name)
    check_columns(view, row)
    full = {column: clean(view, column, row.get(column)) for column in view.columns}
    state.set(stored, tuple(full[column] for column in view.key), full)


def check_free(state: MemoryState, stretches: Iterable[ViewFree]) -> None:
    """Make sure that no row stands in any of these stretches."""
    for stretch in stretches:
        view, stored = _declared(state, stretch.view)
        check_columns(view, (stretch.column,))
        values = key_values(view, stretch)
        first, last = values[: len(view.key)], values[len(view.key) :]
        if any(first <= k <= last and row[stretch.column] is not None for k, row in stored.items()):
            raise row_exists(stretch)


def check_standing(state: MemoryState, put: ViewPut) -> None:
    """Make sure that the row in the place of another is what was expected."""
    if put.expect:
        view, stored = _declared(state, put.view)
        check_columns(view, put.expect)
        row = stored.get(tuple(clean(view, name, put.row[name]) for name in view.key))
        if row is None or not _matches(row, _cleaned(view, put.expect)):
            raise row_changed(put)


def _cleaned(view: View, where: Mapping[str, Any]) -> Row:
    return {
        name: None if value is None else clean(view, name, value) for name, value in where.items()
    }


def _matches(row: Row, where: Mapping[str, Any]) -> bool:
    return all(row[name] == value for name, value in where.items())


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)


def _is_behind(view: View, row: Row, column: str, falls: bool, after: tuple[Any, ...]) -> bool:  # noqa: FBT001  # private, one caller
    key = tuple(row[name] for name in view.key)
    if not column:
        return key > tuple(after)
    here, there = _sortable(row[column]), _sortable(after[0])
    if here == there:
        return key > tuple(after[1:])
    return here < there if falls else here > there
