"""`trivet demo`, whole: how long it takes and how much memory, as it says itself."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.load import environment

TARGET_S = 180
TARGET_MB = 3_000


def rows(quick: bool) -> list[dict[str, Any]]:
    """Run the demonstration once; `quick` leaves it out."""
    if quick:
        return both(None, None, None, "not run: it takes minutes, and this is the quick way")
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        evidence = Path(scratch) / "evidence.json"
        place = str(Path(scratch) / "demo")
        command = [sys.executable, "-m", "trivet", "demo", "--json", str(evidence)]
        done = subprocess.run(
            [*command, "--folder", place],
            capture_output=True,
            text=True,
            check=False,
            cwd=scratch,
            env=environment(),
        )
        if not evidence.is_file():
            lines = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
            return both(None, None, False, f"it failed with {done.returncode}: {lines[-1][:200]}")
        found = json.loads(evidence.read_bytes())
    mode = f"{found['predictions']:,} predictions over HTTP, exit code {done.returncode}"
    return both(found["seconds"], found["peak_memory_bytes"] / 1e6, done.returncode == 0, mode)


def both(
    seconds: float | None, memory_mb: float | None, whole: bool | None, mode: str
) -> list[dict[str, Any]]:
    figures = (
        ("trivet demo, whole: time", seconds, "s", TARGET_S),
        ("trivet demo, whole: peak memory", memory_mb, "MB", TARGET_MB),
    )
    return [
        {
            "id": "2.6",
            "what": what,
            "value": None if value is None else round(value, 1),
            "unit": unit,
            "target": target,
            "floor": None,
            "ratio": None if value is None else round(value / target, 3),
            "ok": whole if value is None else bool(whole) and value <= target,
            "mode": mode,
        }
        for what, value, unit, target in figures
    ]


if __name__ == "__main__":
    for row in rows("--quick" in sys.argv):
        print(row)
