"""What differs between two versions of data: columns, rows, files.

This is a numeric module: Polars is loaded with it.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import polars as pl

from trivet.core.ports import TableVersion
from trivet.core.trees import StoredFile
from trivet.data.facts import Dataset
from trivet.data.service import DataService
from trivet.data.sources import as_frame

_MOST_CELLS: Final = 200_000_000


class RowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows came and went, whatever their order; a changed row is one of each.

    Rows are told apart by hashes of 64 bits: of ten million, two are taken for the same with a
    chance of three in a million.
    """

    added: int
    removed: int
    columns: tuple[str, ...]
    """By which rows were compared: those that both tables have, of the same type."""


class TableDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One table of two versions; None stands for the version that has it not."""

    table: str
    rows_before: int | None
    rows_after: int | None
    columns_added: dict[str, str] = {}
    """Columns with their types."""
    columns_removed: dict[str, str] = {}
    columns_changed: dict[str, tuple[str, str]] = {}
    """Columns whose type is another."""
    moved: dict[str, float] = {}
    """How far the distribution of a column has moved, from 0 to 1, of those that have moved."""
    rows: RowCounts | None = None
    """None where rows cannot be compared: no column is the same, or there are too many cells."""


class TreeDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One file tree of two versions."""

    tree: str
    added: int
    removed: int
    changed: int


class DataDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Two versions of data."""

    dataset: str
    before: str
    after: str
    """Identifiers of the data commits."""
    tables: tuple[TableDifference, ...]
    """Those that differ."""
    trees: tuple[TreeDifference, ...]
    """Those that differ."""


def compare_versions(data: DataService, before: Dataset, after: Dataset) -> DataDifference:
    """Compare two versions, of one data set or of two, by the names of their tables and trees.

    Raises:
        Corrupt: Stored bytes do not match what was recorded.
    """
    old, new = before.commit.named_tables, after.commit.named_tables
    tables = [
        _table(data, name, before, after)
        for name in sorted(old.keys() | new.keys())
        if name not in old or name not in new or old[name].digest != new[name].digest
    ]
    was = {tree.name: tree.digest for tree in before.commit.trees}
    now = {tree.name: tree.digest for tree in after.commit.trees}
    trees = [
        _tree(
            name,
            data.files(before, name) if name in was else {},
            data.files(after, name) if name in now else {},
        )
        for name in sorted(was.keys() | now.keys())
        if was.get(name) != now.get(name)
    ]
    return DataDifference(
        dataset=after.name,
        before=before.id,
        after=after.id,
        tables=tuple(tables),
        trees=tuple(trees),
    )


def _table(data: DataService, name: str, before: Dataset, after: Dataset) -> TableDifference:
    old, new = before.commit.named_tables.get(name), after.commit.named_tables.get(name)
    if old is None or new is None:
        return TableDifference(
            table=name, rows_before=old and old.rows, rows_after=new and new.rows
        )
    was, now = old.columns, new.columns
    shared = [column for column in was if was[column] == now.get(column)]
    moves = data.compare(before, after, name).columns
    return TableDifference(
        table=name,
        rows_before=old.rows,
        rows_after=new.rows,
        columns_added={column: now[column] for column in now if column not in was},
        columns_removed={column: was[column] for column in was if column not in now},
        columns_changed={
            column: (was[column], now[column])
            for column in was
            if column in now and was[column] != now[column]
        },
        moved={move.name: move.distance for move in moves if move.distance},
        rows=_rows(data, name, (before, old), (after, new), shared),
    )


def _rows(
    data: DataService,
    name: str,
    before: tuple[Dataset, TableVersion],
    after: tuple[Dataset, TableVersion],
    shared: list[str],
) -> RowCounts | None:
    cells = (before[1].rows + after[1].rows) * len(shared)
    if not shared or cells > _MOST_CELLS:
        return None
    counts = [
        as_frame(name, data.table(dataset, name, columns=shared))
        .hash_rows()
        .alias("row")
        .value_counts(name="rows")
        for dataset, _ in (before, after)
    ]
    both = counts[0].join(counts[1], on="row", how="full", suffix="_after")
    gained = both.select(
        (pl.col("rows_after").fill_null(0).cast(pl.Int64))
        - (pl.col("rows").fill_null(0).cast(pl.Int64))
    ).to_series()
    return RowCounts(
        added=int(gained.clip(lower_bound=0).sum()),
        removed=-int(gained.clip(upper_bound=0).sum()),
        columns=tuple(shared),
    )


def _tree(
    name: str, before: Mapping[str, StoredFile], after: Mapping[str, StoredFile]
) -> TreeDifference:
    shared = before.keys() & after.keys()
    return TreeDifference(
        tree=name,
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        changed=sum(before[path].digest != after[path].digest for path in shared),
    )
