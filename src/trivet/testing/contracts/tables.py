"""What every `Tables` does. Subclass `TablesContract` and say how a folder's store is opened."""

import datetime as dt
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivet.core.errors import Invalid, NotFound
from trivet.core.ports import Tables, TableVersion
from trivet.testing.contracts.flips import check_flips
from trivet.testing.processes import PROCESSES, run_together

OpenTables = Callable[[Path], Tables]
"""Opens the store of a folder; importable by name, so that other processes can open it, too."""

BAD_NAMES = ("", "../etc", "a/b", "A", ".hidden", "a" * 65)
NOON = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(),
        st.none() | st.text(max_size=10),
        st.none() | st.booleans(),
        st.none() | st.dates(),
    ),
    max_size=20,
)


def frame(**columns: Any) -> Any:
    """Make a table."""
    import polars as pl

    return pl.DataFrame(columns)


def numbers(first: int, last: int) -> Any:
    """Make a table of one column `i`, counting from `first` to below `last`."""
    return frame(i=list(range(first, last)))


def read(store: Tables, name: str, version: int, columns: list[str] | None = None) -> Any:
    """Read a version as a data frame."""
    import polars as pl

    return pl.DataFrame(store.read(name, version, columns=columns))


def write_many(
    open_store: OpenTables, folder: Path, writer: int, count: int
) -> list[tuple[int, int]]:
    """Append to one table that all share; return the versions and how many rows each had."""
    store = open_store(folder)
    done = [store.write("shared", frame(i=[writer] * 3), mode="append") for _ in range(count)]
    return [(version.version, version.rows) for version in done]


