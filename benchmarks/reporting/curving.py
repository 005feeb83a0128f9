"""A curve of a million points, reduced for a chart: from the store, and over MLflow's wire.

MLflow's server takes minutes for a million points, so it is given the fewer that are said.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import trivet as tv
from benchmarks.parts import Rows
from benchmarks.reporting.calling import BATCH
from benchmarks.reporting.ingesting import answer_of, body_of, call
from benchmarks.reporting.servers import (
    MLFLOW,
    SETTINGS,
    Place,
    mlflow_server,
    trivet_server,
)
from trivet.core.ports import Points, SeriesKey

TARGET_MS = 100.0
POINTS, QUICK_POINTS = 1_000_000, 200_000
OF_MLFLOW, QUICK_OF_MLFLOW = 50_000, 5_000
SHOWN = 1_000
_APPEND = 10_000
_TIME_MS = 1_700_000_000_000


def rows(quick: bool) -> Rows:
    """Measure the store in this process, and both servers."""
    points, of_mlflow = (QUICK_POINTS, QUICK_OF_MLFLOW) if quick else (POINTS, OF_MLFLOW)
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        folder = Path(scratch)
        run, chart_ms = of_store(folder / "trivet", points)
        with trivet_server(folder / "trivet") as ours:
            wire_ms = asked_ms(ours, run, "loss")
        with mlflow_server(folder / "mlflow") as theirs:
            peer_ms = asked_ms(theirs, logged(theirs, of_mlflow), "metric-0")
    what = f"curve of {points:,} points, {SHOWN:,} shown"
    return [
        row(f"{what}: for a chart, from the store", chart_ms, None,
            "buckets with least and greatest, a store opened anew, median of 7"),
        row(f"{what}: over HTTP", wire_ms, peer_ms,
            f"metrics/get-history-bulk-interval, evenly spread points, median of 7; MLflow: of "
            f"{of_mlflow // 10:,} points only"),
    ]  # fmt: skip


def row(what: str, value_ms: float, peer_ms: float | None, mode: str) -> dict[str, Any]:
    return {
        "what": what,
        "value": round(value_ms, 1),
        "unit": "ms",
        "target": TARGET_MS,
        "floor": None,
        "ratio": round(value_ms / TARGET_MS, 3),
        "ok": value_ms <= TARGET_MS,
        "peer": None if peer_ms is None else [MLFLOW, round(peer_ms, 1)],
        "better": "low",
        "mode": mode,
    }


def of_store(folder: Path, points: int) -> tuple[str, float]:
    """Log a series, open the store anew, and reduce it; return the run and the milliseconds."""
    folder.mkdir()
    (folder / "trivet.toml").write_text(SETTINGS, "utf-8")
    values = np.random.default_rng(0).normal(size=_APPEND)
    with tv.open(folder) as workspace, workspace.tracking.begin("curve", folder=folder) as run:
        key = SeriesKey(run.id, "loss")
        for first in range(0, points, _APPEND):
            steps = np.arange(first, first + _APPEND)
            chunk = Points(steps, steps + _TIME_MS, values)
            workspace.stores.series.append([(key, chunk)], synced=False)
    with tv.open(folder) as workspace:
        taken: list[float] = []
        for _ in range(7):
            start = time.perf_counter()
            curve = workspace.stores.series.curve(key, points=SHOWN)
            taken.append((time.perf_counter() - start) * 1e3)
            if len(curve.least) != SHOWN:
                raise RuntimeError(f"{len(curve.least)} buckets, expected {SHOWN}")
    return run.id, statistics.median(taken)


def logged(place: Place, points: int) -> str:
    """Log a run of ten metrics with a tenth of the points each over HTTP; return it."""
    run = call(place, "/runs/create", {"experiment_id": "0"})["run"]["info"]["run_id"]
    for number in range(points // BATCH):
        answer_of(place, "/runs/log-batch", body_of(run, number))
    return run


def asked_ms(place: Place, run: str, key: str) -> float:
    """Return the median of a request for evenly spread points."""
    path = f"/metrics/get-history-bulk-interval?run_ids={run}&metric_key={key}&max_results={SHOWN}"
    taken: list[float] = []
    for _ in range(7):
        start = time.perf_counter()
        answer_of(place, path, None)
        taken.append((time.perf_counter() - start) * 1e3)
    return statistics.median(taken)
