"""Trivet's own client in a training program, and MLflow's beside it, both without a server.

What waits is cheap: `log` puts a call into a list, and a thread writes. MLflow's nearest is
`log_metric(synchronous=False)` into its own SQLite store, so that is what it is asked to do; the
sustained rate counts until everything is durable, in both.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trivet as tv
from benchmarks.load import ROOT, environment
from benchmarks.parts import Rows
from benchmarks.reporting.calling import BATCH, figure
from benchmarks.reporting.servers import MLFLOW, SETTINGS, Client

CALL_TARGET_US = 2.0
RATE_TARGET = 1_000_000
METRICS = 10
CALLS, QUICK_CALLS = 300_000, 60_000
WHOLE = 50
SOURCES = 1_000
"""How many files the program's project has: their state is a part of each run."""


def rows(quick: bool) -> Rows:
    """Measure one call, and many of ten metrics until they are durable."""
    rounds, calls = (2, QUICK_CALLS) if quick else (7, CALLS)
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        folder = Path(scratch)
        with Client(f"sqlite:///{folder}/mlflow.db", "", folder / "mlflow") as theirs:
            ours = [asked(folder / str(number), calls) for number in range(rounds)]
            later = [theirs.ask("later", calls=200 if quick else 500) for _ in range(2)]
            batches = [theirs.ask("batches", points=BATCH, seconds=2.0) for _ in range(2)]
            whole = [theirs.ask("whole", seconds=2.0) for _ in range(2)]
    call_us = min(one["p50_us"] for one in ours)
    rate = max(one["points_per_s"] for one in ours)
    runs = max(one["runs_per_s"] for one in ours)
    peer_us = min(one["p50_ms"] for one in later) * 1e3
    peer_rate = BATCH * max(one["per_s"] for one in batches)
    return [
        {
            "what": "own client: a call of log with one metric, median",
            "value": round(call_us, 2),
            "unit": "µs",
            "target": CALL_TARGET_US,
            "floor": None,
            "ratio": round(call_us / CALL_TARGET_US, 2),
            "ok": call_us <= CALL_TARGET_US,
            "peer": [MLFLOW, round(peer_us, 2)],
            "better": "low",
            "mode": f"durable within 200 ms; {calls:,} calls, best of {rounds} programs, p99 "
            f"{min(one['p99_us'] for one in ours):.1f} µs; MLflow: log_metric(synchronous=False) "
            f"into SQLite, of which {max(one['per_s'] for one in later):,.0f} a second get there",
        },
        {
            "what": f"own client: points logged until durable, {METRICS} metrics a call",
            "value": round(rate),
            "unit": "points/s",
            "target": RATE_TARGET,
            "floor": None,
            "ratio": None,
            "ok": rate >= RATE_TARGET,
            "peer": [MLFLOW, figure(peer_rate)],
            "better": "high",
            "mode": f"{calls * METRICS:,} points into the embedded store, flush included, best of "
            f"{rounds} programs; MLflow: log_batch of {BATCH:,} points into SQLite, no server",
        },
        {
            "what": f"own client: whole runs in a project of {SOURCES:,} sources",
            "value": figure(runs),
            "unit": "runs/s",
            "target": None,
            "floor": None,
            "ratio": None,
            "ok": None,
            "peer": [MLFLOW, figure(max(one["per_s"] for one in whole))],
            "better": "high",
            "mode": "begun, two parameters, one metric, code and environment looked at, ended; "
            f"{WHOLE} runs of a program, best of {rounds} programs; MLflow: create, two "
            "parameters, one metric, end, into SQLite, no server; it looks at no code",
        },
    ]


def asked(folder: Path, calls: int) -> dict[str, float]:
    """Measure in a process of its own, as a training program is one."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reporting.own", str(folder), str(calls)],
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def measured(folder: Path, calls: int) -> dict[str, float]:
    """Log in this process."""
    folder.mkdir()
    (folder / "trivet.toml").write_text(SETTINGS, "utf-8")
    with tv.open(folder) as workspace:
        with workspace.tracking.begin("calls", folder=folder) as run:
            taken = sorted(each_call(run, calls))
        with workspace.tracking.begin("points", folder=folder) as run:
            seconds = many(run, calls)
        sources_in(folder / "project")
        runs = whole_runs(workspace.tracking, folder / "project")
        there = len(workspace.tracking.reported.metrics.history(run.id, "m0"))
    if there != calls:
        raise RuntimeError(f"{calls:,} calls were made, {there:,} points are there")
    return {
        "p50_us": taken[calls // 2] / 1e3,
        "p99_us": taken[calls * 99 // 100] / 1e3,
        "points_per_s": calls * METRICS / seconds,
        "runs_per_s": runs,
    }


def each_call(run: Any, calls: int) -> list[int]:
    """Return what each call took, in nanoseconds."""
    log, clock = run.log, time.perf_counter_ns
    taken: list[int] = []
    for step in range(calls):
        start = clock()
        log(loss=0.5, step=step)
        taken.append(clock() - start)
    return taken


def many(run: Any, calls: int) -> float:
    """Return the seconds until all points are durable."""
    start = time.perf_counter()
    for step in range(calls):
        run.log(
            step=step,
            m0=0.0, m1=0.1, m2=0.2, m3=0.3, m4=0.4, m5=0.5, m6=0.6, m7=0.7, m8=0.8, m9=0.9,
        )  # fmt: skip
    run.flush()
    return time.perf_counter() - start


def sources_in(folder: Path) -> None:
    for number in range(SOURCES):
        place = folder / f"part{number % 20}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"module{number}.py").write_text(f"VALUE = {number}\n" * 100, "utf-8")
    time.sleep(1.1)  # as sources that nobody edits in this moment


def whole_runs(tracking: Any, folder: Path) -> float:
    """Return how many runs a second begin, report and end, one after another; the first warms."""
    start = 0.0
    for number in range(WHOLE + 1):
        if number == 1:
            start = time.perf_counter()
        parameters = {"lr": 0.1, "depth": number}
        with tracking.begin("whole", parameters=parameters, folder=folder, system=False) as run:
            run.log(loss=0.5)
    return WHOLE / (time.perf_counter() - start)


if __name__ == "__main__":
    print(json.dumps(measured(Path(sys.argv[1]), int(sys.argv[2]))))
