"""Views in dictionaries."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trivet.core.errors import Invalid, NotFound
from trivet.core.ids import check_name
from trivet.core.ports import Row, View
from trivet.testing.memory_state import MemoryState

_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,62}")
_COLUMN_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "real": (float, int),
    "blob": (bytes,),
}


class MemoryViews:
    """`Views` in dictionaries."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def declare(self, view: View) -> None:
        _check_view(view)
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
            _check_columns(declared, [*(where or {}), *([column] if column else [])])
            _check_after(declared, column, after)
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
            _check_columns(declared, where)
            wanted = _cleaned(declared, where)
            doomed = [key for key, row in stored.items() if _matches(row, wanted)]
            for key in doomed:
                self._state.drop(stored, key)
        return len(doomed)


def _declared(state: MemoryState, view: str) -> tuple[View, dict[tuple[Any, ...], Row]]:
    if view not in state.views:
        raise NotFound(f"no view {view!r} is declared", code="no-view", hint="Declare it first.")
    return state.views[view]


def _check_view(view: View) -> None:
    check_name(view.name, "view")
    for name, kind in view.columns.items():
        if not _COLUMN.fullmatch(name) or kind not in _COLUMN_TYPES:
            raise Invalid(
                f"column {name!r} of view {view.name!r} is of type {kind!r}; expected a name of "
                f"a-z, 0-9 and '_' and one of {sorted(_COLUMN_TYPES)}",
                code="bad-view",
            )
    if not view.key:
        raise Invalid(f"view {view.name!r} has no key; expected a column", code="bad-view")
    _check_columns(view, view.key)
    for columns in view.indexes:
        _check_columns(view, columns)


def _check_columns(view: View, names: Iterable[str]) -> None:
    for name in names:
        if name not in view.columns:
            raise Invalid(
                f"view {view.name!r} has no column {name!r}; expected one of {list(view.columns)}",
                code="bad-column",
            )


def put_row(state: MemoryState, name: str, row: Row) -> None:
    """Insert or replace one row, inside the caller's transaction."""
    view, stored = _declared(state, name)
    _check_columns(view, row)
    full = {column: _clean(view, column, row.get(column)) for column in view.columns}
    state.set(stored, tuple(full[column] for column in view.key), full)


def _clean(view: View, column: str, value: Any) -> Any:
    kind = view.columns[column]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if column not in view.key:
            return None
    elif isinstance(value, _COLUMN_TYPES[kind]) and (
        not isinstance(value, int) or -(2**63) <= value < 2**63
    ):
        return float(value) if kind == "real" else int(value) if kind == "integer" else value
    raise Invalid(
        f"column {column!r} of view {view.name!r} is a {type(value).__name__}; expected {kind}",
        code="bad-row",
    )


def _cleaned(view: View, where: Mapping[str, Any]) -> Row:
    return {
        name: None if value is None else _clean(view, name, value) for name, value in where.items()
    }


def _matches(row: Row, where: Mapping[str, Any]) -> bool:
    return all(row[name] == value for name, value in where.items())


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)


def _check_after(view: View, column: str, after: Sequence[Any] | None) -> None:
    expected = len(view.key) + bool(column)
    if after is not None and len(after) != expected:
        raise Invalid(f"after has {len(after)} values; expected {expected}", code="bad-after")


def _is_behind(view: View, row: Row, column: str, falls: bool, after: Sequence[Any]) -> bool:  # noqa: FBT001  # private, one caller
    key = tuple(row[name] for name in view.key)
    if not column:
        return key > tuple(after)
    here, there = _sortable(row[column]), _sortable(after[0])
    if here == there:
        return key > tuple(after[1:])
    return here < there if falls else here > there
