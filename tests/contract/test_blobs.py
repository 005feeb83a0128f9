import multiprocessing
import os
import stat
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from trivet.adapters.files.blobs import FileBlobs
from trivet.core.errors import Unavailable
from trivet.testing.contracts.blobs import BlobsContract
from trivet.testing.memory_stores import MemoryBlobs


def in_memory(folder: Path) -> MemoryBlobs:
    return MemoryBlobs()


class TestMemoryBlobs(BlobsContract):
    open_store = staticmethod(in_memory)
    is_persistent = False


class TestFileBlobs(BlobsContract):
    open_store = staticmethod(FileBlobs)


CONTENTS = [b"old %d" % number * 10 for number in range(400)]


def put_again(folder: Path, starts_at: float) -> list[str]:
    store = FileBlobs(folder)
    time.sleep(max(0.0, starts_at - time.time()))
    return [store.put(content) for content in CONTENTS]


def delete_old(folder: Path, digests: list[str], starts_at: float) -> int:
    store = FileBlobs(folder)
    time.sleep(max(0.0, starts_at - time.time()))
    return sum(store.delete(digest, unless_put_for_s=3600) for digest in digests)


def test_what_is_put_while_it_is_deleted_for_its_age_is_there(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)
    digests = [store.put(content) for content in CONTENTS]
    for place in tmp_path.glob("??/*"):
        os.utime(place, (0, 0))
    starts_at = time.time() + 2
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        putting = pool.submit(put_again, tmp_path, starts_at)
        deleting = pool.submit(delete_old, tmp_path, digests, starts_at)
        assert putting.result() == digests
        deleting.result()
    assert all(store.has(digest) for digest in digests)
    assert list(store.verify()) == []


def test_files_and_folders_are_their_owner_s_alone(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path / "blobs")
    store.put(b"tea")
    for place in (tmp_path / "blobs").rglob("*"):
        assert stat.S_IMODE(place.stat().st_mode) == (0o700 if place.is_dir() else 0o600)


def test_what_a_dead_writer_left_is_removed_an_hour_later(tmp_path: Path) -> None:
    FileBlobs(tmp_path)
    stale, young = tmp_path / "tmp" / "stale", tmp_path / "tmp" / "young"
    for place in (stale, young):
        place.write_bytes(b"half of")
    hours_ago = time.time() - 7200
    os.utime(stale, (hours_ago, hours_ago))
    FileBlobs(tmp_path)
    assert not stale.exists()
    assert young.exists()


def test_after_a_failed_sync_nothing_more_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileBlobs(tmp_path)

    def failing(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", failing)
        with pytest.raises(Unavailable) as first:
            store.put(b"tea")
    assert first.value.code == "sync-failed"
    assert list(store.list()) == []
    with pytest.raises(Unavailable):
        store.put(b"coffee")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_file_that_is_no_blob_is_named(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)
    store.put(b"tea")
    folder = next(place for place in tmp_path.iterdir() if place.name != "tmp")
    (folder / "notes.txt").write_text("hello")
    assert [damage.name for damage in store.verify()] == ["notes.txt"]
