"""What all `Views` do. Subclass `ViewsContract` and say how a folder's store is opened."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Batch, ViewFree, ViewPut
from trivet.core.ports import Row, View
from trivet.testing.contracts.trio import SCOPE, OnTrio, OpenStores, Trio
from trivet.testing.processes import PROCESSES, run_together

LATEST = View(
    name="run.latest",
    columns={"run": "text", "step": "integer", "value": "real", "raw": "blob"},
    key=("run", "step"),
    indexes=(("value",), ("step", "run")),
)
_ROW = st.fixed_dictionaries(
    {
        "run": st.sampled_from(["", "a", "b", "ü"]),
        "step": st.integers(-2, 2),
        "value": st.none() | st.sampled_from([-1.5, 0.0, 2.0, math.inf]),
    }
)


def put_many(open_stores: OpenStores, folder: Path, run: str) -> None:
    """Put rows one by one."""
    stores = open_stores(folder)
    stores.views.declare(LATEST)
    for step in range(20):
        stores.views.put(LATEST.name, [row(run, step), row("shared", step, float(step))])
    stores.close()


def row(run: str, step: int, value: float | None = None, raw: bytes | None = None) -> Row:
    """Make a row of the declared view."""
    return {"run": run, "step": step, "value": value, "raw": raw}


class ViewsContract(OnTrio):
    """The suite; `stores` is a fresh store per test, with one view declared."""

    @pytest.fixture
    def stores(self, tmp_path: Path) -> Iterator[Trio]:
        """Open a fresh store with one view."""
        stores = type(self).open_stores(tmp_path / "stores")
        stores.views.declare(LATEST)
        yield stores
        stores.close()

    def test_a_batch_is_refused_where_a_row_stands_that_was_to_be_free(self, stores: Trio) -> None:
        def batch(first: int, last: int, column: str = "value") -> Batch:
            stretch = ViewFree(
                view=LATEST.name, first=("a", first), last=("a", last), column=column
            )
            put = ViewPut(view=LATEST.name, row=row("new", first, 1.0))
            return replace(SCOPE.batch("r", rows=[put]), free=(stretch,))

        stores.views.put(LATEST.name, [row("a", 1, 1.0), row("a", 5), row("b", 3, 1.0)])
        for first, last in ((1, 1), (0, 1), (1, 9), (-5, 9)):
            with pytest.raises(Conflict) as caught:
                stores.ledger.commit(batch(first, last))
            assert caught.value.code == "row-exists"
        assert stores.views.find(LATEST.name, where={"run": "new"}) == ()
        for first, last in ((2, 4), (2, 9), (5, 5), (-3, 0), (9, 2)):  # of 5 there is no value
            stores.ledger.commit(batch(first, last))
        assert len(stores.views.find(LATEST.name, where={"run": "new"})) == 4
        with pytest.raises(Conflict):
            stores.ledger.commit(batch(5, 5, "step"))
        odd = ViewFree(view=LATEST.name, first=("a",), last=("a", 1), column="value")
        with pytest.raises(Invalid, match="keys of 1 and 2"):
            stores.ledger.commit(replace(SCOPE.batch("r"), free=(odd,)))

    def test_a_row_takes_the_place_of_what_was_expected_or_of_nothing(self, stores: Trio) -> None:
        def put(run: str, **expect: Any) -> ViewPut:
            return ViewPut(view=LATEST.name, row=row(run, 1, 9.0), expect=expect)

        stores.views.put(LATEST.name, [row("a", 1, 1.0), row("b", 1)])
        for refused in (put("a", value=2.0), put("a", value=None), put("none", value=1.0)):
            with pytest.raises(Conflict) as caught:
                stores.ledger.commit(SCOPE.batch("r", rows=[put("a", value=1.0), refused]))
            assert caught.value.code == "row-changed"
        stores.ledger.commit(SCOPE.batch("r", rows=[put("a", value=1.0), put("b", value=None)]))
        assert [each["value"] for each in stores.views.find(LATEST.name)] == [9.0, 9.0]

    def test_rows_come_back_whole_and_typed(self, stores: Trio) -> None:
        full = row("茶", 2**63 - 1, 1.5, b"\x00\xff")
        stores.views.put(LATEST.name, [full, {"run": "b", "step": -(2**63)}])
        assert stores.views.find(LATEST.name, where={"run": "茶"}) == (full,)
        assert stores.views.find(LATEST.name, where={"run": "b"}) == (row("b", -(2**63)),)

    def test_a_whole_number_in_a_real_column_becomes_a_float(self, stores: Trio) -> None:
        stores.views.put(LATEST.name, [row("a", 1, 3)])
        (found,) = stores.views.find(LATEST.name)
        assert isinstance(found["value"], float)
        assert stores.views.find(LATEST.name, where={"value": 3}) == (found,)

    def test_not_a_number_is_stored_as_nothing(self, stores: Trio) -> None:
        stores.views.put(LATEST.name, [row("a", 1, math.nan)])
        assert stores.views.find(LATEST.name, where={"value": None}) == (row("a", 1),)

    def test_a_row_of_the_same_key_replaces_the_older(self, stores: Trio) -> None:
        stores.views.put(LATEST.name, [row("a", 1, 1.0), row("a", 2, 2.0)])
        stores.views.put(LATEST.name, [{"run": "a", "step": 1, "raw": b"new"}])
        assert stores.views.find(LATEST.name) == (row("a", 1, None, b"new"), row("a", 2, 2.0))

    @pytest.mark.parametrize(
        "bad",
        [
            {"run": "a"},
            {"run": None, "step": 1},
            {"run": 1, "step": 1},
            {"run": "a", "step": 1.5},
            {"run": "a", "step": 2**63},
            {"run": "a", "step": 2**80},
            {"run": "a", "step": object()},
            {"run": "a", "step": 1, "value": "high"},
            {"run": "a", "step": 1, "raw": "text"},
            {"run": "a", "step": 1, "unknown": 1},
        ],
    )
    def test_a_row_of_another_shape_refuses_all_of_them(self, stores: Trio, bad: Row) -> None:
        with pytest.raises(Invalid):
            stores.views.put(LATEST.name, [row("a", 1), bad])
        puts = [ViewPut(view=LATEST.name, row=one) for one in (row("a", 1), bad)]
        with pytest.raises(Invalid):
            stores.ledger.commit(SCOPE.batch("r", rows=puts))
        assert stores.views.find(LATEST.name) == ()

    @pytest.mark.parametrize(
        "search",
        [
            {"where": {"unknown": 1}},
            {"where": {"step": "1"}},
            {"order": "unknown"},
            {"order": "value; DROP TABLE facts"},
            {"after": ("a",)},
            {"order": "value", "after": ("a", 1)},
        ],
    )
    def test_senseless_searches_are_refused(self, stores: Trio, search: dict[str, Any]) -> None:
        with pytest.raises(Invalid):
            stores.views.find(LATEST.name, **search)

    @pytest.mark.parametrize(
        "changes",
        [
            {"name": "../x"},
            {"name": 'x"y'},
            {"columns": {"Run": "text"}, "key": ("Run",)},
            {"columns": {"a b": "text"}, "key": ("a b",)},
            {"columns": {"run": "varchar"}, "key": ("run",)},
            {"key": ()},
            {"key": ("nothing",)},
            {"indexes": (("nothing",),)},
        ],
    )
    def test_malformed_declarations_are_refused(
        self, stores: Trio, changes: dict[str, Any]
    ) -> None:
        with pytest.raises(Invalid):
            stores.views.declare(replace(LATEST, **changes))

    def test_words_of_sql_make_good_names(self, stores: Trio) -> None:
        view = View(
            name="order",
            columns={"group": "text", "select": "integer"},
            key=("group",),
            indexes=(("select",),),
        )
        stores.views.declare(view)
        stores.views.put("order", [{"group": "a", "select": 1}])
        found = stores.views.find("order", where={"select": 1}, order="-select")
        assert found == ({"group": "a", "select": 1},)
        assert stores.views.remove("order", {"group": "a"}) == 1

    def test_an_undeclared_view_is_not_found(self, stores: Trio) -> None:
        with pytest.raises(NotFound):
            stores.views.find("unknown")
        with pytest.raises(NotFound):
            stores.views.put("unknown", [{}])
        with pytest.raises(NotFound):
            stores.views.remove("unknown", {})

    def test_declaring_the_same_view_again_keeps_its_rows(self, stores: Trio) -> None:
        stores.views.put(LATEST.name, [row("a", 1)])
        stores.views.declare(LATEST)
        assert len(stores.views.find(LATEST.name)) == 1

    def test_a_changed_declaration_empties_the_view(self, stores: Trio) -> None:
        stores.views.put(LATEST.name, [row("a", 1)])
        changed = replace(LATEST, columns=LATEST.columns | {"note": "text"})
        stores.views.declare(changed)
        assert stores.views.find(LATEST.name) == ()
        stores.views.put(LATEST.name, [row("a", 1) | {"note": "x"}])
        assert stores.views.find(LATEST.name) == (row("a", 1) | {"note": "x"},)

    def test_rows_are_removed_by_equality_and_counted(self, stores: Trio) -> None:
        stores.views.put(LATEST.name, [row("a", 1), row("a", 2), row("b", 1, 1.0)])
        assert stores.views.remove(LATEST.name, {"run": "a", "value": None}) == 2
        assert stores.views.remove(LATEST.name, {"run": "a"}) == 0
        assert stores.views.find(LATEST.name) == (row("b", 1, 1.0),)
        assert stores.views.remove(LATEST.name, {}) == 1

    def test_rows_of_a_commit_are_there_with_its_facts(self, stores: Trio) -> None:
        puts = [ViewPut(view=LATEST.name, row=row("a", step)) for step in range(3)]
        stores.ledger.commit(SCOPE.batch("r", rows=puts))
        assert len(stores.views.find(LATEST.name)) == 3

    @pytest.mark.parametrize("order", [None, "value", "-value", "step", "-run"])
    def test_pages_cover_any_rows_in_order(
        self, tmp_path_factory: pytest.TempPathFactory, order: str | None
    ) -> None:
        opener = type(self).open_stores

        @settings(max_examples=15, deadline=None)
        @given(rows=st.lists(_ROW, max_size=12), limit=st.integers(1, 4))
        def holds(rows: list[Row], limit: int) -> None:
            stores = opener(tmp_path_factory.mktemp("views"))
            stores.views.declare(LATEST)
            stores.views.put(LATEST.name, rows)
            distinct = {(one["run"], one["step"]): one | {"raw": None} for one in rows}
            assert _all_pages(stores, order, limit) == _sorted(list(distinct.values()), order)
            stores.close()

        holds()

    def test_four_processes_write_side_by_side(self, tmp_path: Path) -> None:
        self.needs_processes()
        opener, folder = type(self).open_stores, tmp_path / "stores"
        run_together(put_many, [(opener, folder, f"run-{n}") for n in range(PROCESSES)])
        stores = opener(folder)
        assert len(stores.views.find(LATEST.name, limit=1000)) == 20 * (PROCESSES + 1)
        stores.close()


def _all_pages(stores: Trio, order: str | None, limit: int) -> list[Row]:
    rows: list[Row] = []
    after: tuple[Any, ...] | None = None
    while page := stores.views.find(LATEST.name, order=order, after=after, limit=limit):
        assert len(page) <= limit
        rows += page
        last = page[-1]
        after = (last["run"], last["step"])
        if order:
            after = (last[order.removeprefix("-")], *after)
    return rows


def _sorted(rows: list[Row], order: str | None) -> list[Row]:
    """Sort by a column and then by key; None counts as smaller than every value."""
    rows.sort(key=lambda one: (one["run"], one["step"]))
    if order:
        column = order.removeprefix("-")
        present = [one for one in rows if one[column] is not None]
        absent = [one for one in rows if one[column] is None]
        if order.startswith("-"):
            return sorted(present, key=lambda one: one[column], reverse=True) + absent
        return absent + sorted(present, key=lambda one: one[column])
    return rows