class TablesContract:
    """The suite; `store` is a fresh store per test."""

    open_store: ClassVar[OpenTables]
    is_persistent: ClassVar[bool] = True
    """Whether a second opening of the folder finds what the first has written."""
    flip_rounds: ClassVar[int] = 60

    @pytest.fixture
    def store(self, tmp_path: Path) -> Tables:
        """Open a fresh store."""
        return type(self).open_store(tmp_path / "tables")

    def test_rows_come_back_in_their_order(self, store: Tables) -> None:
        import polars as pl

        schema = {"i": pl.Int64, "x": pl.Float64, "s": pl.String, "b": pl.Boolean, "d": pl.Date}

        @settings(max_examples=30)
        @given(rows=ROWS)
        def check(rows: list[tuple[Any, ...]]) -> None:
            written = pl.DataFrame(rows, schema=schema, orient="row")
            version = store.write("t", written)
            assert version.rows == len(rows)
            assert read(store, "t", version.version).equals(written)

        check()

    def test_common_types_are_described_in_arrow_s_words(self, store: Tables) -> None:
        written = frame(
            i=[1],
            x=[1.5],
            s=["tea"],
            b=[True],
            d=[dt.date(2013, 7, 1)],
            at=[NOON],
            local=[NOON.replace(tzinfo=None)],
        )
        version = store.write("t", written)
        assert version.columns == {
            "i": "int64",
            "x": "float64",
            "s": "string",
            "b": "bool",
            "d": "date32",
            "at": "timestamp[us, tz=UTC]",
            "local": "timestamp[us]",
        }
        assert list(version.columns) == written.columns
        assert read(store, "t", version.version).equals(written)

    def test_many_rows_keep_their_order(self, store: Tables) -> None:
        rows = 300_000
        version = store.write("t", frame(i=range(rows), text=["many words"] * rows))
        assert read(store, "t", version.version)["i"].to_list() == list(range(rows))

    def test_an_overwritten_version_stays_readable(self, store: Tables) -> None:
        first = store.write("t", numbers(0, 3))
        second = store.write("t", frame(other=["a"]))
        assert first.version < second.version
        assert first.digest != second.digest
        assert read(store, "t", first.version)["i"].to_list() == [0, 1, 2]
        assert read(store, "t", second.version)["other"].to_list() == ["a"]
        assert store.version("t") == second
        assert store.version("t", first.version) == first

    def test_appended_rows_follow_the_others(self, store: Tables) -> None:
        versions = [store.write("t", numbers(n, n + 2), mode="append") for n in range(0, 8, 2)]
        assert [version.rows for version in versions] == [2, 4, 6, 8]
        assert len({version.digest for version in versions}) == 4
        for version in versions:
            rows = read(store, "t", version.version)["i"].to_list()
            assert rows == list(range(version.rows))

    def test_columns_of_another_order_are_appended_by_name(self, store: Tables) -> None:
        store.write("t", frame(a=[1], b=["x"]))
        version = store.write("t", frame(b=["y"], a=[2]), mode="append")
        assert read(store, "t", version.version).to_dict(as_series=False) == {
            "a": [1, 2],
            "b": ["x", "y"],
        }

    @pytest.mark.parametrize(
        "columns", [{"a": [1], "c": ["x"]}, {"a": [1]}, {"a": ["1"], "b": ["x"]}]
    )
    def test_other_columns_are_not_appended(
        self, store: Tables, columns: dict[str, list[Any]]
    ) -> None:
        before = store.write("t", frame(a=[1], b=["x"]))
        with pytest.raises(Invalid):
            store.write("t", frame(**columns), mode="append")
        assert store.version("t") == before

    def test_chosen_columns_come_in_the_order_asked_for(self, store: Tables) -> None:
        version = store.write("t", frame(a=[1], b=[2], c=[3])).version
        assert read(store, "t", version, ["c", "a"]).columns == ["c", "a"]
        with pytest.raises(Invalid):
            store.read("t", version, columns=["a", "nope"])

    def test_names_that_look_like_patterns_are_names(self, store: Tables) -> None:
        written = frame(**{"^a.*$": [1], "ab": [2], "*": [3], "with space, (and) = %": [4]})
        version = store.write("t", written).version
        assert read(store, "t", version).equals(written)
        assert read(store, "t", version, ["^a.*$"]).columns == ["^a.*$"]

    def test_a_table_without_rows_keeps_its_columns(self, store: Tables) -> None:
        empty = frame(a=[1], b=["x"]).clear()
        version = store.write("t", empty)
        assert version.rows == 0
        assert read(store, "t", version.version).equals(empty)
        assert store.write("t", frame(a=[1], b=["x"]), mode="append").rows == 1

    def test_the_same_rows_have_the_same_version_s_digest_when_read_again(
        self, store: Tables
    ) -> None:
        version = store.write("t", numbers(0, 5))
        described = store.version("t", version.version)
        assert isinstance(described, TableVersion)
        assert described == version
        assert described.size_bytes > 0

    def test_a_stream_is_taken_from_any_library(self, store: Tables) -> None:
        class Stream:
            def __init__(self, inner: Any) -> None:
                self.inner = inner

            def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
                return self.inner.__arrow_c_stream__(requested_schema)

        version = store.write("t", Stream(frame(a=[1, 2], s=["x", None])))
        assert read(store, "t", version.version).to_dict(as_series=False) == {
            "a": [1, 2],
            "s": ["x", None],
        }

    def test_what_does_not_exist_is_not_found(self, store: Tables) -> None:
        with pytest.raises(NotFound):
            store.read("t", 0)
        version = store.write("t", numbers(0, 1)).version
        for missing in (version + 1, -1):
            with pytest.raises(NotFound):
                store.read("t", missing)
            assert store.version("t", missing) is None
        assert store.version("nobody") is None

    @pytest.mark.parametrize("name", BAD_NAMES)
    def test_what_is_no_name_is_refused(self, store: Tables, name: str) -> None:
        with pytest.raises(Invalid):
            store.write(name, numbers(0, 1))
        with pytest.raises(Invalid):
            store.location(name)

    @pytest.mark.parametrize("data", [[1, 2], None, "rows"])
    def test_what_is_no_stream_is_refused(self, store: Tables, data: object) -> None:
        with pytest.raises(Invalid):
            store.write("t", cast("Any", data))
        assert store.names() == ()

    @pytest.mark.parametrize("mode", ["append", "overwrite"])
    def test_a_table_without_columns_is_refused(
        self, store: Tables, mode: Literal["append", "overwrite"]
    ) -> None:
        with pytest.raises(Invalid):
            store.write("t", frame(), mode=mode)
        assert store.names() == ()

    def test_names_are_sorted(self, store: Tables) -> None:
        for name in ("b", "c.d", "a-1"):
            store.write(name, numbers(0, 1))
        assert store.names() == ("a-1", "b", "c.d")
        assert store.location("b") != store.location("a-1")

    def test_threads_share_a_store(self, store: Tables) -> None:
        def write() -> None:
            for _ in range(4):
                store.write("t", numbers(0, 1), mode="append")

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        newest = store.version("t")
        assert newest is not None
        assert newest.rows == 16

    def test_a_store_opened_again_has_its_tables(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener = type(self).open_store
        version = opener(tmp_path / "tables").write("t", numbers(0, 3))
        again = opener(tmp_path / "tables")
        assert again.version("t") == version
        assert again.names() == ("t",)
        assert read(again, "t", version.version)["i"].to_list() == [0, 1, 2]

    def test_four_processes_append_to_one_table(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener, folder, count = type(self).open_store, tmp_path / "tables", 6
        done = run_together(
            write_many, [(opener, folder, writer, count) for writer in range(PROCESSES)]
        )
        versions = sorted(version for one in done for version in one)
        total = PROCESSES * count
        assert len({version for version, _ in versions}) == total
        assert [rows for _, rows in versions] == [3 * (n + 1) for n in range(total)]
        store = opener(folder)
        rows = read(store, "shared", versions[-1][0])["i"].to_list()
        assert sorted(rows) == sorted(list(range(PROCESSES)) * 3 * count)
        assert list(store.verify()) == []

    def test_a_flipped_bit_is_named_and_never_served(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener = type(self).open_store
        store = opener(tmp_path / "tables")
        for start in range(4):
            store.write("a", numbers(start, start + 50), mode="append")
        store.write("b", frame(s=["x", "y"] * 100))
        store.write("b", frame(s=["z"]))
        versions = [(name, n) for name in ("a", "b") for n in range(4)]

        def content() -> list[Any]:
            fresh = opener(tmp_path / "tables")
            return [
                (fresh.version(name, n), read(fresh, name, n).to_dict(as_series=False))
                for name, n in versions
                if fresh.version(name, n)
            ]

        check_flips(tmp_path, store.verify, content, rounds=self.flip_rounds)

    def _needs_persistence(self) -> None:
        if not self.is_persistent:
            pytest.skip("this store lives and dies with its object")
