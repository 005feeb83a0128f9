"""The tracking server by itself: how soon it answers, what it takes, what it brings.

MLflow's server is started a second time for its figure, so that it does not make its database.
Memory is what the processes have for themselves, and their share of what they have in common.
"""

import json
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import installs
from benchmarks.parts import Rows
from benchmarks.peers import installing
from benchmarks.reporting.ingesting import call
from benchmarks.reporting.servers import MLFLOW, Place, mlflow_server, trivet_server

START_TARGET_S = 1.0
MEMORY_TARGET_MB = 100
SIZE_TARGET_MB = 150
EXTRA = "trivet[server]"
_PIN = "mlflow==3.17.2"
_SETTLE_S = 3.0


def rows(quick: bool) -> Rows:
    """Measure both servers at rest, and both installations."""
    return [*running_rows(quick), *installed_rows(quick)]


def running_rows(quick: bool) -> Rows:
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        folder = Path(scratch)
        times, of_mlflow = (3, 1) if quick else (9, 3)
        with mlflow_server(folder / "mlflow"), trivet_server(folder / "trivet"):
            pass  # the databases are made
        ours, theirs, parts = [], [], 0
        for number in range(times):
            with trivet_server(folder / "trivet") as place:
                ours.append((place.started_s, at_rest_mb(place)[0] if not number else 0.0))
        for _ in range(of_mlflow):
            with mlflow_server(folder / "mlflow") as place:
                memory_mb, parts = at_rest_mb(place)
                theirs.append((place.started_s, memory_mb))
    start, memory = statistics.median(one for one, _ in ours), ours[0][1]
    peer_start, peer_memory = (statistics.median(column) for column in zip(*theirs, strict=True))
    return [
        row("start, to the first answer", round(start, 2), "s", START_TARGET_S,
            round(peer_start, 2), f"a store that is there, median of {times} starts; MLflow: of "
            f"{of_mlflow}, its database is there, too, 4 workers and its job runners as it ships"),
        row("memory at rest", round(memory, 1), "MB", MEMORY_TARGET_MB, round(peer_memory, 1),
            f"proportional set size of the process tree after one search; MLflow: {parts} "
            "processes"),
    ]  # fmt: skip


def at_rest_mb(place: Place) -> tuple[float, int]:
    """Return the memory of a server and its children after a search, and how many they are."""
    asked = {"experiment_ids": ["0"], "max_results": 10}
    for _ in range(8):  # every worker of MLflow's has answered once, most likely
        call(place, "/runs/search", asked)
    time.sleep(_SETTLE_S)
    tree = [place.process, *place.process.children(recursive=True)]
    return sum(one.memory_full_info().pss for one in tree) / 1e6, len(tree)


def installed_rows(quick: bool) -> Rows:
    peer_count, peer_mb = installed_mlflow()
    wanted = installs.closure(EXTRA)
    count, size_bytes = installs.present(wanted) if quick else installs.installed(EXTRA, wanted)
    mode = f"`pip install {EXTRA}` into a new environment, byte code included; MLflow: `{_PIN}`"
    if quick:
        mode = f"{EXTRA}, counted in this environment"
    return [
        row("installation: size", round(size_bytes / 1e6, 1), "MB", SIZE_TARGET_MB, peer_mb, mode),
        row("installation: distributions", count, "distributions", None, peer_count, mode),
    ]


def installed_mlflow() -> tuple[int, float]:
    """Install MLflow into an environment of its own, which stays; measure that."""
    folder = installing.FOLDER / re.sub(r"\W+", "-", _PIN)
    if not installing.python_of(folder).exists():
        try:
            installing.install(folder, (_PIN,))
        except installing.Missing:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    found = installs.run(str(installing.python_of(folder)), "-I", "-c", installs.MEASURE)
    count, size_bytes = json.loads(found)
    return count, round(size_bytes / 1e6, 1)


def row(
    what: str, value: float, unit: str, target: float | None, peer: float, mode: str
) -> dict[str, Any]:
    return {
        "what": f"tracking server, {what}",
        "value": value,
        "unit": unit,
        "target": target,
        "floor": None,
        "ratio": None if target is None else round(value / target, 3),
        "ok": None if target is None else value <= target,
        "peer": [MLFLOW, peer],
        "better": "low",
        "mode": mode,
    }


if __name__ == "__main__":
    for each in rows("--quick" in sys.argv):
        print(each)
