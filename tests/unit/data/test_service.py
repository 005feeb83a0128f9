"""Publishing: judged before it is written, visible in one commit, and never half-done."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trivet.core.clock import EventClock
from trivet.core.errors import Conflict, Corrupt, Invalid, NotFound, Refused
from trivet.core.facts import Draft, Entry, Scope
from trivet.core.gates import Gate
from trivet.core.ports import Stores
from trivet.data.expectations import judge_tables
from trivet.data.facts import DataCommit, Dataset
from trivet.data.quality import (
    expect_fresh,
    expect_reference,
    expect_rows,
    expect_unique,
)
from trivet.data.service import DataService

SCOPE = Scope(project="churn", actor="anna")
NOON = datetime(2020, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def data(stores: Stores) -> DataService:
    return DataService(stores, SCOPE, EventClock(NOON))


def a_table(*numbers: int, word: str = "x") -> pl.DataFrame:
    return pl.DataFrame({"id": list(numbers), "word": [word] * len(numbers)})


def rows_of(data: DataService, dataset: Dataset | str, table: str | None = None) -> pl.DataFrame:
    return pl.DataFrame(data.table(dataset, table))


def entry_of(stores: Stores, dataset: Dataset) -> Entry:
    entry = stores.ledger.get(dataset.id)
    assert entry is not None
    return entry


def facts(stores: Stores, kind: str = "data.commit") -> int:
    return len(stores.ledger.find(kind, limit=1000).entries)


# ---------------------------------------------------------------- publish and read


def test_a_file_comes_back_as_the_table_it_holds(data: DataService, tmp_path: Path) -> None:
    path = tmp_path / "My Customers.csv"
    path.write_text("id,joined,spent,plan\n1,2020-01-31,9.5,basic\n2,2020-02-01,NA,plus\n")
    dataset = data.import_file(path)
    assert dataset.name == "my-customers"
    assert dataset.commit.source == "My Customers.csv"
    assert rows_of(data, "my-customers").rows() == [
        (1, datetime(2020, 1, 31).date(), 9.5, "basic"),  # noqa: DTZ001  # a day
        (2, datetime(2020, 2, 1).date(), None, "plus"),  # noqa: DTZ001  # a day
    ]
    assert data.profile(dataset).column("spent").missing == 1


def test_tables_and_files_become_visible_together(
    data: DataService, stores: Stores, tmp_path: Path
) -> None:
    (tmp_path / "cat.txt").write_bytes(b"meow")
    dataset = data.publish(
        "pets",
        {"owners": a_table(1, 2), "animals": a_table(3)},
        trees={"images": tmp_path, "notes": {"a/b.txt": b"text"}},
        source="shelter",
        message="first load",
        until=NOON,
    )
    assert data.latest("pets") == dataset == data.get(dataset.id)
    assert dataset.commit.names == ("animals", "owners")
    assert dataset.commit.until == NOON
    assert_frame_equal(rows_of(data, "pets", "owners"), a_table(1, 2))
    assert list(data.files("pets", "notes")) == ["a/b.txt"]
    assert data.checkout("pets", tmp_path / "out", "images") == 1
    assert (tmp_path / "out" / "cat.txt").read_bytes() == b"meow"
    assert entry_of(stores, dataset).reason == "first load"


def test_versions_are_kept_and_can_be_read_again(data: DataService) -> None:
    first = data.publish("d", {"t": a_table(1)}, source="s")
    second = data.publish("d", {"t": a_table(2)}, source="s")
    assert data.versions("d") == (second, first)
    assert data.versions("d", limit=1) == (second,)
    assert_frame_equal(rows_of(data, first), a_table(1))
    assert_frame_equal(rows_of(data, first.id), a_table(1))
    assert_frame_equal(rows_of(data, "d"), a_table(2))


def test_columns_can_be_chosen_and_unknown_ones_are_answered(data: DataService) -> None:
    data.publish("d", {"t": a_table(1)}, source="s")
    assert pl.DataFrame(data.table("d", columns=["word"])).columns == ["word"]
    with pytest.raises(Invalid) as caught:
        data.table("d", columns=["words"])
    assert "'word'" in caught.value.hint


def test_unknown_data_sets_are_answered_with_near_names(data: DataService) -> None:
    data.publish("customers", {"t": a_table(1)}, source="s")
    with pytest.raises(NotFound) as caught:
        data.latest("costumers")
    assert "'customers'" in caught.value.hint
    assert data.names() == ("customers",)
    assert data.versions("nothing") == ()


def test_projects_do_not_see_each_other(stores: Stores, data: DataService) -> None:
    other = DataService(stores, Scope(project="other", actor="ben"))
    mine = data.publish("d", {"t": a_table(1)}, source="s")
    assert other.names() == ()
    with pytest.raises(NotFound):
        other.get(mine.id)
    theirs = other.publish("d", {"t": a_table(9)}, source="s")
    assert_frame_equal(rows_of(data, "d"), a_table(1))
    assert_frame_equal(rows_of(other, theirs), a_table(9))


def test_two_versions_are_compared_by_their_profiles(data: DataService) -> None:
    first = data.publish("d", {"t": a_table(1, 2)}, source="s")
    second = data.publish("d", {"t": a_table(1, 2).with_columns(new=1)}, source="s")
    comparison = data.compare(first.id, second.id)
    assert comparison.added == ("new",)
    assert data.compare(first, first).is_same_shape


def test_a_profile_that_was_tampered_with_is_corrupt(stores: Stores, data: DataService) -> None:
    dataset = data.publish("d", {"t": a_table(1)}, source="s")
    digest = stores.blobs.put(b"no profile")
    forged = Dataset(
        id=dataset.id, commit=DataCommit(**{**_fields(dataset.commit), "profiles": {"t": digest}})
    )
    with pytest.raises(Corrupt):
        data.profile(forged)


def _fields(commit: DataCommit) -> dict[str, Any]:
    return {name: getattr(commit, name) for name in commit.__struct_fields__}


# ---------------------------------------------------------------- same content


def test_the_same_content_is_the_same_version(data: DataService, stores: Stores) -> None:
    frame = a_table(1, 2)
    first = data.publish("d", {"t": frame}, trees={"f": {"a": b"1"}}, source="s")
    again = data.publish("d", {"t": frame.clone()}, trees={"f": {"a": b"1"}}, source="other words")
    assert again == first
    assert facts(stores) == 1


def test_changed_files_make_a_version_that_shares_its_tables(data: DataService) -> None:
    first = data.publish("d", {"t": a_table(1)}, trees={"f": {"a": b"1"}}, source="s")
    second = data.publish("d", {"t": a_table(1)}, trees={"f": {"a": b"2"}}, source="s")
    assert second.id != first.id
    assert second.commit.tables == first.commit.tables
    assert second.commit.profiles == first.commit.profiles


def test_a_return_to_old_content_is_a_new_version(data: DataService) -> None:
    first = data.publish("d", {"t": a_table(1)}, source="s")
    data.publish("d", {"t": a_table(2)}, source="s")
    assert data.publish("d", {"t": a_table(1)}, source="s").id != first.id


def test_later_completeness_is_news(data: DataService) -> None:
    first = data.publish("d", {"t": a_table(1)}, source="s", until=NOON)
    later = data.publish("d", {"t": a_table(1)}, source="s", until=NOON + timedelta(days=1))
    assert later.id != first.id


# ---------------------------------------------------------------- gates


def test_what_the_gate_refuses_leaves_nothing_behind(data: DataService, stores: Stores) -> None:
    gate = Gate(name="keys", checks=(expect_unique("id"), expect_rows(1)))
    good = data.publish("d", {"t": a_table(1, 2)}, source="s", gate=gate)
    blobs = set(stores.blobs.list())
    with pytest.raises(Refused, match="1 of 3 rows repeat") as caught:
        data.publish("d", {"t": a_table(1, 1, 2)}, trees={"f": {"a": b"1"}}, source="s", gate=gate)
    assert [reason["check"] for reason in caught.value.detail["findings"]] == ["id unique"]
    assert data.latest("d") == good
    assert facts(stores) == 1
    assert set(stores.blobs.list()) == blobs
    assert stores.tables.version("churn.d.t") == good.commit.tables[0]


def test_findings_are_kept_with_the_version(data: DataService) -> None:
    checks = (expect_rows(1), expect_rows(100, most=200, table="t", severity="warn"))
    dataset = data.publish("d", {"t": a_table(1)}, source="s", gate=Gate(name="g", checks=checks))
    assert [(f.severity, f.ok) for f in dataset.commit.findings] == [
        ("block", True),
        ("warn", False),
    ]


def test_freshness_is_judged_on_the_event_clock(stores: Stores) -> None:
    clock = EventClock(NOON)
    data = DataService(stores, SCOPE, clock)
    gate = Gate(name="g", checks=(expect_fresh("at", timedelta(hours=1)),))
    frame = pl.DataFrame({"at": [NOON]})
    data.publish("d", {"t": frame}, source="s", gate=gate)
    clock.move_to(NOON + timedelta(hours=2))
    with pytest.raises(Refused):
        data.publish("d", {"t": frame}, source="s", gate=gate)


def test_an_append_is_judged_as_a_whole_with_the_tables_beside_it(data: DataService) -> None:
    data.publish("d", {"t": a_table(1, 2), "keys": a_table(1, 2, 3)}, source="s")
    gate = Gate(
        name="g",
        checks=(
            expect_unique("id", table="t"),
            expect_reference("id", "keys", "id", table="t"),
        ),
    )
    for wrong in (a_table(2), a_table(4)):
        with pytest.raises(Refused):
            data.publish("d", {"t": wrong}, source="s", gate=gate, append=True)
    dataset = data.publish("d", {"t": a_table(3)}, source="s", gate=gate, append=True)
    assert_frame_equal(rows_of(data, dataset, "t"), a_table(1, 2, 3))


# ---------------------------------------------------------------- appending


def test_appended_rows_follow_the_old_ones_and_the_rest_stays(data: DataService) -> None:
    first = data.publish(
        "d", {"t": a_table(1), "u": a_table(7)}, trees={"f": {"a": b"1"}}, source="s", until=NOON
    )
    second = data.publish("d", {"t": a_table(2)}, source="s", append=True)
    assert_frame_equal(rows_of(data, second, "t"), a_table(1, 2))
    assert_frame_equal(rows_of(data, second, "u"), a_table(7))
    assert second.commit.trees == first.commit.trees
    assert second.commit.until == NOON
    assert data.profile(second, "t").rows == 2


def test_an_append_names_what_it_was_appended_to(data: DataService, stores: Stores) -> None:
    first = data.publish("d", {"t": a_table(1)}, source="s")
    other = data.publish("raw", {"t": a_table(1)}, source="s")
    second = data.publish("d", {"t": a_table(2)}, source="s", append=True, parents=(other.id,))
    assert entry_of(stores, second).parents == (first.id, other.id)


def test_an_append_to_nothing_is_a_first_version(data: DataService) -> None:
    dataset = data.publish("d", {"t": a_table(1)}, source="s", append=True)
    assert_frame_equal(rows_of(data, dataset), a_table(1))


def test_no_rows_appended_is_no_news(data: DataService, stores: Stores) -> None:
    first = data.publish("d", {"t": a_table(1)}, source="s")
    assert data.publish("d", {"t": a_table(1).clear()}, source="s", append=True) == first


def test_rows_left_by_a_writer_that_crashed_are_never_appended_to(
    data: DataService, stores: Stores
) -> None:
    data.publish("d", {"t": a_table(1)}, source="s")
    stores.tables.write("churn.d.t", a_table(666), mode="append")  # written, never committed
    second = data.publish("d", {"t": a_table(2)}, source="s", append=True)
    assert_frame_equal(rows_of(data, second), a_table(1, 2))


def test_rows_that_another_writer_slips_in_are_not_published(
    data: DataService, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.publish("d", {"t": a_table(1)}, source="s")
    write = stores.tables.write

    def slipping(name: str, rows: Any, *, mode: Any = "overwrite") -> Any:
        monkeypatch.undo()
        write(name, a_table(666), mode="append")
        return write(name, rows, mode=mode)

    monkeypatch.setattr(stores.tables, "write", slipping)
    second = data.publish("d", {"t": a_table(2)}, source="s", append=True)
    assert_frame_equal(rows_of(data, second), a_table(1, 2))


def test_appends_of_several_threads_all_arrive(data: DataService) -> None:
    data.publish("d", {"t": a_table(0)}, source="s")
    errors: list[BaseException] = []

    def append(number: int) -> None:
        try:
            data.publish("d", {"t": a_table(number)}, source="s", append=True)
        except Conflict as error:
            errors.append(error)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(rows_of(data, "d")["id"]) == [0, 1, 2, 3, 4, 5]
    assert len(data.versions("d")) == 6


# ---------------------------------------------------------------- two at once


def before_the_commit(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]
) -> None:
    """Let somebody else do something between a publication's reading and its commit."""
    commit = stores.ledger.commit

    def late(batch: Any) -> Any:
        monkeypatch.undo()
        then()
        return commit(batch)

    monkeypatch.setattr(stores.ledger, "commit", late)


