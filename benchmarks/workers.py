"""What it costs to run a step in a warm process instead of in the flow's own.

`python -m benchmarks.workers`, with `--quick` for fewer rounds.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.load import ROOT
from trivet.core.work import Work
from trivet.testing.contracts import workers as entries
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

TARGET_STEP_MS = 10.0

PIPELINE = """
import time
from trivet import flow, map, step

@step
def here(n: int) -> int:
    return n

@step(where="pool")
def there(n: int) -> int:
    return n

@step(where="pool")
def busy(n: int, seconds: float) -> int:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return n

@flow
def one_by_one(kind: str, first: int, count: int):
    make = here if kind == "here" else there
    took = []
    for n in range(first, first + count):
        began = time.perf_counter()
        make(n)
        took.append(time.perf_counter() - began)
    return {"took": took}

@flow
def side_by_side(count: int, seconds: float):
    began = time.perf_counter()
    map(busy, range(count), seconds)
    return {"took": [time.perf_counter() - began]}
"""


def rows(quick: bool) -> list[dict[str, Any]]:
    """Measure one step after another, and many at once."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "trivet.toml").write_text('project = "bench"\ngate = ""\n')
        (folder / "measured.py").write_text(PIPELINE)
        with open_workspace(folder, actor="bench") as workspace:
            return measure(workspace, 100 if quick else 1000)


def measure(workspace: Workspace, count: int) -> list[dict[str, Any]]:
    cold_s = took(workspace, "one_by_one", kind="there", first=-1, count=1)[0]
    here = took(workspace, "one_by_one", kind="here", first=0, count=count)
    there = took(workspace, "one_by_one", kind="there", first=0, count=count)
    work = Work(
        entry=f"{entries.__name__}:turn", body=b"x", folder=str(ROOT), paths=tuple(sys.path)
    )
    pool = workspace.opened.workers
    bare: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        pool.submit(work).result()
        bare.append(time.perf_counter() - began)
    busy_s = 0.05
    wall_s = took(workspace, "side_by_side", count=40, seconds=busy_s)[0]
    width = pool.width(work.needs)
    return [
        row("first step in the pool, nursery and imports included", cold_s * 1e3, "ms"),
        row("bare call of a warm worker", statistics.median(bare) * 1e3, "ms"),
        row("step in the flow's own process", statistics.median(here) * 1e3, "ms"),
        row("step in the pool, warm", statistics.median(there) * 1e3, "ms", target=TARGET_STEP_MS),
        row("step in the pool, warm, 99th percentile", percentile(there, 0.99) * 1e3, "ms"),
        row(
            f"40 steps of 50 ms of work on {width} workers", wall_s, "s", floor=40 * busy_s / width
        ),
    ]


def took(workspace: Workspace, flow: str, **parameters: Any) -> list[float]:
    run = workspace.pipelines.run(f"measured:{flow}", **parameters)
    found: Any = workspace.pipelines.value(run.id, "took")
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def row(
    what: str, value: float, unit: str, *, target: float | None = None, floor: float | None = None
) -> dict[str, Any]:
    return {
        "what": what,
        "value": round(value, 3),
        "unit": unit,
        "target": target,
        "floor": floor,
        "ok": None if target is None else value <= target,
    }


if __name__ == "__main__":
    for found in rows("--quick" in sys.argv):
        print(found)
