"""What a step costs: one that is done, and one that is remembered.

Every subject runs the same flow of 1 + N trivial steps in a process of its own with everything
loaded; the cost of a step is (T(N) - T(0)) / N, the median of rounds in which Trivet and the peer
take turns. The arguments of a round are new, so that nothing is remembered unless it shall be.
"""

import itertools
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.parts import absent
from benchmarks.peers.installing import Missing, label_of
from benchmarks.peers.talking import Talk

TARGET_MS = 1.0
TARGET_HIT_MS = 0.5
STEPS = {"dbos": 200, "hamilton": 200, "redun": 200, "zenml": 20, "dagster": 20, "metaflow": 4}
"""How many steps a peer's flow has, where it is not as many as Trivet's: slow ones need fewer."""
PEERS = ("dbos", "joblib", "hamilton", "redun", "prefect", "zenml", "dagster", "metaflow")
CACHES = ("joblib", "hamilton", "redun", "zenml")
_MOST = 1_000
SLOW = {"prefect", "dagster", "metaflow"}
"""Left out when the figures may be rough."""

Cost = Callable[[Talk, int, int], float]


class Sizes(NamedTuple):
    """How much is measured."""

    steps: int
    rounds: int

    def of(self, name: str) -> int:
        """Return how many steps a subject's flow has; fewer when the figures may be rough."""
        share = self.steps / _MOST
        return max(2, round(STEPS.get(name, _MOST) * share))


def sizes(quick: bool) -> Sizes:
    return Sizes(300, 3) if quick else Sizes(_MOST, 7)


def done_rows(quick: bool) -> list[dict[str, Any]]:
    """Measure steps that are done; the floor is SQLite alone with as many bytes per step."""
    peers = tuple(name for name in PEERS if not (quick and name in SLOW))
    return rows(sizes(quick), "trivial step that is done", TARGET_MS, done_ms, peers)


def remembered_rows(quick: bool) -> list[dict[str, Any]]:
    """Measure steps that are remembered, by systems that remember across runs."""
    what = "trivial step that is remembered"
    return rows(sizes(quick), what, TARGET_HIT_MS, remembered_ms, CACHES)


def rows(
    size: Sizes, what: str, target: float, cost: Cost, peers: tuple[str, ...]
) -> list[dict[str, Any]]:
    salts = itertools.count(1)
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        folder = Path(scratch)
        with Talk("trivet", folder / "trivet") as trivet:
            alone = by_turns([trivet], ["trivet"], size, cost, salts)
            floors = floors_ms(folder, bytes_per_step(trivet, folder / "trivet", size.steps, salts))
            found = [row_of(what, target, alone[0], size, floors, trivet.durability())]
            row = found[0]
            found += [paired(row, trivet, name, folder, (size, cost, salts)) for name in peers]
    return found


Way = tuple[Sizes, Cost, Iterator[int]]
"""How much is measured, what a step costs, and salts that nobody had."""


def paired(row: dict[str, Any], trivet: Talk, name: str, folder: Path, way: Way) -> dict[str, Any]:
    """Measure Trivet and a peer in turns; return the row of both, or why there is none."""
    size, cost, salts = way
    try:
        with Talk(name, folder / name) as peer:
            ours, theirs = by_turns([trivet, peer], ["trivet", name], size, cost, salts)
            durability = peer.durability()
    except Missing as error:
        return absent(f"{row['what']}, {label_of(name)}", f"not measured: {error}")
    if min(ours, theirs) <= 0:
        noisy = "not told apart: a step costs less than two runs differ by"
        return absent(f"{row['what']}, {label_of(name)}", noisy)
    return {
        **row,
        "value": round(ours, 3),
        "ratio": round(ours / row["floor"], 2),
        "ok": ours <= row["target"],
        "peer": [label_of(name), round(theirs, 3)],
        "mode": f"{label_of(name)}: {durability}; 1 + {size.of(name)} steps, in turn with Trivet",
    }


def by_turns(
    talks: list[Talk], names: list[str], size: Sizes, cost: Cost, salts: Iterator[int]
) -> list[float]:
    """Let subjects take turns; return each one's median, in ms. The first round is not counted."""
    costs: list[list[float]] = [[] for _ in talks]
    for _ in range(size.rounds + 1):
        for at, (talk, name) in enumerate(zip(talks, names, strict=True)):
            costs[at].append(cost(talk, size.of(name), next(salts)))
    return [statistics.median(column[1:]) for column in costs]


def done_ms(talk: Talk, count: int, salt: int) -> float:
    none, all_ = talk.seconds(0, salt), talk.seconds(count, -salt)
    return (all_ - none) / count * 1e3


def remembered_ms(talk: Talk, count: int, salt: int) -> float:
    talk.seconds(count, salt)
    none, all_ = talk.seconds(0, salt), talk.seconds(count, salt)
    return (all_ - none) / count * 1e3


def row_of(
    what: str, target: float, value: float, size: Sizes, floors: dict[str, float], durability: str
) -> dict[str, Any]:
    floor = floors["wal"]
    return {
        "what": what,
        "value": round(value, 3),
        "unit": "ms",
        "target": target,
        "floor": round(floor, 3),
        "ratio": round(value / floor, 2),
        "ok": value <= target,
        "peer": None,
        "better": "low",
        "mode": f"Trivet: {durability}; marginal cost in a flow of 1 + {size.steps} steps, median "
        f"of {size.rounds} rounds; floor: a transaction of as many bytes "
        f"({floors['bytes']:,.0f}) in SQLite, WAL, synchronous NORMAL; "
        f"one fdatasync of as many bytes: {floors['sync']:.3f} ms",
    }


# ---------------------------------------------------------------------------- floors


def bytes_per_step(talk: Talk, folder: Path, count: int, salts: Iterator[int]) -> int:
    """Return how many bytes of rows a step that is done adds to the database of a project."""
    before = row_bytes(folder)
    talk.run(count, next(salts))
    return max(100, (row_bytes(folder) - before) // count)


def row_bytes(folder: Path) -> int:
    """Add up the lengths of all values in all tables, without what pages and indexes take."""
    total = 0
    for file in folder.glob(".trivet/**/*.db"):
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE T%'"
            for (table,) in database.execute(tables).fetchall():
                names = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
                lengths = " + ".join(
                    f'coalesce(length(CAST("{name}" AS BLOB)), 0)' for name in names
                )
                query = f'SELECT sum({lengths}) FROM "{table}"'  # noqa: S608  # its own names
                total += database.execute(query).fetchone()[0] or 0
    return total


def floors_ms(folder: Path, size_bytes: int) -> dict[str, float]:
    """Time what no durable step can do without: a transaction, a sync; medians of 200."""
    payload = os.urandom(size_bytes)
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("CREATE TABLE steps (number INTEGER PRIMARY KEY, payload BLOB)")
    insert = "INSERT INTO steps (payload) VALUES (?)"
    wal = median_ms(lambda: database.execute(insert, (payload,)))
    database.close()
    with (folder / "floor.bin").open("wb", buffering=0) as file:

        def write() -> None:
            file.write(payload)
            (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(file.fileno())

        sync = median_ms(write)
    return {"wal": wal, "sync": sync, "bytes": float(size_bytes)}


def median_ms(do: Callable[[], object], times: int = 200) -> float:
    taken: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        do()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1e3
