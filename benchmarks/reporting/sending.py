"""Trivet's own client with a server's address: what a call costs, and how quickly a spool is sent.

A call costs what it costs into a folder, for it goes there first. The spool is sent by
`trivet sync`, interpreter and imports included, when the server comes back; the points count once
they are read at the server.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trivet as tv
from benchmarks.load import ROOT, environment
from benchmarks.parts import Rows
from benchmarks.reporting.own import CALL_TARGET_US, each_call
from benchmarks.reporting.servers import Place, trivet_server

RATE_TARGET = 500_000
RUNS, METRICS = 5, 3
CALLS, QUICK_CALLS = 300_000, 60_000
STEPS, QUICK_STEPS = 200_000, 20_000


def rows(quick: bool) -> Rows:
    """Measure calls while a thread sends, and a spool that is sent at once."""
    calls, steps = (QUICK_CALLS, QUICK_STEPS) if quick else (CALLS, STEPS)
    rounds = 2 if quick else 5
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        folder = Path(scratch)
        with trivet_server(folder / "server") as place:
            called = [asked(folder, place, "calls", calls) for _ in range(rounds)]
            port = place.port
        points, seconds = spooled(folder, place, steps, port)
    call_us = min(one["p50_us"] for one in called)
    rate = points / seconds
    return [
        {
            "what": "own client: a call of log while a thread sends to a server, median",
            "value": round(call_us, 2),
            "unit": "µs",
            "target": CALL_TARGET_US,
            "floor": None,
            "ratio": round(call_us / CALL_TARGET_US, 2),
            "ok": call_us <= CALL_TARGET_US,
            "peer": None,
            "better": "low",
            "mode": f"{calls:,} calls, best of {rounds} programs, p99 "
            f"{min(one['p99_us'] for one in called):.1f} µs; all at the server "
            f"{min(one['wait_s'] for one in called):.2f} s after the last call",
        },
        {
            "what": "trivet sync: points from a spool to a server",
            "value": round(rate),
            "unit": "points/s",
            "target": RATE_TARGET,
            "floor": None,
            "ratio": None,
            "ok": rate >= RATE_TARGET,
            "peer": None,
            "better": "high",
            "mode": f"{points:,} points of {RUNS} runs in {seconds:.2f} s, durable there, start of "
            "the program included",
        },
    ]


def spooled(folder: Path, place: Place, steps: int, port: int) -> tuple[int, float]:
    """Fill a spool while there is no server; return how many points were sent, and the seconds."""
    asked(folder, place, "fill", steps)
    with trivet_server(folder / "server", port=port):
        start = time.perf_counter()
        line = [sys.executable, "-m", "trivet", "sync", "--json", place.url]
        done = run(line, folder, place)
        seconds = time.perf_counter() - start
    sent = {run: tally for each in json.loads(done) for run, tally in each["runs"].items()}
    points = sum(tally["points"] for tally in sent.values())
    with tv.open(folder / "server") as workspace:
        metrics = workspace.tracking.reported.metrics
        there = sum(len(metrics.history(run, f"m{n}")) for run in sent for n in range(METRICS))
    if not points == there == RUNS * METRICS * steps:
        raise RuntimeError(f"{points:,} points were sent, {there:,} are there")
    return points, seconds


def asked(folder: Path, place: Place, what: str, count: int) -> dict[str, float]:
    """Measure in a process of its own, as a training program is one."""
    line = [sys.executable, "-m", "benchmarks.reporting.sending", what, place.url, str(count)]
    return json.loads(run(line, folder, place))


def run(line: list[str], folder: Path, place: Place) -> bytes:
    own = {"TRIVET_TOKEN": place.token, "TRIVET_SPOOL": str(folder / "spool")}
    variables = environment() | own | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        line,
        env=variables,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return done.stdout


def calls_of(url: str, calls: int) -> dict[str, float]:
    """Log in this process, while its thread sends."""
    with tv.open(url) as workspace:
        with workspace.tracking.begin("calls", folder=Path(__file__).parent) as live:
            taken = sorted(each_call(live, calls))
        start = time.perf_counter()
        if not workspace.sync():  # pyright: ignore[reportAttributeAccessIssue]  # it is an address
            raise RuntimeError("the server does not have everything")
        wait_s = time.perf_counter() - start
    p50, p99 = taken[calls // 2] / 1e3, taken[calls * 99 // 100] / 1e3
    return {"p50_us": p50, "p99_us": p99, "wait_s": wait_s}


def fill(url: str, steps: int) -> dict[str, Any]:
    """Report runs that nobody takes."""
    here = Path(__file__).parent
    with tv.open(url) as workspace:
        for _ in range(RUNS):
            live = workspace.tracking.begin("spool", folder=here, system=False)
            for step in range(steps):
                live.log(m0=step * 0.1, m1=0.5, m2=0.01, step=step)
            live.finish()
    return {}


if __name__ == "__main__":
    do = {"calls": calls_of, "fill": fill}[sys.argv[1]]
    print(json.dumps(do(sys.argv[2], int(sys.argv[3]))))
