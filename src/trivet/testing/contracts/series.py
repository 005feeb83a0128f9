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
from trivet.testing.contracts.series_machine import run_series_histories
from trivet.testing.memory_series import rank
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
    SeriesKey("x" * 257, "loss"),
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
    return rank(bits)


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


def follow(store: Series, position: str | None, told: dict[SeriesKey, int]) -> str:
    """Follow the feed to its end; note the greatest step that was told of each series."""
    while True:
        changes = store.since(position, limit=7)
        position = changes.position
        for key, summary in changes.series.items():
            told[key] = max(told.get(key, -1), summary.last_step)
        if not changes.has_more:
            return position


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
        assert list(store.summaries("run-1")) == sorted(key.name for key in keys)
        assert rows_of(store.read(keys[7])) == ordered([(1, 2, 7), (2, 2, 7.5)])

    def test_an_unknown_series_is_empty(self, store: Series) -> None:
        assert rows_of(store.read(SeriesKey("nobody", "nothing"))) == []
        assert store.summaries("nobody") == {}

    def test_names_of_all_languages_are_kept_apart(self, store: Series) -> None:
        keys = [
            SeriesKey("r", name)
            for name in ("损失", "loss/train", "loss train", "\u00e9", "e\u0301")
        ]
        for index, key in enumerate(keys):
            store.append([(key, points([(index, 0, 0.0)]))])
        assert list(store.summaries("r")) == sorted(key.name for key in keys)

    def test_special_values_keep_their_bits(self, store: Series) -> None:
        rows = [(i, 0, v) for i, v in enumerate((math.nan, math.inf, -math.inf, -0.0, 5e-324))]
        store.append([(LOSS, points(rows))])
        assert rows_of(store.read(LOSS)) == ordered(rows)

    def test_nan_of_either_sign_stands_behind_all_numbers(self, store: Series) -> None:
        values = [math.nan, math.inf, math.copysign(math.nan, -1), -math.inf, 0.0, -0.0]
        store.append([(LOSS, points([(1, 1, value) for value in values]))])
        read = memoryview(store.read(LOSS).values).tolist()
        assert read[:4] == [-math.inf, 0.0, 0.0, math.inf]
        assert [math.copysign(1, value) for value in read] == [-1, -1, 1, 1, 1, -1]
        assert [math.isnan(value) for value in read] == [False] * 4 + [True] * 2

    def test_a_summary_says_what_the_points_are(self, store: Series) -> None:
        rows = [(5, 1, math.nan), (-7, 3, 2.0), (5, 1, 9.0), (5, 0, -4.0)]
        store.append(
            [(LOSS, points(rows)), (SeriesKey("run-1", "all"), points([(0, 0, math.nan)]))]
        )
        found = store.summaries("run-1")
        assert list(found) == ["all", "loss"]
        loss = found["loss"]
        assert (loss.count, loss.first_step, loss.last_step) == (4, -7, 5)
        assert (loss.least, loss.greatest) == (-4.0, 9.0)
        assert (loss.latest.step, loss.latest.time) == (5, 1)
        assert math.isnan(loss.latest.value)
        assert math.isnan(found["all"].least)
        assert math.isnan(found["all"].greatest)

    def test_the_ends_of_all_ranges_are_kept(self, store: Series) -> None:
        low, high = -(2**63), 2**63 - 1
        rows = [(low, high, -math.inf), (high, low, math.inf), (0, 0, -0.0)]
        store.append([(LOSS, points(rows))])
        store.compact()
        assert rows_of(store.read(LOSS)) == ordered(rows)
        assert rows_of(store.read(LOSS, first=high)) == ordered(rows[1:2])
        assert rows_of(store.read(LOSS, first=2**70)) == []
        assert len(rows_of(store.read(LOSS, first=-(2**70), last=2**70))) == 3
        summary = store.summaries("run-1")["loss"]
        assert (summary.first_step, summary.last_step) == (low, high)
        assert rows_of(store.curve(LOSS, points=2).sample) == ordered([rows[0], rows[1]])

    def test_series_of_owners_are_left_out_for_good(self, store: Series) -> None:
        kept = SeriesKey("run-2", "loss")
        for number in range(3):
            both = [(key, points([(number, number, 1.0)])) for key in (LOSS, kept)]
            store.append([*both, (SeriesKey("run-1", f"m{number}"), points([(1, 1, 1.0)]))])
            if number == 1:
                store.compact()
        position = store.since(None).position
        store.compact(without=["run-1", "run-3"])
        assert (store.summaries("run-1"), rows_of(store.read(LOSS))) == ({}, [])
        assert rows_of(store.read(kept)) == ordered([(n, n, 1.0) for n in range(3)])
        assert set(store.since(position).series) <= {kept}
        store.append([(LOSS, points([(9, 9, 9.0)]))])
        assert rows_of(store.read(LOSS)) == ordered([(9, 9, 9.0)])
        store.compact(without=["run-1", "run-2"])
        assert rows_of(store.read(kept)) == rows_of(store.read(LOSS)) == []
        store.compact()
        assert list(store.verify()) == []

    def test_long_names_of_any_language_are_taken(self, store: Series) -> None:
        owner, names = "a1_-" * 64, ["损" * 250, "n" * 250, "n" * 249]
        for name in names:
            store.append([(SeriesKey(owner, name), points([(1, 1, 1.0)]))])
        store.compact()
        assert list(store.summaries(owner)) == sorted(names)
        assert len(rows_of(store.read(SeriesKey(owner, names[0])))) == 1

    def test_an_append_that_does_not_wait_is_seen_at_once(self, store: Series) -> None:
        store.append([(LOSS, points([(1, 1, 1.0)]))], synced=False)
        assert rows_of(store.read(LOSS)) == ordered([(1, 1, 1.0)])
        assert store.summaries("run-1")["loss"].count == 1
        store.append([(LOSS, points([(2, 2, 2.0)]))])
        assert store.since(None).series[LOSS].count == 2

    def test_a_curve_keeps_every_peak(self, store: Series) -> None:
        rows = [(step, step, float(step % 10)) for step in range(1000)]
        rows[617] = (617, 617, 99.0)
        store.append([(LOSS, points(rows))])
        curve = store.curve(LOSS, points=10)
        assert memoryview(curve.first.steps).tolist() == list(range(0, 1000, 100))
        assert memoryview(curve.last.steps).tolist() == list(range(99, 1000, 100))
        assert memoryview(curve.least).tolist() == [0.0] * 10
        assert memoryview(curve.greatest).tolist() == [9.0] * 6 + [99.0] + [9.0] * 3
        part = store.curve(LOSS, points=5, first=610, last=619)
        assert memoryview(part.greatest).tolist() == [1.0, 3.0, 5.0, 99.0, 9.0]

    def test_a_sample_is_even_and_has_both_ends(self, store: Series) -> None:
        steps = [*range(100), 10**15]
        store.append([(LOSS, points([(step, 0, 1.0) for step in steps]))])
        sample = memoryview(store.curve(LOSS, points=5, by="order").sample.steps).tolist()
        assert sample == [0, 21, 41, 61, 10**15]
        by_step = memoryview(store.curve(LOSS, points=5).sample.steps).tolist()
        assert by_step == [0, 10**15]
        every = store.curve(LOSS, points=1000, by="order").sample
        assert memoryview(every.steps).tolist() == steps
        assert rows_of(store.curve(SeriesKey("run-1", "nothing")).sample) == []

    def test_what_is_no_request_is_refused(self, store: Series) -> None:
        requests: list[Callable[[], object]] = [
            lambda: store.curve(LOSS, points=0),
            lambda: store.curve(LOSS, points=100_001),
            lambda: store.curve(LOSS, points=cast("int", 2.5)),
            lambda: store.curve(LOSS, by=cast("Any", "time")),
            lambda: store.since("no position"),
            lambda: store.since("{}{"),
            lambda: store.since(cast("str", 7)),
            lambda: store.since(None, 0),
            lambda: store.summaries(""),
            lambda: store.read(SeriesKey("run", "")),
        ]
        for request in requests:
            with pytest.raises(Invalid):
                request()

    def test_the_feed_tells_each_append_and_then_nothing(self, store: Series) -> None:
        other = SeriesKey("run-2", "loss")
        store.append([(LOSS, points([(1, 1, 1.0), (2, 2, 5.0)])), (other, points([(1, 1, 7.0)]))])
        store.append([(LOSS, points([(3, 3, -1.0)]))])
        first = store.since(None, limit=1)
        assert first.has_more
        assert first.series.keys() == {LOSS, other}
        assert (first.series[LOSS].count, first.series[LOSS].greatest) == (2, 5.0)
        second = store.since(first.position)
        assert not second.has_more
        assert second.series.keys() == {LOSS}
        assert (second.series[LOSS].count, second.series[LOSS].latest.step) == (1, 3)
        third = store.since(second.position)
        assert (third.series, third.has_more) == ({}, False)
        store.compact()
        store.append([(other, points([(9, 9, 9.0)]))])
        fourth = store.since(third.position)
        assert other in fourth.series  # and after a merge, perhaps, what was told before
        assert store.since(fourth.position).series == {}

    def test_random_histories_agree_with_a_dictionary(self) -> None:
        run_series_histories(type(self).open_store, shares=self.is_persistent)

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
        assert store.summaries("run-1") == {}

    def test_merging_changes_nothing_for_readers(self, store: Series) -> None:
        keys = [SeriesKey("run", f"{index}") for index in range(5)]
        rows = [(step, step % 7, step / 3) for step in range(100)]
        for _ in range(3):
            for key in keys:
                store.append([(key, points(rows))])
            store.compact()
            assert [rows_of(store.read(key)) for key in keys] == [ordered(rows)] * 5
        assert list(store.summaries("run")) == [key.name for key in keys]
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
        seen, told, position = 0, dict[SeriesKey, int](), None
        while writers.is_alive():
            position = follow(store, position, told)
            read = rows_of(store.read(SeriesKey("shared", "all")))
            assert len(read) >= seen, "points that had been there were missing"
            seen = len(read)
        writers.join()
        follow(store, position, told)
        own_keys = [SeriesKey("own", f"{writer}") for writer in range(PROCESSES)]
        assert told == dict.fromkeys([*own_keys, SeriesKey("shared", "all")], count - 1)
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
                return fresh.summaries("run"), fresh.summaries("other"), read
            finally:
                close(fresh)

        store = opener(tmp_path / "series")
        check_flips(tmp_path, store.verify, content, rounds=self.flip_rounds)
        close(store)

    def _needs_persistence(self) -> None:
        if not self.is_persistent:
            pytest.skip("this store lives and dies with its object")
