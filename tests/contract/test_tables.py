import datetime as dt
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from trivet.adapters.delta import commits
from trivet.adapters.delta.tables import DeltaTables
from trivet.core.errors import Conflict, Corrupt, Invalid, Unavailable
from trivet.testing.contracts.tables import TablesContract
from trivet.testing.memory_stores import MemoryTables


def in_memory(folder: Path) -> MemoryTables:
    return MemoryTables()


class TestMemoryTables(TablesContract):
    open_store = staticmethod(in_memory)
    is_persistent = False


class TestDeltaTables(TablesContract):
    open_store = staticmethod(DeltaTables)


NOON = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC).replace(tzinfo=None)


def numbers(*values: int) -> pl.DataFrame:
    return pl.DataFrame({"i": values})


def rows(store: DeltaTables, version: int) -> list[int]:
    return pl.DataFrame(store.read("t", version))["i"].to_list()


@pytest.fixture
def store(tmp_path: Path) -> DeltaTables:
    return DeltaTables(tmp_path / "tables")


def cut_short(store: DeltaTables, *values: int) -> Path:
    """Append as a writer that dies between Delta's commit and the record; return the log entry."""
    version = store.write("t", numbers(*values), mode="append")
    folder = Path(store.location("t"))
    (folder / "_trivet" / f"{version.version:020d}.json").unlink()
    return folder / "_delta_log" / f"{version.version:020d}.json"


def test_a_version_without_a_record_does_not_exist(store: DeltaTables) -> None:
    before = store.write("t", numbers(1))
    cut_short(store, 2)
    assert store.version("t") == before
    assert store.version("t", before.version + 1) is None
    after = store.write("t", numbers(3), mode="append")
    assert rows(store, after.version) == [1, 3]
    assert DeltaTable(store.location("t")).count() == 2
    assert list(store.verify()) == []


@pytest.mark.parametrize("torn", [b"", b'{"commitInfo":{"time', b"\x00" * 500])
def test_a_torn_entry_of_delta_s_log_is_taken_back(store: DeltaTables, torn: bytes) -> None:
    store.write("t", numbers(1))
    entry = cut_short(store, 2)
    entry.write_bytes(torn)
    after = store.write("t", numbers(3), mode="append")
    assert rows(store, after.version) == [1, 3]
    assert DeltaTable(store.location("t")).count() == 2


def test_a_first_version_that_was_cut_short_is_written_again(store: DeltaTables) -> None:
    cut_short(store, 1)
    assert store.names() == ()
    after = store.write("t", numbers(2), mode="append")
    assert (after.version, rows(store, 0)) == (0, [2])


def test_a_checkpoint_that_was_cut_short_is_taken_back(
    store: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "CHAIN", 4)
    for value in range(4):
        store.write("t", numbers(value), mode="append")
    entry = cut_short(store, 4)
    (checkpoint,) = entry.parent.glob("*.checkpoint.parquet")
    checkpoint.write_bytes(b"torn")
    for value in range(5, 7):
        store.write("t", numbers(value), mode="append")
    assert rows(store, 5) == [0, 1, 2, 3, 5, 6]
    assert DeltaTable(store.location("t")).count() == 6
    assert list(store.verify()) == []


def test_what_another_engine_wrote_is_neither_read_nor_thrown_away(store: DeltaTables) -> None:
    before = store.write("t", numbers(1))
    write_deltalake(store.location("t"), numbers(2), mode="append")
    assert store.version("t") == before
    with pytest.raises(Conflict):
        store.write("t", numbers(3), mode="append")
    assert DeltaTable(store.location("t")).count() == 2
    assert len(list(Path(store.location("t")).glob("*.parquet"))) == 2


def test_every_engine_can_read_the_tables(store: DeltaTables) -> None:
    store.write("t", numbers(1, 2))
    table = DeltaTable(store.location("t"))
    assert (table.protocol().min_reader_version, table.protocol().min_writer_version) == (1, 2)
    assert table.metadata().configuration["delta.logRetentionDuration"] == "interval 36500 days"
    assert pl.DataFrame(table.scan())["i"].to_list() == [1, 2]


def test_files_that_dead_writers_left_are_removed_later(store: DeltaTables) -> None:
    store.write("t", numbers(1))
    cut_short(store, 2)
    after = store.write("t", numbers(3), mode="append")
    assert store.remove_leftovers() == 0
    assert store.remove_leftovers(older_than_s=-1) == 1
    assert rows(store, after.version) == [1, 3]
    assert list(store.verify()) == []


@pytest.mark.parametrize(
    ("values", "kind", "word"),
    [
        ([1, 200], pl.UInt8, "int16"),
        ([1, 2**32 - 1], pl.UInt32, "int64"),
        (["a", "b"], pl.Categorical, "string"),
        ([NOON], pl.Datetime("ms", "America/New_York"), None),
        ([NOON], pl.Datetime("ns"), "timestamp[us]"),
        ([[1, 2], []], pl.List(pl.UInt16), "list<int32>"),
        ([{"x": 1, "y": "a"}], pl.Struct({"x": pl.Int8, "y": pl.String}), None),
        ([1.5, 2.25], pl.Decimal(10, 2), "decimal128(10, 2)"),
        ([b"\x00\xff"], pl.Binary, "binary"),
    ],
)
def test_types_that_delta_lacks_come_back_in_the_nearest(
    store: DeltaTables, values: list[Any], kind: Any, word: str | None
) -> None:
    written = pl.DataFrame({"c": pl.Series(values).cast(kind)})
    version = store.write("t", written)
    back = pl.DataFrame(store.read("t", version.version))
    assert back["c"].to_list() == written["c"].to_list()
    if word:
        assert version.columns == {"c": word}


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([None, None]),
        pl.Series([dt.timedelta(1)]),
        pl.Series([dt.time(12)]),
        pl.Series([[NOON]]),
        pl.Series([2**64 - 1], dtype=pl.UInt64),
    ],
    ids=["null", "duration", "clock time", "nested naive time", "huge"],
)
def test_what_no_table_can_hold_is_refused_and_leaves_nothing(
    store: DeltaTables, column: pl.Series
) -> None:
    with pytest.raises(Invalid):
        store.write("t", pl.DataFrame({"c": column}))
    assert store.names() == ()
    assert list(Path(store.location("t")).glob("*.parquet")) == []


def test_after_a_failed_sync_nothing_more_is_written(
    store: DeltaTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store.write("t", numbers(1))

    def failing(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        with pytest.raises(Unavailable) as first:
            store.write("t", numbers(2), mode="append")
    assert first.value.code == "sync-failed"
    with pytest.raises(Unavailable):
        store.write("t", numbers(3), mode="append")
    assert store.version("t") == before
    again = DeltaTables(Path(store.location("t")).parent)
    assert rows(again, again.write("t", numbers(4), mode="append").version) == [1, 4]


def test_a_missing_file_is_named_and_not_read(store: DeltaTables) -> None:
    version = store.write("t", numbers(1))
    (place,) = Path(store.location("t")).glob("*.parquet")
    place.unlink()
    with pytest.raises(Corrupt):
        store.read("t", version.version)
    assert [damage.name for damage in store.verify()] == [f"t/{place.name}"]
