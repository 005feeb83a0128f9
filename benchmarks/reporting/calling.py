"""MLflow's unmodified client against Trivet's server, MLflow's own, and one that only answers.

They take turns, round by round, and of each the better round counts. MLflow's server runs as it
ships, with four workers, and once more with one: the sockets of several workers do not have
TCP_NODELAY, which costs small calls of one client 40 ms each. Both use SQLite with a rollback
journal and `synchronous` FULL, so each of their calls waits for the disk, too. What the client
reaches against a server that does nothing is the floor: no server can make it quicker.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

from benchmarks.parts import Rows
from benchmarks.reporting.servers import (
    MLFLOW,
    Client,
    mlflow_server,
    stub_server,
    trivet_server,
)

DURABLE = (
    "both durable when answered (Trivet: one fdatasync for all who wait; MLflow: SQLite, journal "
    "delete, synchronous FULL)"
)
OPENERS = {
    "trivet": trivet_server,
    "mlflow": mlflow_server,
    "mlflow_alone": partial(mlflow_server, workers=1),
    "stub": stub_server,
}
SETTINGS_OF = {"mlflow": f"{MLFLOW}, 4 workers", "mlflow_alone": f"{MLFLOW}, 1 worker"}
BATCH = 1_000
SINGLE_TIMES = 15
EIGHT_TIMES = 8
BATCH_TIMES = 15
WHOLE_TIMES = 8
SHARE = 60.0
"""Percent of what eight threads reach against the stub."""
POINTS_PER_S = 20_000
OVER_SYNC_MS = 2.0

Figures = dict[str, Any]


class Beside(NamedTuple):
    """The best rounds of each, and what one fdatasync took meanwhile."""

    trivet: Figures
    mlflow: Figures
    mlflow_alone: Figures
    stub: Figures
    sync_ms: float


def singles(quick: bool) -> Rows:
    """Measure calls of one point, by one thread and by eight."""
    with Subjects() as asked:
        alone = asked.best(quick, "singles", threads=1)
        eight = asked.best(quick, "singles", threads=8)
    what = "unmodified client, log_metric"
    share = 100 * eight.trivet["per_s"] / eight.stub["per_s"]
    return [
        *times_rows(f"{what}, one thread", alone, "calls/s", SINGLE_TIMES),
        {
            "what": f"{what}, one thread: median",
            "value": round(alone.trivet["p50_ms"], 2),
            "unit": "ms",
            "target": round(alone.sync_ms + OVER_SYNC_MS, 2),
            "floor": round(alone.sync_ms, 2),
            "ratio": round(alone.trivet["p50_ms"] / alone.sync_ms, 2),
            "ok": alone.trivet["p50_ms"] <= alone.sync_ms + OVER_SYNC_MS,
            "peer": [SETTINGS_OF["mlflow_alone"], round(alone.mlflow_alone["p50_ms"], 2)],
            "better": "low",
            "mode": f"target: one fdatasync of 200 bytes (the floor, measured between the rounds) "
            f"and {OVER_SYNC_MS:.0f} ms; {alone.stub['p50_ms']:.2f} ms against the stub",
        },
        *times_rows(f"{what}, eight threads", eight, "calls/s", EIGHT_TIMES),
        {
            "what": f"{what}, eight threads: of what the client reaches against a stub",
            "value": round(share, 1),
            "unit": "%",
            "target": SHARE,
            "floor": None,
            "ratio": None,
            "ok": share >= SHARE,
            "peer": [
                SETTINGS_OF["mlflow"],
                round(100 * eight.mlflow["per_s"] / eight.stub["per_s"], 1),
            ],
            "better": "high",
            "mode": f"the stub answers {{}} at once: {eight.stub['per_s']:,.0f} calls/s",
        },
    ]


def batches(quick: bool) -> Rows:
    """Measure calls of a thousand points."""
    with Subjects() as asked:
        found = asked.best(quick, "batches", points=BATCH)
    return times_rows(
        f"unmodified client, log_batch of {BATCH:,} points",
        found,
        "points/s",
        BATCH_TIMES,
        each=BATCH,
        least=POINTS_PER_S,
    )


def whole(quick: bool) -> Rows:
    """Measure whole runs: created, two parameters, a metric, ended."""
    with Subjects() as asked:
        found = asked.best(quick, "whole")
    what = "unmodified client, whole runs (create, 2 parameters, 1 metric, end)"
    return times_rows(what, found, "runs/s", WHOLE_TIMES)


def times_rows(
    what: str, found: Beside, unit: str, times: int, *, each: int = 1, least: float = 0.0
) -> Rows:
    """Make a row per setting of the peer: the target is so many times its figure, or more."""
    ours, most = each * found.trivet["per_s"], each * found.stub["per_s"]
    made: Rows = []
    for setting, label in SETTINGS_OF.items():
        peer: Figures = getattr(found, setting)
        theirs = each * peer["per_s"]
        target = max(times * theirs, least)
        reach = ", more than the client can" if target > most else ""
        row = {
            "what": what,
            "value": figure(ours),
            "unit": unit,
            "target": figure(target),
            "floor": figure(most),
            "ratio": round(ours / most, 3),
            "ok": ours >= target,
            "peer": [label, figure(theirs)],
            "better": "high",
            "mode": f"target: {times} times MLflow{reach}; floor: the same client against a stub; "
            f"median {found.trivet['p50_ms']:.2f} ms, MLflow {peer['p50_ms']:.2f} ms, stub "
            f"{found.stub['p50_ms']:.2f} ms; {DURABLE}",
        }
        made.append(row)
    return made


def figure(value: float) -> float:
    return round(value) if value >= 100 else round(value, 1)


class Subjects(ExitStack):
    """The servers, with a client for each."""

    def __enter__(self) -> Self:
        super().__enter__()
        folder = self.enter_context(tempfile.TemporaryDirectory(prefix="trivet-bench-"))
        self.folder = Path(folder)
        self._clients: dict[str, Client] = {}
        for name, opener in OPENERS.items():
            place = self.enter_context(opener(self.folder / name))
            client = Client(place.url, place.token, self.folder / f"client-of-{name}")
            self._clients[name] = self.enter_context(client)
        return self

    def best(self, quick: bool, do: str, **arguments: float) -> Beside:
        """Have all of them do the same by turns; return each one's better round."""
        rounds, seconds = (2, 1.0) if quick else (6, 2.0)
        found: dict[str, list[Figures]] = {name: [] for name in OPENERS}
        syncs: list[float] = []
        for _ in range(rounds):
            for name, client in self._clients.items():
                syncs.append(sync_ms(self.folder))
                found[name].append(client.ask(do, seconds=seconds, **arguments))
        per_s: Callable[[Figures], float] = lambda one: one["per_s"]  # noqa: E731
        best = {name: max(taken, key=per_s) for name, taken in found.items()}
        return Beside(**best, sync_ms=min(syncs))


def sync_ms(folder: Path, times: int = 50) -> float:
    """Return the median of a write of 200 bytes and its fdatasync, in milliseconds."""
    place = folder / "synced"
    taken: list[float] = []
    fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(times):
            start = time.perf_counter()
            os.write(fd, bytes(200))
            os.fdatasync(fd)
            taken.append(time.perf_counter() - start)
    finally:
        os.close(fd)
        place.unlink()
    return statistics.median(taken) * 1e3
