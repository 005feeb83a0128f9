"""The rules that every adapter of a ledger, a journal or of views keeps: what may be written.

They stand here once, so that adapters cannot disagree about them.
"""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from trivet.core.catalog import check_amendment
from trivet.core.errors import Conflict, Invalid
from trivet.core.facts import (
    Batch,
    Draft,
    Forgotten,
    HeadMoved,
    TaskMove,
    TaskNew,
    TaskOverride,
    ViewFree,
    ViewPut,
)
from trivet.core.ids import check_id, check_name
from trivet.core.ports import View

RESERVED_KINDS: Final = frozenset({HeadMoved.KIND, Forgotten.KIND})
_STATES: Final = frozenset({"done", "failed", "ready", "cancelled", "running"})
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "text": (str,),
    "integer": (int,),
    "real": (float, int),
    "blob": (bytes,),
}


def check_batch(batch: Batch) -> None:
    """Check all of a batch that can be checked without a store.

    Raises:
        Invalid: An identifier, kind, name, limit or state is malformed.
    """
    if not batch.project or not batch.actor:
        raise Invalid("project or actor is empty; expected who writes and where", code="bad-batch")
    for item in batch.facts:
        _check_draft(item)
    for move in batch.heads:
        if not move.name:
            raise Invalid("a head's name is empty; expected some text", code="bad-head")
        if move.to is not None:
            check_id(move.to, "to")
    for identifier in batch.forget:
        check_id(identifier, "forget")
    for task in batch.tasks:
        _check_task(task)
    for amendment in batch.documents:
        check_amendment(amendment)


def _check_draft(item: Draft) -> None:
    check_id(item.id)
    for parent in item.parents:
        check_id(parent, "parent")
    if not item.kind or item.kind in RESERVED_KINDS:
        raise Invalid(
            f"a fact is of kind {item.kind!r}; expected a kind that its room declares",
            code="reserved-kind",
            hint="Give the class a KIND; heads and tombstones are the ledger's own records.",
        )


def _check_task(task: TaskNew | TaskMove | TaskOverride) -> None:
    if isinstance(task, TaskMove) and task.state not in _STATES:
        raise Invalid(
            f"a task's next state is {task.state!r}; expected one of {sorted(_STATES)}",
            code="bad-state",
        )
    limit = task.limit if isinstance(task, TaskNew) else None
    if limit is not None and (limit.at_once < 1 or not limit.name):
        raise Invalid(
            f"the limit {limit.name!r} lets {limit.at_once} tasks run at once; expected a name "
            "and at least 1",
            code="bad-limit",
        )


def check_search(kind: str | None, where: Mapping[str, str] | None, limit: int) -> None:
    """Check what a ledger is searched by.

    Raises:
        Invalid: More than one field, a field without a kind, or a limit out of range.
    """
    if where and (kind is None or len(where) > 1):
        raise Invalid(
            f"where has {len(where)} fields; expected at most one, together with a kind",
            code="bad-search",
        )
    if not 1 <= limit <= 1000:
        raise Invalid(f"limit is {limit}; expected 1 to 1,000", code="bad-limit")


def check_view(view: View) -> None:
    """Check a declaration: every name in it may become part of a statement.

    Raises:
        Invalid: A name or type is malformed, the key is empty, or a column is not declared.
    """
    check_name(view.name, "view")
    for name, kind in view.columns.items():
        if not _COLUMN.fullmatch(name) or kind not in _TYPES:
            raise Invalid(
                f"column {name!r} of view {view.name!r} is of type {kind!r}; expected a name of "
                f"a-z, 0-9 and '_' and one of {sorted(_TYPES)}",
                code="bad-view",
            )
    if not view.key:
        raise Invalid(f"view {view.name!r} has no key; expected a column", code="bad-view")
    for columns in (view.key, *view.indexes):
        check_columns(view, columns)


def check_columns(view: View, names: Iterable[str]) -> None:
    """Check that columns are declared.

    Raises:
        Invalid: One is not.
    """
    for name in names:
        if name not in view.columns:
            raise Invalid(
                f"view {view.name!r} has no column {name!r}; expected one of {list(view.columns)}",
                code="bad-column",
            )


def check_after(view: View, column: str, after: tuple[Any, ...]) -> None:
    """Check where a search goes on: the value of the order column, if any, and a key.

    Raises:
        Invalid: There are too few or too many values.
    """
    expected = len(view.key) + bool(column)
    if len(after) != expected:
        raise Invalid(f"after has {len(after)} values; expected {expected}", code="bad-after")


def key_values(view: View, stretch: ViewFree) -> tuple[Any, ...]:
    """Return the keys between which a stretch lies, one behind the other.

    Raises:
        Invalid: They are no keys of the view.
    """
    if not len(stretch.first) == len(stretch.last) == len(view.key):
        raise Invalid(
            f"a stretch of {view.name!r} has keys of {len(stretch.first)} and {len(stretch.last)} "
            f"values; expected {len(view.key)}",
            code="bad-stretch",
        )
    values = zip(view.key * 2, (*stretch.first, *stretch.last), strict=True)
    return tuple(clean(view, name, value) for name, value in values)


def row_exists(stretch: ViewFree) -> Conflict:
    """Say that a stretch is not free."""
    return Conflict(
        f"the view {stretch.view!r} has a row where none was expected",
        code="row-exists",
        hint="Read again what is there.",
        detail={"view": stretch.view, "first": list(stretch.first), "last": list(stretch.last)},
    )


def row_changed(put: ViewPut) -> Conflict:
    """Say that a row is another one than was expected."""
    return Conflict(
        f"a row of the view {put.view!r} has changed meanwhile",
        code="row-changed",
        hint="Read it again.",
        detail={"view": put.view},
    )


def clean(view: View, column: str, value: Any) -> Any:
    """Return the value as the column stores it: reals as float, NaN as None.

    Raises:
        Invalid: The value is of another type, too large, or missing from the key.
    """
    kind = view.columns[column]
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if column not in view.key:
            return None
    elif isinstance(value, _TYPES[kind]) and (
        not isinstance(value, int) or -(2**63) <= value < 2**63
    ):
        return float(value) if kind == "real" else int(value) if kind == "integer" else value
    raise Invalid(
        f"column {column!r} of view {view.name!r} is a {type(value).__name__}; expected {kind}",
        code="bad-row",
    )
