"""The ledger's figures: a million facts appended durably, and found by an indexed field."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import apsw

from trivet.adapters.sqlite.database import Database, open_database
from trivet.core.facts import Draft, Fact, Scope, draft, read
from trivet.core.ids import new_id

BATCH = 1_000
TARGET_FACTS_PER_S = 20_000
TARGET_FIND_MS = 5.0
SCOPE = Scope(project="bench", actor="bench")


class Measurement(Fact, frozen=True, kw_only=True):
    """A fact of the size rooms write: a payload of about 200 bytes, two indexed fields."""

    KIND: ClassVar[str] = "bench.measurement"
    INDEXED: ClassVar[tuple[str, ...]] = ("run", "name")

    run: str
    name: str
    step: int
    value: float
    note: str


def rows(quick: bool) -> list[dict[str, Any]]:
    """Measure rows 2.3 and 2.4; `quick` appends a twentieth of the facts."""
    count = 50_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as folder:
        floor = raw_facts_per_s(Path(folder) / "raw.db", min(count, 200_000))
        with open_database(Path(folder) / "ledger") as database:
            value = append_facts_per_s(database, count)
            find_ms, slowest_ms = found_within_ms(database, count)
    mode = f"WAL+FULL, page checksums, batches of {BATCH:,}, {count:,} facts, drafting included"
    return [
        {
            "id": "2.3",
            "what": "ledger: facts appended durably in batches",
            "value": round(value),
            "unit": "facts/s",
            "target": TARGET_FACTS_PER_S,
            "floor": round(floor),
            "ratio": round(value / floor, 3),
            "ok": value >= TARGET_FACTS_PER_S,
            "mode": mode + "; floor: bare SQLite, the same payloads by executemany, no index",
        },
        {
            "id": "2.4",
            "what": "ledger: find by an indexed field, a page of 100",
            "value": round(find_ms, 3),
            "unit": "ms (median)",
            "target": TARGET_FIND_MS,
            "floor": None,
            "ratio": round(find_ms / TARGET_FIND_MS, 3),
            "ok": find_ms <= TARGET_FIND_MS,
            "mode": f"{count:,} facts; the slower of a common value and of 200 rare ones; "
            f"99th percentile {slowest_ms:.2f} ms",
        },
    ]


def append_facts_per_s(database: Database, count: int) -> float:
    """Draft and commit `count` facts; return how many were durable per second."""
    start = time.perf_counter()
    for facts in batches(count):
        database.ledger.commit(SCOPE.batch("bench", facts))
    return count / (time.perf_counter() - start)


def batches(count: int) -> Iterator[list[Draft]]:
    """Draft facts like metrics: many runs, a hundred names, the fact before as parent."""
    parents: tuple[str, ...] = ()
    run = ""
    for first in range(0, count, BATCH):
        facts: list[Draft] = []
        for step in range(first, first + BATCH):
            if step % 500 == 0:
                run = new_id()
            fact = Measurement(
                run=run, name=f"metric-{step % 100}", step=step, value=step / 7, note="x" * 90
            )
            facts.append(draft(fact, parents=parents))
            parents = (facts[-1].id,)
        yield facts


def found_within_ms(database: Database, count: int) -> tuple[float, float]:
    """Find a page of 100, by a common value and by rare ones; return the slower median and p99."""
    runs: list[str] = []
    for seq in range(0, count, count // 200):
        (entry,) = database.ledger.since(seq, 1)
        runs.append(read(entry, Measurement).run)
    common: list[float] = []
    after = None
    for _ in range(200):
        after = _find(database, {"name": "metric-42"}, after, common)
    rare: list[float] = []
    for run in runs:
        _find(database, {"run": run}, None, rare)
    median = max(statistics.median(common), statistics.median(rare))
    return median, statistics.quantiles(common + rare, n=100)[98]


def _find(
    database: Database, where: dict[str, str], after: int | None, times_ms: list[float]
) -> int | None:
    start = time.perf_counter()
    page = database.ledger.find(Measurement.KIND, where=where, project=SCOPE.project, after=after)
    times_ms.append((time.perf_counter() - start) * 1e3)
    return page.after


def raw_facts_per_s(path: Path, count: int) -> float:
    """Write as many bare rows to SQLite, one durable transaction per batch: the floor."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.execute("CREATE TABLE facts (id BLOB PRIMARY KEY, payload BLOB)")
    payload = bytes(200)
    start = time.perf_counter()
    for _ in range(0, count, BATCH):
        rows = [(bytes.fromhex(new_id()), payload) for _ in range(BATCH)]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO facts VALUES (?, ?)", rows)
        connection.execute("COMMIT")
    taken = time.perf_counter() - start
    connection.close()
    return count / taken


if __name__ == "__main__":
    import sys

    for row in rows("--quick" in sys.argv):
        print(row)
