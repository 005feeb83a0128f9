"""A run in which nothing is left to do: 100 steps, all remembered, as a whole process.

What counts is the time above a process of the same interpreter that only imports the same modules:
those that the run had loaded when it ended. Medians of processes that take turns.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.parts import absent
from benchmarks.peers.installing import Missing, label_of, place_of
from benchmarks.peers.talking import command_of
from benchmarks.peers.trivet import PIPELINE, make_project

STEPS = 100
TARGET_S = 0.3
PEERS = ("joblib", "hamilton", "redun", "zenml")
SLOW = {"zenml"}
"""Left out when the figures may be rough."""
PATIENCE_S = 120

_LISTED = """
import pathlib, runpy, sys
place, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = "trivet"
try:
    runpy.run_module("trivet", run_name="__main__")
finally:
    pathlib.Path(place).write_text("\\n".join(sys.modules))
"""
_IMPORTS = """
import importlib, pathlib, sys
for name in pathlib.Path(sys.argv[1]).read_text().split():
    if name.startswith(("__", "benchmarks")):
        continue
    try:
        importlib.import_module(name)
    except Exception:
        pass
"""


class Process(NamedTuple):
    """A run as a whole process, and one that only imports what the run had loaded."""

    run: list[str]
    imports: list[str]
    variables: dict[str, str]
    folder: Path


class Taken(NamedTuple):
    """Seconds: of the whole run, and of the imports alone."""

    whole_s: float
    imports_s: float

    @property
    def own_s(self) -> float:
        return self.whole_s - self.imports_s


def rows(quick: bool) -> list[dict[str, Any]]:
    """Measure the run of nothing, by Trivet's command line and by the flows of peers."""
    times = 5 if quick else 15
    what = f"a run of {STEPS} remembered steps, whole process less imports"
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        ours = process_of_trivet(Path(scratch) / "trivet")
        found = [row_of(what, by_turns([ours], times)[0], times)]
        for name in [name for name in PEERS if not (quick and name in SLOW)]:
            try:
                theirs = process_of_peer(name, Path(scratch) / name)
                here, there = by_turns([ours, theirs], times)
            except Missing as error:
                found.append(absent(f"{what}, {label_of(name)}", f"not measured: {error}"))
                continue
            mode = f"{label_of(name)}: {there.whole_s:.2f} s whole, {there.imports_s:.2f} s imports"
            peer = [label_of(name), round(there.own_s, 3)]
            found.append({**row_of(what, here, times), "peer": peer, "mode": mode})
    return found


def row_of(what: str, taken: Taken, times: int) -> dict[str, Any]:
    return {
        "what": what,
        "value": round(taken.own_s, 3),
        "unit": "s",
        "target": TARGET_S,
        "floor": None,
        "ratio": None,
        "ok": taken.own_s <= TARGET_S,
        "peer": None,
        "better": "low",
        "mode": f"`trivet run`, median of {times}: {taken.whole_s:.2f} s whole, "
        f"{taken.imports_s:.2f} s for a process that imports the same modules",
    }


def process_of_trivet(folder: Path) -> Process:
    make_project(folder, PIPELINE)
    place = place_of("trivet", folder)
    asked = ["run", "pipeline:many", "--no-delivery",
             "--set", f"count={STEPS - 1}", "--set", "salt=1"]  # fmt: skip
    listed = folder / "modules.txt"
    made = Process(
        [place.python, "-m", "trivet", *asked],
        [place.python, "-c", _IMPORTS, str(listed)],
        place.variables,
        folder,
    )
    seconds(made.run, made)
    seconds([place.python, "-c", _LISTED, str(listed), *asked], made)
    return made


def process_of_peer(name: str, folder: Path) -> Process:
    line, variables = command_of(name, folder, "once", str(STEPS - 1), "1")
    listed = folder / "modules.txt"
    made = Process(line, [line[0], "-c", _IMPORTS, str(listed)], variables, folder)
    seconds(made.run, made)
    seconds([*line, str(listed)], made)
    return made


def by_turns(processes: list[Process], times: int) -> list[Taken]:
    taken: list[list[tuple[float, float]]] = [[] for _ in processes]
    for _ in range(times):
        for at, one in enumerate(processes):
            taken[at].append((seconds(one.run, one), seconds(one.imports, one)))
    return [Taken(*map(statistics.median, zip(*column, strict=True))) for column in taken]


def seconds(line: list[str], process: Process) -> float:
    """Time a whole process.

    Raises:
        Missing: It fails, or takes too long.
    """
    start = time.perf_counter()
    try:
        done = subprocess.run(
            line,
            env=process.variables,
            cwd=process.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"no end within {PATIENCE_S} s") from error
    if done.returncode:
        raise Missing((done.stderr.strip().splitlines() or ["it failed"])[-1][:200])
    return time.perf_counter() - start


if __name__ == "__main__":
    for each in rows("--quick" in sys.argv):
        print(each)
