"""Whatever is listed has its bytes, whenever the server dies while files are sent to it.

`TRIVET_CRASH_ROUNDS` multiplies the samples: 1 for every day, 80 for figures to publish.
"""

import os
import random
import runpy
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from trivet.core.facts import Entry, read
from trivet.core.ports import Ledger
from trivet.testing.crash import kill_sweep
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.facts import ArtifactStored

ROUNDS = int(os.environ.get("TRIVET_CRASH_ROUNDS", "1"))
SERVER = Path(__file__).with_name("artifact_server.py")
WORK = runpy.run_path(str(SERVER))

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(sys.platform != "linux", reason="kills as Linux knows them"),
]


def uploading(folder: Path) -> list[str]:
    return [sys.executable, str(SERVER), str(folder), "30", "10000"]


def sent(thread: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield what a thread of the server sends, in order."""
    chance = random.Random(thread)
    for number in range(count):
        yield WORK["path_of"](thread, number), WORK["next_content"](chance)


def entries(ledger: Ledger) -> Iterator[Entry]:
    seq = 0
    while page := ledger.since(seq):
        yield from page
        seq = page[-1].seq


def check(folder: Path, acknowledged: list[str]) -> None:
    database, stores = WORK["open_stores"](folder)
    with database:
        artifacts = Artifacts(stores, WORK["SCOPE"])
        assert list(stores.blobs.verify()) == [], "a blob that is not what its name says"
        for entry in entries(stores.ledger):
            assert stores.blobs.has(read(entry, ArtifactStored).digest), "a fact without its bytes"
        last: dict[int, int] = defaultdict(lambda: -1)
        for line in acknowledged:
            thread, number = map(int, line.split())
            last[thread] = max(last[thread], number)
        for thread in range(WORK["THREADS"]):
            check_thread(artifacts, thread, last[thread])


def check_thread(artifacts: Artifacts, thread: int, last: int) -> None:
    """Check that each path holds what was acknowledged last, or what was under way."""
    expected: dict[str, list[bytes]] = {}
    for number, (path, content) in enumerate(sent(thread, last + 2)):
        under_way = number > last
        expected[path] = [*(expected.get(path, []) if under_way else []), content]
        if under_way and len(expected[path]) == 1:
            expected[path].append(b"")  # it may not be there at all
    owner = f"run:run{thread}"
    listed = {
        f"{folder.name}/{file.name}"
        for folder in artifacts.list(owner)
        for file in artifacts.list(owner, folder.name)
    }
    acknowledged = {path for path, _ in sent(thread, last + 1)}
    assert acknowledged <= listed <= set(expected), "acknowledged, and lost"
    for path in listed:
        with artifacts.open(owner, path)[1] as file:
            assert file.read() in expected[path]


def test_a_killed_server_lists_no_file_whose_bytes_are_missing(tmp_path: Path) -> None:
    report = kill_sweep(uploading, check, workplace=tmp_path, rounds=10 * ROUNDS)
    assert report.crashes == 10 * ROUNDS
    assert report.acknowledged > 0
    assert report.finished == 0
