"""Nothing acknowledged is lost and nothing is half there, whenever process or power die.

`TRIVET_CRASH_ROUNDS` multiplies the samples: 1 for every day, 80 for figures to publish.
"""

import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

import msgspec
import pytest

from trivet.adapters.sqlite.database import Database, open_database
from trivet.core.catalog import Compare, Search
from trivet.core.ports import Damage
from trivet.testing.crash import (
    Command,
    kill_sweep,
    missing_for_power_cuts,
    missing_for_syscalls,
    power_sweep,
    syscall_sweep,
)

ROUNDS = int(os.environ.get("TRIVET_CRASH_ROUNDS", "1"))
CHILD = Path(__file__).with_name("crash_ledger_child.py")
PARTS = 3

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(sys.platform != "linux", reason="kills and cuts as Linux knows them"),
]


def writing(commits: int, *options: str) -> Command:
    return lambda folder: [sys.executable, str(CHILD), str(folder), str(commits), *options]


def check(folder: Path, acknowledged: list[str]) -> None:
    with open_database(folder / "ledger") as database:
        damage = [found for found in database.ledger.verify() if isinstance(found, Damage)]
        assert not damage, damage
        batches = whole_batches(database)
        assert set(acknowledged) <= batches, "acknowledged, and lost"
        heads = {head.name: head.target for head in database.ledger.heads("crash")}
        tasks = {task.key for task in database.journal.tasks(limit=100_000)}
        rows: set[str] = set()
        if batches or acknowledged:
            rows = {str(row["key"]) for row in database.views.find("rows", limit=100_000)}
        assert tasks == rows == documents(database) == batches, "half of a batch"
        for thread, target in heads.items():
            newest = max(int(name[1:]) for name in batches if name[0] == thread)
            assert target == last_part(database, f"{thread} {newest}")
            where = Compare("number", "=", newest)
            found = database.catalog.search(Search(collection="newest", where=where)).documents
            assert thread in {document.id for document in found}, "half of a batch"


def documents(database: Database) -> set[str]:
    found = database.catalog.search(Search(collection="batches", limit=50_000)).documents
    return {document.id for document in found}


def whole_batches(database: Database) -> set[str]:
    parts: Counter[str] = Counter()
    moves: set[str] = set()
    numbers: dict[str, list[int]] = defaultdict(list)
    seq = 0
    while entries := database.ledger.since(seq):
        seq = entries[-1].seq
        for entry in entries:
            if entry.kind == "head.moved":
                moves.add(entry.reason)
            else:
                parts[entry.reason] += 1
    assert set(parts.values()) <= {PARTS}, "half of a batch"
    assert moves == set(parts), "half of a batch"
    for name in parts:
        numbers[name[0]].append(int(name[1:]))
    for found in numbers.values():
        assert sorted(found) == list(range(len(found))), "a batch is missing in the middle"
    return moves


def last_part(database: Database, batch: str) -> str:
    parts = database.ledger.find("crash.part", where={"batch": batch}).entries
    (last,) = (e for e in parts if msgspec.json.decode(e.payload or b"")["part"] == PARTS - 1)
    return last.id


@pytest.mark.parametrize("options", [(), ("soon",)], ids=["synced", "soon"])
def test_a_killed_writer_loses_nothing_it_had_acknowledged(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    command = writing(100_000, *options)
    report = kill_sweep(command, check, workplace=tmp_path, rounds=25 * ROUNDS)
    assert report.crashes == 25 * ROUNDS
    assert report.acknowledged > report.crashes
    assert report.finished == 0


def test_a_kill_at_any_system_call_leaves_no_half_batch(tmp_path: Path) -> None:
    if reason := missing_for_syscalls():
        pytest.skip(reason)
    report = syscall_sweep(writing(4), check, workplace=tmp_path, points=25 * ROUNDS)
    assert report.crashes == 25 * ROUNDS
    assert report.acknowledged > 0


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_a_write_or_sync_that_fails_is_never_taken_for_a_success(
    tmp_path: Path, error: str
) -> None:
    if reason := missing_for_syscalls():
        pytest.skip(reason)
    report = syscall_sweep(
        writing(4),
        check,
        workplace=tmp_path,
        calls=("pwrite64", "fdatasync", "fsync"),
        points=8 * ROUNDS,
        effect=f"error={error}",
    )
    assert report.crashes == 8 * ROUNDS


@pytest.mark.power
@pytest.mark.parametrize("options", [(), ("later",)], ids=["synced", "within 200 ms"])
def test_a_power_cut_loses_nothing_acknowledged(tmp_path: Path, options: tuple[str, ...]) -> None:
    if reason := missing_for_power_cuts():
        pytest.skip(reason)
    command = writing(100_000, *options)
    report = power_sweep(command, check, workplace=tmp_path, rounds=3 * ROUNDS)
    assert report.acknowledged > 0
    assert report.finished == 0


@pytest.mark.power
def test_the_power_cut_catches_a_ledger_that_does_not_sync_each_commit(tmp_path: Path) -> None:
    if reason := missing_for_power_cuts():
        pytest.skip(reason)
    with pytest.raises(AssertionError, match="lost"):
        power_sweep(writing(100_000, "normal"), check, workplace=tmp_path, rounds=10)
