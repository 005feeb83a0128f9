"""What every `Series` does. Subclass `SeriesContract` and say how a folder's store is opened."""

import math
import struct
import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.core.ports import Points, Series, SeriesKey
from trivet.testing.contracts.flips import check_flips
from trivet.testing.contracts.log import close
from trivet.testing.processes import PROCESSES, run_together

OpenSeries = Callable[[Path], Series]
"""Opens the store of a folder; importable by name, so that other processes can open it, too."""

LOSS = SeriesKey("run-1", "loss")
INT64 = st.integers(-(2**63), 2**63 - 1)
ROWS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 5), INT64), st.integers(0, 3), st.floats(allow_subnormal=True)
    ),
    max_size=30,
)
BAD_KEYS = (
    SeriesKey("", "loss"),
    SeriesKey("run", ""),
    SeriesKey("run", "a\nb"),
    SeriesKey("run", "\x00"),
    SeriesKey("run", "x" * 251),
    SeriesKey("run", "\ud800"),
    SeriesKey(cast("str", 7), "loss"),
)

Row = tuple[int, int, float]


def points(rows: list[Row]) -> Points:
    """Make columns of (step, time, value)."""
    return Points(
        array("q", [row[0] for row in rows]),
        array("q", [row[1] for row in rows]),
        array("d", [row[2] for row in rows]),
    )


def rows_of(read: Points) -> list[tuple[int, int, bytes]]:
    """Make rows of columns, with values as their bytes, so that NaN equals itself."""
    steps, times = memoryview(read.steps), memoryview(read.times)
    values = memoryview(read.values)
    assert [column.itemsize for column in (steps, times, values)] == [8, 8, 8]
    return [
        (step, time, struct.pack("=d", value))
        for step, time, value in zip(steps.tolist(), times.tolist(), values.tolist(), strict=True)
    ]


def ordered(rows: list[Row]) -> list[tuple[int, int, bytes]]:
    """Return rows as a series gives them back: in order, each once."""
    kept = {(step, time, struct.pack("=d", value)) for step, time, value in rows}
    return sorted(kept, key=lambda row: (*row[:2], _rank(row[2])))


def _rank(packed: bytes) -> int:
    """Place a value's bytes among others: as its number, NaN behind all."""
    bits: int = struct.unpack("=q", packed)[0]
    return bits ^ ((bits >> 63) & (2**63 - 1))


def append_many(open_store: OpenSeries, folder: Path, writer: int, count: int) -> None:
    """Append to a series of one's own and to one that all share; merge now and then."""
    store = open_store(folder)
    for step in range(count):
        store.append(
            [
                (SeriesKey("own", f"{writer}"), points([(step, 0, writer)])),
                (SeriesKey("shared", "all"), points([(step, writer, writer), (-1, 0, 0.5)])),
            ]
        )
        if step % 20 == writer:
            store.compact()
    close(store)


