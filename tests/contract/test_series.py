from array import array
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from trivet.adapters.files import merging
from trivet.adapters.files.series import FileSeries
from trivet.core.errors import Corrupt
from trivet.core.ports import Points, Series, SeriesKey
from trivet.testing.contracts.series import SeriesContract
from trivet.testing.memory_stores import MemorySeries


def in_memory(folder: Path) -> MemorySeries:
    return MemorySeries()


class TestMemorySeries(SeriesContract):
    open_store = staticmethod(in_memory)
    is_persistent = False


class TestFileSeries(SeriesContract):
    open_store = staticmethod(FileSeries)


class TestFileSeriesOfManySegments(SeriesContract):
    open_store = staticmethod(partial(FileSeries, rotate_bytes=3000))


LOSS = SeriesKey("run", "loss")


def append(store: Series, *steps: int) -> None:
    columns = array("q", steps), array("q", steps), array("d", steps)
    store.append([(LOSS, Points(*columns))])


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
    with closing(FileSeries(tmp_path)) as store:
        store.compact()
        raw.write_bytes(b"no segment at all")
        assert steps(store) == [1, 2]
        assert list(store.verify()) == []
        raw.write_bytes(content)
        append(store, 3)
        store.compact()
        assert not raw.exists()
        assert steps(store) == [1, 2, 3]


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
        (tmp_path / merging.MANIFEST).write_bytes(b"{}")
        with pytest.raises(Corrupt):
            steps(store)
        assert [damage.name for damage in store.verify()] == ["manifest"]
        (tmp_path / merging.MANIFEST).unlink()


def test_a_merge_leaves_large_segments_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "MERGE_BYTES", 2000)
    with closing(FileSeries(tmp_path)) as store:
        append(store, *range(100))
        store.compact()
        (large,) = (tmp_path / "merged").iterdir()
        for step in (200, 300):
            append(store, step)
            store.compact()
        assert large.exists()
        assert len(list((tmp_path / "merged").iterdir())) == 2
        assert steps(store) == [*range(100), 200, 300]


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
