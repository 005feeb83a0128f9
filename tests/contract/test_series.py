import errno
import multiprocessing
import subprocess
import sys
import time
from array import array
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from trivet.adapters.files.points import curves, merging, tree
from trivet.adapters.files.points.manifest import MANIFEST
from trivet.adapters.files.series import FileSeries
from trivet.core.errors import Corrupt, Unavailable
from trivet.core.ports import Points, Series, SeriesKey
from trivet.testing.contracts.series import SeriesContract
from trivet.testing.memory_series import MemorySeries


def in_memory(folder: Path) -> MemorySeries:
    return MemorySeries()


class TestMemorySeries(SeriesContract):
    open_store = staticmethod(in_memory)
    is_persistent = False


class TestFileSeries(SeriesContract):
    open_store = staticmethod(FileSeries)


class TestFileSeriesOfManySegments(SeriesContract):
    open_store = staticmethod(partial(FileSeries, rotate_bytes=3000))


class TestFileSeriesThatKeepNothing(SeriesContract):
    open_store = staticmethod(partial(FileSeries, rotate_bytes=3000, keep_s=0))


class TestFileSeriesOfSmallParts(SeriesContract):
    """Everything that only a large store would do: trees with levels, curves by figures."""

    open_store = staticmethod(partial(FileSeries, keep_s=0))

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tree, "CHUNK_POINTS", 4)
        monkeypatch.setattr(merging, "CHUNK_POINTS", 4)
        monkeypatch.setattr(merging, "_WINDOW_POINTS", 16)
        monkeypatch.setattr(tree, "_NODE_BYTES", 150)
        monkeypatch.setattr(tree, "_DATA_BYTES", 300)
        monkeypatch.setattr(tree, "_KEPT_NODES", 1)
        monkeypatch.setattr(curves, "_WHOLE_POINTS", 0)


LOSS = SeriesKey("run", "loss")


def append(store: Series, *steps: int) -> None:
    columns = array("q", steps), array("q", steps), array("d", steps)
    store.append([(LOSS, Points(*columns))])


def one(step: int) -> Points:
    return Points(array("q", [step]), array("q", [step]), array("d", [step]))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def steps(store: Series) -> list[int]:
    return store.read(LOSS).steps.tolist()


def test_segments_of_a_merge_that_was_cut_short_are_ignored_and_removed(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path)) as store:
        append(store, 1, 2)
        store.compact()
    merged = tmp_path / "merged"
    (whole,) = merged.iterdir()
    (merged / "0123.seg").write_bytes(whole.read_bytes()[:600])
    with closing(FileSeries(tmp_path)) as store:
        assert list(store.verify()) == []
        append(store, 3)
        store.compact()
        assert steps(store) == [1, 2, 3]
    assert len(list(merged.iterdir())) == 1


def test_segments_that_were_merged_but_not_yet_removed_count_once(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path)) as store:
        append(store, 1, 2)
    (raw,) = tmp_path.glob("*.seg")
    content = raw.read_bytes()
    with closing(FileSeries(tmp_path, keep_s=0)) as store:
        store.compact()
        assert not raw.exists()
        raw.write_bytes(b"no segment at all")
        assert steps(store) == [1, 2]
        raw.write_bytes(content)
        assert store.summaries("run")["loss"].count == 2
        assert list(store.verify()) == []
        append(store, 3)
        store.compact()
        assert not raw.exists()
        assert steps(store) == [1, 2, 3]


def test_a_merge_leaves_what_it_replaced_to_those_who_follow(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path)) as store:
        append(store, 1, 2)
        position = store.since(None).position
        append(store, 3)
        store.compact()
        changes = store.since(position)
        assert (changes.series[LOSS].count, changes.series[LOSS].first_step) == (1, 3)
        assert store.since(changes.position).series == {}


def test_a_follower_that_stayed_away_is_told_what_was_merged(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path, keep_s=0)) as store:
        append(store, 1, 2)
        position = store.since(None).position
        append(store, 3)
        store.compact()
        changes = store.since(position)
        assert changes.series[LOSS].count == 3
        assert store.since(changes.position).series == {}


