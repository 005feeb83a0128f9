"""Files and tables: nothing acknowledged is lost, nothing is half there, no damage goes unnamed.

`TRIVET_CRASH_ROUNDS` multiplies the samples: 1 for every day, 80 for figures to publish.
"""

import os
import runpy
import subprocess
import sys
from array import array
from contextlib import closing, suppress
from io import RawIOBase
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from trivet.adapters.delta.tables import DeltaTables
from trivet.adapters.files.blobs import FileBlobs
from trivet.adapters.files.log import FileLog
from trivet.adapters.files.series import FileSeries
from trivet.core.errors import Unavailable
from trivet.core.ports import Points, SeriesKey
from trivet.testing.contracts.flips import check_flips
from trivet.testing.crash import (
    Check,
    Command,
    PowerCut,
    kill_sweep,
    missing_for_power_cuts,
    missing_for_syscalls,
    power_sweep,
    syscall_sweep,
)

ROUNDS = int(os.environ.get("TRIVET_CRASH_ROUNDS", "1"))
CHILD = Path(__file__).with_name("crash_files_child.py")
CHILD_WORK = runpy.run_path(str(CHILD))["WORK"]
WRITES = ("write", "writev", "pwrite64")
SYNCS = ("fdatasync", "fsync", "ftruncate")
CHANGES = ("?rename", "?renameat", "?renameat2", "?link", "?linkat", "?unlink", "?mkdir")

pytestmark = pytest.mark.crash


def working(store: str, count: int, *options: str) -> Command:
    return lambda folder: [sys.executable, str(CHILD), str(folder), store, str(count), *options]


def check_blobs(folder: Path, acknowledged: list[str]) -> None:
    store = FileBlobs(folder / "blobs")
    assert list(store.verify()) == []
    listed = {digest for digest, _ in store.list()}
    digests = {line.split()[1] for line in acknowledged}
    assert digests <= listed, "acknowledged, and lost"
    for digest in listed:
        store.open(digest).close()


def check_log(folder: Path, acknowledged: list[str]) -> None:
    with closing(FileLog(folder / "log")) as store:
        assert list(store.verify()) == []
        before = [record for _, record in store.read("a")]
        numbers = [tuple(map(int, record.rstrip(b".").split())) for record in before]
        assert numbers == [divmod(i, 3) for i in range(len(numbers))], "lost in the middle"
        assert len(numbers) >= 3 * len(acknowledged), "acknowledged, and lost"
        store.append("a", [b"and on"])
        assert [record for _, record in store.read("a")] == [*before, b"and on"]
        assert list(store.verify()) == []


def check_series(folder: Path, acknowledged: list[str]) -> None:
    with closing(FileSeries(folder / "series")) as store:
        assert list(store.verify()) == []
        before = read_series(store)
        assert len(set(before)) == 1, "half of an append"
        steps = before[0][0]
        assert steps == tuple(range(len(steps))), "lost in the middle"
        assert before[0][1] == tuple(step / 3 for step in steps)
        assert len(steps) >= len(acknowledged), "acknowledged, and lost"
        told = follow(store, None)
        assert told.keys() == ({SeriesKey("run", name) for name in "abc"} if steps else set())
        assert set(told.values()) <= {len(steps) - 1}, "the feed kept something back"
        store.compact()
        assert read_series(store) == before
        more = Points(array("q", [10**6]), array("q", [0]), array("d", [0.0]))
        store.append([(SeriesKey("run", "a"), more)])
        assert len(store.read(SeriesKey("run", "a")).steps) == len(steps) + 1
        assert list(store.verify()) == []


def follow(store: FileSeries, position: str | None) -> dict[SeriesKey, int]:
    told: dict[SeriesKey, int] = {}
    has_more = True
    while has_more:
        changes = store.since(position, limit=10)
        position, has_more = changes.position, changes.has_more
        for key, summary in changes.series.items():
            told[key] = max(told.get(key, -1), summary.last_step)
    return told


def read_series(store: FileSeries) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    read = [store.read(SeriesKey("run", name)) for name in "abc"]
    return [(tuple(points.steps.tolist()), tuple(points.values.tolist())) for points in read]


def check_tables(folder: Path, acknowledged: list[str]) -> None:
    store = DeltaTables(folder / "tables")
    assert list(store.verify()) == []
    for line in acknowledged:
        number, version, rows, digest = line.split()
        found = store.version("t", int(version))
        assert found, "acknowledged, and lost"
        assert (found.rows, found.digest) == (int(rows), digest)
        assert rows_of(store, found.version) == expected_rows(int(number))
    newest = store.version("t")
    assert (newest.version if newest else -1) >= len(acknowledged) - 1
    before = rows_of(store, newest.version) if newest else []
    assert before == (expected_rows(newest.version) if newest else [])
    after = store.write("t", pl.DataFrame({"i": [-1]}), mode="append")
    assert rows_of(store, after.version) == [*before, -1]
    delta = DeltaTable(store.location("t"))
    assert (delta.version(), delta.count()) == (after.version, after.rows)
    assert list(store.verify()) == []