def test_who_comes_second_with_other_content_is_told(
    data: DataService, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_the_commit(
        stores, monkeypatch, lambda: data.publish("d", {"t": a_table(2)}, source="theirs")
    )
    with pytest.raises(Conflict, match="meanwhile"):
        data.publish("d", {"t": a_table(1)}, source="mine")
    assert_frame_equal(rows_of(data, "d"), a_table(2))


def test_who_comes_second_with_the_same_content_has_what_they_wanted(
    data: DataService, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_the_commit(
        stores, monkeypatch, lambda: data.publish("d", {"t": a_table(1)}, source="theirs")
    )
    assert data.publish("d", {"t": a_table(1)}, source="mine").commit.source == "theirs"
    assert facts(stores) == 1


def test_an_append_that_comes_second_is_tried_again(
    data: DataService, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.publish("d", {"t": a_table(1)}, source="s")
    before_the_commit(
        stores,
        monkeypatch,
        lambda: data.publish("d", {"t": a_table(2)}, source="theirs", append=True),
    )
    data.publish("d", {"t": a_table(3)}, source="mine", append=True)
    assert_frame_equal(rows_of(data, "d"), a_table(1, 2, 3))


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("dataset", "tables", "options"),
    [
        ("Upper", {"t": a_table(1)}, {}),
        ("d", {"../t": a_table(1)}, {}),
        ("d", {"t": [1, 2]}, {}),
        ("d", {"t": pl.DataFrame()}, {}),
        ("d", {}, {}),
        ("d", {"t": a_table(1)}, {"until": datetime(2020, 1, 1)}),  # noqa: DTZ001  # on purpose
        ("d", {"t": a_table(1)}, {"trees": {"bad name": {"a": b""}}}),
        ("d", {"t": a_table(1)}, {"trees": {"f": {"../a": b""}}}),
        ("d", {"t": a_table(1)}, {"apend": True}),
        ("0123456789abcdef0123456789abcdef", {"t": a_table(1)}, {}),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    data: DataService, stores: Stores, dataset: str, tables: Any, options: Any
) -> None:
    with pytest.raises(Invalid) as caught:
        data.publish(dataset, tables, source="s", **options)
    assert caught.value.hint
    assert stores.tables.names() == ()
    assert facts(stores) == 0


def test_rows_that_do_not_fit_change_nothing(data: DataService) -> None:
    first = data.publish("d", {"t": a_table(1)}, source="s")
    with pytest.raises(Invalid, match="lack 'word'"):
        data.publish("d", {"t": pl.DataFrame({"id": [2]})}, source="s", append=True)
    assert data.latest("d") == first


def test_an_unknown_parent_publishes_nothing(data: DataService) -> None:
    with pytest.raises(NotFound):
        data.publish("d", {"t": a_table(1)}, source="s", parents=("0" * 32,))
    assert data.names() == ()


# ---------------------------------------------------------------- made-up data


def test_made_up_rows_are_marked_and_so_is_all_that_is_made_of_them(
    data: DataService, stores: Stores
) -> None:
    real = data.publish("d", {"t": a_table(*range(100))}, source="s")
    made = data.synthesise("d", 30, seed=1)
    assert made.name == "d-synthetic"
    assert made.commit.synthetic
    assert rows_of(data, made).height == 30
    appended = data.publish("d-synthetic", {"t": a_table(1)}, source="s", append=True)
    step = Draft(id="1" * 32, kind="step", payload=b"{}", parents=(appended.id,))
    stores.ledger.commit(SCOPE.batch("a step", [step]))
    derived = data.publish("e", {"t": a_table(1)}, source="s", parents=(step.id, real.id))
    assert appended.commit.synthetic
    assert derived.commit.synthetic
    assert not data.publish("f", {"t": a_table(1)}, source="s", parents=(real.id,)).commit.synthetic


def test_judging_a_frame_needs_no_publication() -> None:
    gate = Gate(name="g", checks=(expect_rows(2),))
    assert not judge_tables(gate, {"t": a_table(1)}).passed
