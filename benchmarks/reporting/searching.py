"""Searches over very many runs through HTTP: filtered and sorted pages, the first and a late one.

MLflow's server is too slow to be given as many runs, so it searches the few that are said; its
figure is for those.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import trivet as tv
from benchmarks.parts import Rows
from benchmarks.reporting.filled import METRICS, filled
from benchmarks.reporting.ingesting import answer_of
from benchmarks.reporting.servers import MLFLOW, Client, Place, mlflow_server, trivet_server

TARGET_MS = 150.0
RUNS, QUICK_RUNS = 100_000, 5_000
OF_MLFLOW, QUICK_OF_MLFLOW = 2_000, 200
PAGE = 500
ASKED = {
    "experiment_ids": ["0"],
    "filter": "metrics.m1 > 0.3 AND tags.family != 'tree'",
    "order_by": ["metrics.m2 DESC"],
}
_SAID = f"`{ASKED['filter']}`, by `metrics.m2 DESC`"


def rows(quick: bool) -> Rows:
    """Measure pages of 100 and of 1,000, and page 500."""
    runs, of_mlflow = (QUICK_RUNS, QUICK_OF_MLFLOW) if quick else (RUNS, OF_MLFLOW)
    times = 5 if quick else 15
    own_ms = {size: own_page_ms(filled(runs), size, times) for size in (100, 1_000)}
    with trivet_server(filled(runs)) as ours:
        ours_ms = {size: page_ms(ours, size, times) for size in (100, 1_000)}
        late_ms, number = late_page_ms(ours)
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        folder = Path(scratch)
        # By its client without a server: that is quicker, and the database is the same.
        with Client(f"sqlite:///{folder}/mlflow.db", "", folder / "client") as client:
            client.ask("fill", runs=of_mlflow, metrics=METRICS)
        with mlflow_server(folder) as theirs:
            theirs_ms = {size: page_ms(theirs, size, times) for size in (100, 1_000)}
    first = f"{_SAID}; {{}}, median of {times}; MLflow: over {of_mlflow:,} runs only"
    return [
        *(
            row(f"first page of {size:,}", runs, ours_ms[size], theirs_ms[size],
                first.format("the first page"))
            for size in (100, 1_000)
        ),
        row(f"page {number} of 100", runs, late_ms, None,
            f"{_SAID}; the median of the last ten pages, each by the token of the one before"),
        *(
            row(f"first page of {size:,}", runs, own_ms[size], None,
                f"`ws.tracking.search`, {_SAID}; median of {times}", where="in one process")
            for size in (100, 1_000)
        ),
    ]  # fmt: skip


def row(
    what: str,
    runs: int,
    value_ms: float,
    peer_ms: float | None,
    mode: str,
    *,
    where: str = "over HTTP",
) -> dict[str, Any]:
    return {
        "what": f"search {where}, {runs:,} runs of {METRICS} metrics: {what}",
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


def own_page_ms(folder: Path, size: int, times: int) -> float:
    """Return the median of a first page without a server, behind one that warms."""
    taken: list[float] = []
    with tv.open(folder) as workspace:
        for _ in range(times + 1):
            start = time.perf_counter()
            found = workspace.tracking.search(ASKED["filter"], order=ASKED["order_by"], limit=size)
            taken.append((time.perf_counter() - start) * 1e3)
            if len(found) < size:
                raise RuntimeError(f"{len(found)} runs were found; expected {size}")
    return statistics.median(taken[1:])


def page_ms(place: Place, size: int, times: int) -> float:
    """Return the median of a first page, behind one that warms."""
    page(place, size, "")
    return statistics.median(page(place, size, "")[0] for _ in range(times))


def late_page_ms(place: Place) -> tuple[float, int]:
    """Turn pages until the 500th, or the last; return the median of the last ten, and how many."""
    taken: list[float] = []
    token = ""
    while len(taken) < PAGE:
        took, found = page(place, 100, token)
        taken.append(took)
        token = found.get("next_page_token", "")
        if not token:
            break
    return statistics.median(taken[-10:]), len(taken)


def page(place: Place, size: int, token: str) -> tuple[float, dict[str, Any]]:
    """Ask for a page; return the milliseconds until all of it was there, and what was found."""
    asked = ASKED | {"max_results": size} | ({"page_token": token} if token else {})
    start = time.perf_counter()
    answer = answer_of(place, "/runs/search", asked)
    took = (time.perf_counter() - start) * 1e3
    found = json.loads(answer)
    if not found.get("runs"):
        raise RuntimeError(f"nothing was found: {json.dumps(asked)}")
    return took, found