def test_a_segment_that_is_named_and_missing_is_damage(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path)) as store:
        append(store, 1, 2)
        store.compact()
        (place,) = (tmp_path / "merged").iterdir()
        place.unlink()
        assert [damage.name for damage in store.verify()] == [f"merged/{place.name}"]


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path)) as store:
        append(store, 1)
        store.compact()
        (tmp_path / MANIFEST).write_bytes(b"{}")
        with pytest.raises(Corrupt):
            steps(store)
        assert [damage.name for damage in store.verify()] == ["manifest"]
        (tmp_path / MANIFEST).unlink()


def test_a_small_merge_leaves_large_segments_alone(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path)) as store:
        append(store, *range(1000))
        store.compact()
        (large,) = (tmp_path / "merged").iterdir()
        for step in (2000, 3000):
            append(store, step)
            store.compact()
        assert large.exists()
        assert len(list((tmp_path / "merged").iterdir())) == 2
        assert steps(store) == [*range(1000), 2000, 3000]


def test_a_merge_that_fails_leaves_no_file_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, "No space left on device")

    with closing(FileSeries(tmp_path)) as store:
        append(store, 1, 2)
    with closing(FileSeries(tmp_path)) as store:
        with monkeypatch.context() as full:
            full.setattr(tree.SortedWriter, "finish", fail)
            with pytest.raises(Unavailable):
                store.compact()
        assert list((tmp_path / "merged").iterdir()) == []
        assert steps(store) == [1, 2]
        append(store, 3)
        store.compact()
        assert steps(store) == [1, 2, 3]


def test_a_child_of_a_fork_appends_for_itself(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path)) as store:
        store.append([(LOSS, one(1))], synced=False)
        child = multiprocessing.get_context("fork").Process(target=append, args=(store, 2))
        child.start()
        child.join()
        assert child.exitcode == 0
        append(store, 3)
        assert steps(store) == [1, 2, 3]


def test_what_was_not_synced_soon_is_seen_by_others(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path)) as store, closing(FileSeries(tmp_path)) as other:
        store.append([(LOSS, one(1))], synced=False)
        while not steps(other):
            time.sleep(0.01)
        assert other.since(None).series.keys() == {LOSS}


def test_a_store_that_is_closed_has_no_file_open(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path)) as other:
        append(other, 1)
        before = open_files()
        store = FileSeries(tmp_path)
        append(store, 2)
        assert steps(store) == [1, 2]
        store.close()
        assert open_files() == before


def test_more_segments_than_files_may_be_open_are_read_and_merged(tmp_path: Path) -> None:
    count = 300
    for step in range(count):
        with closing(FileSeries(tmp_path)) as store:
            append(store, step)
    with closing(FileSeries(tmp_path)) as store:
        before = open_files()
        assert steps(store) == list(range(count))
        assert store.since(None).series[LOSS].count == count
        assert open_files() <= before + 256
        store.compact()
        assert steps(store) == list(range(count))
        assert len(list((tmp_path / "merged").iterdir())) == 1


def test_who_only_appends_does_not_load_numpy(tmp_path: Path) -> None:
    program = f"""
import sys
from array import array
from trivet.adapters.files.series import FileSeries
from trivet.core.ports import Points, SeriesKey
store = FileSeries({str(tmp_path)!r}, rotate_bytes=100_000)
for start in range(0, 10_000, 1000):
    steps = array("q", range(start, start + 1000))
    store.append([(SeriesKey("run", "loss"), Points(steps, steps, array("d", steps)))])
store.close()
assert "numpy" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    with closing(FileSeries(tmp_path)) as store:
        assert steps(store) == list(range(10_000))


def test_nothing_is_merged_while_merges_are_held(tmp_path: Path) -> None:
    with closing(FileSeries(tmp_path)) as store, closing(FileSeries(tmp_path)) as other:
        append(store, 1)
        with store.hold_merges():
            other.compact()
            store.compact()
            assert not (tmp_path / "merged").exists()
        store.compact()
        assert len(list((tmp_path / "merged").iterdir())) == 1
        assert steps(other) == [1]