def expected_rows(number: int) -> list[int]:
    return [n for n in range(number - number % 5, number + 1) for _ in range(3)]


def rows_of(store: DeltaTables, version: int) -> list[int]:
    return pl.DataFrame(store.read("t", version))["i"].to_list()


CHECKS: dict[str, Check] = {
    "blobs": check_blobs,
    "log": check_log,
    "series": check_series,
    "tables": check_tables,
}
every_store = pytest.mark.parametrize("store", CHECKS)


@every_store
def test_a_killed_process_loses_nothing_it_had_acknowledged(tmp_path: Path, store: str) -> None:
    report = kill_sweep(
        working(store, 100_000), CHECKS[store], workplace=tmp_path, rounds=4 * ROUNDS
    )
    assert report.acknowledged > report.crashes
    assert report.finished == 0


def test_a_killed_process_loses_no_point_it_did_not_wait_for(tmp_path: Path) -> None:
    report = kill_sweep(
        working("unsynced", 1_000_000), check_series, workplace=tmp_path, rounds=4 * ROUNDS
    )
    assert report.acknowledged > report.crashes
    assert report.finished == 0


@every_store
def test_a_kill_at_any_system_call_leaves_nothing_half_there(tmp_path: Path, store: str) -> None:
    if reason := missing_for_syscalls():
        pytest.skip(reason)
    report = syscall_sweep(
        working(store, 12),
        CHECKS[store],
        workplace=tmp_path,
        calls=(*WRITES, *SYNCS, *CHANGES),
        points=(3 if store == "tables" else 6) * ROUNDS,
    )
    assert report.crashes > 0


@every_store
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_write_or_sync_that_fails_is_never_taken_for_a_success(
    tmp_path: Path, store: str, error: str
) -> None:
    if reason := missing_for_syscalls():
        pytest.skip(reason)
    report = syscall_sweep(
        working(store, 6),
        CHECKS[store],
        workplace=tmp_path,
        # Tables wake their threads by writes to pipes; failing those proves nothing about disks.
        calls=SYNCS if store == "tables" else (*WRITES, *SYNCS),
        points=2 * ROUNDS,
        effect=f"error={error}",
    )
    assert report.crashes > 0


@pytest.mark.power
@every_store
def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path, store: str) -> None:
    if reason := missing_for_power_cuts():
        pytest.skip(reason)
    report = power_sweep(
        working(store, 100_000), CHECKS[store], workplace=tmp_path, rounds=2 * ROUNDS
    )
    assert report.acknowledged > 0
    assert report.finished == 0


@pytest.mark.power
@every_store
def test_a_full_disk_refuses_work_and_later_takes_it(tmp_path: Path, store: str) -> None:
    if reason := missing_for_power_cuts():
        pytest.skip(reason)
    with PowerCut(tmp_path) as disk, closing(CHILD_WORK[store](disk.folder)) as work:
        acknowledged = [work.do(number) for number in range(7)]
        filler = disk.folder / "filler"
        fill(filler)
        with pytest.raises(Unavailable):
            go_on(work, acknowledged)
        filler.unlink()
        acknowledged.append(work.do(len(acknowledged)))
        work.close()
        CHECKS[store](disk.folder, acknowledged)


def go_on(work: Any, acknowledged: list[str]) -> None:
    for _ in range(1000):
        acknowledged.append(work.do(len(acknowledged)))


def fill(place: Path) -> None:
    with place.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            write_until_refused(file, b"x" * size)


def write_until_refused(file: RawIOBase, block: bytes) -> None:
    with suppress(OSError):
        while True:
            file.write(block)


@pytest.mark.parametrize("store", ["log", "series"])
def test_a_flipped_bit_in_segments_of_the_dead_is_named(tmp_path: Path, store: str) -> None:
    subprocess.run(working(store, 25, "leave")(tmp_path), check=True, capture_output=True)
    with closing(FileLog(tmp_path / "log")) as log, closing(FileSeries(tmp_path / "series")) as own:
        if store == "log":
            check_flips(tmp_path, log.verify, lambda: [r for _, r in log.read("a")], rounds=80)
        else:
            check_flips(tmp_path, own.verify, lambda: fresh_read(tmp_path), rounds=80)


def fresh_read(folder: Path) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    with closing(FileSeries(folder / "series")) as store:
        return read_series(store)
