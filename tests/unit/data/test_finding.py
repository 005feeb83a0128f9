"""Versions of data found by their columns, rows, tags and times."""

from collections.abc import Iterator
from datetime import UTC, datetime

import polars as pl
import pytest

from trivet.core.errors import Invalid
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.data.differences import compare_versions
from trivet.data.service import DataService


@pytest.fixture
def data(stores: Stores, scope: Scope) -> DataService:
    """Two versions of `people`, one of `places` made up, and a file tree."""
    data = DataService(stores, scope)
    for rows in (3, 5):
        table = pl.DataFrame({"age": range(rows), "name": ["x"] * rows})
        data.publish("people", {"people": table}, source=f"{rows}.csv", tags={"rows": str(rows)})
    place = pl.DataFrame({"lat": [1.5], "name": ["here"]})
    until = datetime(2013, 3, 1, tzinfo=UTC)
    data.publish("places", {"p": place}, source="made up", synthetic=True, until=until)
    data.publish("pictures", {}, source="a camera", trees={"cats": {"a.png": b"abc", "b": b"d"}})
    return data


def names(data: DataService, text: str, **options: object) -> list[str]:
    found = data.search(text, **options)  # type: ignore[arg-type]
    return [f"{one.name} {one.rows}" for one in found.versions]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["people 5", "pictures 0", "places 1"]),
        ("columns.age IS NOT NULL", ["people 5"]),
        ("columns.name = 'string' AND rows < 2", ["places 1"]),
        ("synthetic = 'yes'", ["places 1"]),
        ("files = 2 AND bytes = 4", ["pictures 0"]),
        ("width >= 2 AND source LIKE '%.csv'", ["people 5"]),
        ("until < '2013-03-02'", ["places 1"]),
        ("tags.rows = '5' OR name = 'pictures'", ["people 5", "pictures 0"]),
        ("tags.rows = '3'", []),
        ("user = 'ada' AND made > '2013-01-01'", ["people 5", "pictures 0", "places 1"]),
    ],
)
def test_a_filter_finds_data_sets(data: DataService, text: str, expected: list[str]) -> None:
    assert names(data, text) == expected


def test_all_versions_are_searched_when_asked_for(data: DataService) -> None:
    assert names(data, "columns.age IS NOT NULL", every_version=True) == ["people 5", "people 3"]
    assert names(data, "", every_version=True, order="rows")[:2] == ["pictures 0", "places 1"]


def test_pages_go_on_where_the_last_one_ended(data: DataService) -> None:
    def pages() -> Iterator[str]:
        after = None
        while True:
            page = data.search(every_version=True, order="rows DESC", limit=1, after=after)
            yield from (f"{one.name} {one.rows}" for one in page.versions)
            after = page.after
            if after is None:
                return

    assert list(pages()) == ["people 5", "people 3", "places 1", "pictures 0"]


def test_other_tags_are_another_version(data: DataService) -> None:
    before = data.latest("people")
    table = {"people": pl.DataFrame(data.table(before))}
    assert data.publish("people", table, source="again", tags={"rows": "5"}).id == before.id
    after = data.publish("people", table, source="again", tags={"rows": "five"})
    assert after.id != before.id
    assert after.commit.tags == {"rows": "five"}


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("columns.agee = 'int64'", "'columns.agee' at character 1", "columns.age"),
        ("row > 1", "'row' specified at character 1", "rows"),
        ("rows > 'many'", "expected a number to compare rows", ""),
        ("metrics.x > 1", "'metrics'", ""),
    ],
)
def test_a_wrong_filter_is_told(data: DataService, text: str, told: str, hint: str) -> None:
    with pytest.raises(Invalid) as refused:
        data.search(text)
    assert told in str(refused.value)
    assert hint in (refused.value.hint or "")


@pytest.mark.parametrize("tags", [{"": "x"}, {"a": 1}, ["a"], {"a": "x" * 6_000}, {1: "x"}])
def test_tags_are_texts_by_name(data: DataService, tags: object) -> None:
    with pytest.raises(Invalid) as refused:
        data.publish("x", {"x": pl.DataFrame({"a": [1]})}, source="s", tags=tags)  # type: ignore[arg-type]
    assert refused.value.code == "bad-tags"


def test_rows_that_came_and_went_are_counted_whatever_their_order(data: DataService) -> None:
    def version(rows: list[tuple[int | None, list[int]]]) -> str:
        frame = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.List(pl.Int64)}, orient="row")
        return data.publish("rows", {"rows": frame}, source="s").id

    first = version([(1, [1]), (None, []), (2, [2, 3]), (2, [2, 3])])
    second = version([(2, [2, 3]), (1, [1]), (None, []), (4, [])])
    (table,) = compare_versions(data, data.get(first), data.get(second)).tables
    assert table.rows is not None
    assert (table.rows.added, table.rows.removed, table.rows.columns) == (1, 1, ("a", "b"))
    back = compare_versions(data, data.get(second), data.get(first)).tables[0].rows
    assert back is not None
    assert (back.added, back.removed) == (1, 1)


def test_other_columns_types_tables_and_files_are_told(data: DataService) -> None:
    before = data.publish(
        "all",
        {"t": pl.DataFrame({"a": [1], "b": ["x"], "gone": [1]}), "old": pl.DataFrame({"z": [1]})},
        source="s",
        trees={"files": {"kept": b"1", "changed": b"1", "gone": b"1"}},
    )
    after = data.publish(
        "all",
        {"t": pl.DataFrame({"a": ["1"], "b": ["x"], "new": [1]})},
        source="s",
        trees={"files": {"kept": b"1", "changed": b"2", "new": b"1"}},
    )
    found = compare_versions(data, before, after)
    old, table = found.tables
    assert (old.table, old.rows_before, old.rows_after, old.rows) == ("old", 1, None, None)
    assert table.columns_changed == {"a": ("int64", "string")}
    assert (list(table.columns_added), list(table.columns_removed)) == (["new"], ["gone"])
    assert table.rows is not None
    assert (table.rows.columns, table.rows.added) == (("b",), 0)
    (tree,) = found.trees
    assert (tree.added, tree.removed, tree.changed) == (1, 1, 1)
    same = compare_versions(data, after, after)
    assert (same.tables, same.trees) == ((), ())