class SeriesContract:
    """The suite; `store` is a fresh store per test."""

    open_store: ClassVar[OpenSeries]
    is_persistent: ClassVar[bool] = True
    """Whether a second opening of the folder finds what the first has written."""
    flip_rounds: ClassVar[int] = 60

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Series]:
        """Open a fresh store."""
        store = type(self).open_store(tmp_path / "series")
        yield store
        close(store)

    def test_points_come_back_ordered_and_once(self, store: Series) -> None:
        names = iter(range(10_000))

        @given(chunks=st.lists(ROWS, max_size=4), is_merged=st.booleans())
        def check(chunks: list[list[Row]], is_merged: bool) -> None:  # noqa: FBT001
            key = SeriesKey("run", f"{next(names)}")
            for chunk in chunks:
                store.append([(key, points(chunk))])
            if is_merged:
                store.compact()
            assert rows_of(store.read(key)) == ordered([row for chunk in chunks for row in chunk])

        check()

    def test_a_range_of_steps_is_cut_out(self, store: Series) -> None:
        @given(first=st.none() | INT64, last=st.none() | INT64, near=st.booleans())
        def check(first: int | None, last: int | None, near: bool) -> None:  # noqa: FBT001
            if near:
                first, last = first and first % 40, last and last % 40
            expected = [
                step
                for step in range(30)
                if (first is None or first <= step) and (last is None or step <= last)
            ]
            read = store.read(LOSS, first=first, last=last)
            assert memoryview(read.steps).tolist() == expected

        for start in (0, 10, 20):
            store.append([(LOSS, points([(start + i, 0, 1.0) for i in range(10)]))])
        check()

    def test_one_append_takes_many_series(self, store: Series) -> None:
        keys = [SeriesKey("run-1", f"metric/{index}") for index in range(200)]
        store.append([(key, points([(1, 2, index)])) for index, key in enumerate(keys)])
        store.append([(LOSS, points([])), (keys[7], points([(2, 2, 7.5)]))])
        assert store.keys("run-1") == tuple(sorted(keys))
        assert rows_of(store.read(keys[7])) == ordered([(1, 2, 7), (2, 2, 7.5)])

    def test_an_unknown_series_is_empty(self, store: Series) -> None:
        assert rows_of(store.read(SeriesKey("nobody", "nothing"))) == []
        assert store.keys("nobody") == ()

    def test_names_of_all_languages_are_kept_apart(self, store: Series) -> None:
        keys = [
            SeriesKey("r", name)
            for name in ("损失", "loss/train", "loss train", "\u00e9", "e\u0301")
        ]
        for index, key in enumerate(keys):
            store.append([(key, points([(index, 0, 0.0)]))])
        assert store.keys("r") == tuple(sorted(keys))

    def test_special_values_keep_their_bits(self, store: Series) -> None:
        rows = [(i, 0, v) for i, v in enumerate((math.nan, math.inf, -math.inf, -0.0, 5e-324))]
        store.append([(LOSS, points(rows))])
        assert rows_of(store.read(LOSS)) == ordered(rows)

    def test_numpy_columns_are_taken(self, store: Series) -> None:
        import numpy as np

        steps = np.arange(10_000, dtype=np.int64)
        store.append([(LOSS, Points(steps, steps * 2, steps / 2))])
        read = store.read(LOSS)
        assert np.array_equal(np.asarray(read.times), steps * 2)
        assert np.array_equal(np.asarray(read.values), steps / 2)

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_what_is_no_key_is_refused(self, store: Series, key: SeriesKey) -> None:
        with pytest.raises(Invalid):
            store.append([(key, points([(1, 1, 1.0)]))])

    @pytest.mark.parametrize(
        "bad",
        [
            Points(array("q", [1]), array("q", [1]), array("d", [1.0, 2.0])),
            Points(array("q", [1]), array("q", [1, 2]), array("d", [1.0])),
            Points(array("i", [1]), array("q", [1]), array("d", [1.0])),
            Points(array("q", [1]), array("d", [1]), array("d", [1.0])),
            Points(array("q", [1]), array("q", [1]), array("f", [1.0])),
            Points([1], [1], [1.0]),
            Points(None, None, None),
        ],
        ids=["values", "times", "int32", "float times", "float32", "lists", "nothing"],
    )
    def test_bad_columns_are_refused_and_nothing_is_written(
        self, store: Series, bad: Points
    ) -> None:
        with pytest.raises(Invalid):
            store.append([(LOSS, points([(1, 1, 1.0)])), (SeriesKey("run-1", "b"), bad)])
        assert store.keys("run-1") == ()

    def test_merging_changes_nothing_for_readers(self, store: Series) -> None:
        keys = [SeriesKey("run", f"{index}") for index in range(5)]
        rows = [(step, step % 7, step / 3) for step in range(100)]
        for _ in range(3):
            for key in keys:
                store.append([(key, points(rows))])
            store.compact()
            assert [rows_of(store.read(key)) for key in keys] == [ordered(rows)] * 5
        assert store.keys("run") == tuple(keys)
        assert list(store.verify()) == []

    def test_threads_share_a_store(self, store: Series) -> None:
        def write(writer: int) -> None:
            for step in range(40):
                store.append([(LOSS, points([(step, writer, 1.0)]))])

        threads = [threading.Thread(target=write, args=(writer,)) for writer in range(6)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            store.compact()
            store.read(LOSS)
        expected = ordered([(step, writer, 1.0) for step in range(40) for writer in range(6)])
        assert rows_of(store.read(LOSS)) == expected

    def test_a_store_opened_again_has_its_points(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener = type(self).open_store
        first = opener(tmp_path / "series")
        first.append([(LOSS, points([(1, 1, 1.0)]))])
        close(first)
        again = opener(tmp_path / "series")
        again.append([(LOSS, points([(2, 2, 2.0)]))])
        assert rows_of(again.read(LOSS)) == ordered([(1, 1, 1.0), (2, 2, 2.0)])
        close(again)

    def test_four_processes_append_and_merge_at_once(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener, folder, count = type(self).open_store, tmp_path / "series", 60
        writers = threading.Thread(
            target=run_together,
            args=(append_many, [(opener, folder, writer, count) for writer in range(PROCESSES)]),
        )
        store = opener(folder)
        writers.start()
        seen = 0
        while writers.is_alive():
            read = rows_of(store.read(SeriesKey("shared", "all")))
            assert len(read) >= seen, "points that had been there were missing"
            seen = len(read)
        writers.join()
        shared = [(s, w, float(w)) for s in range(count) for w in range(PROCESSES)] + [(-1, 0, 0.5)]
        assert rows_of(store.read(SeriesKey("shared", "all"))) == ordered(shared)
        for writer in range(PROCESSES):
            own = rows_of(store.read(SeriesKey("own", f"{writer}")))
            assert own == ordered([(step, 0, float(writer)) for step in range(count)])
        assert list(store.verify()) == []
        close(store)

    def test_a_flipped_bit_is_named_and_never_served(self, tmp_path: Path) -> None:
        self._needs_persistence()
        opener = type(self).open_store
        rows = [(step, step, step / 3) for step in range(50)]
        keys = [SeriesKey("run", "a"), SeriesKey("run", "b"), SeriesKey("other", "a")]
        for part in range(3):
            store = opener(tmp_path / "series")
            store.append([(key, points(rows[part * 10 :])) for key in keys])
            if part == 1:
                store.compact()
            close(store)

        def content() -> Any:
            fresh = opener(tmp_path / "series")
            try:
                read = [rows_of(fresh.read(key)) for key in keys]
                return fresh.keys("run"), fresh.keys("other"), read
            finally:
                close(fresh)

        store = opener(tmp_path / "series")
        check_flips(tmp_path, store.verify, content, rounds=self.flip_rounds)
        close(store)

    def _needs_persistence(self) -> None:
        if not self.is_persistent:
            pytest.skip("this store lives and dies with its object")
