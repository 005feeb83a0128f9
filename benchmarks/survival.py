"""Random kills of workers, counted: what is lost, what is done twice (`kills` is the harness)."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.load import ROOT, environment

WHAT = "random kills of workers: runs lost, doubled or wrong"


def rows(quick: bool) -> list[dict[str, Any]]:
    """Kill workers at random instants, in a process that forks them before it opens anything."""
    kills, runs = (50, 25) if quick else (1_000, 300)
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        folder = Path(scratch) / "kills"
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.kills", str(folder), str(kills), str(runs)],
            env=environment(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
    found: dict[str, int] = json.loads(done.stdout)
    bad = found["lost"] + found["doubled"] + found["wrong"]
    return [
        {
            "what": WHAT,
            "value": bad,
            "unit": f"in {found['kills']:,} kills",
            "target": 0,
            "floor": None,
            "ratio": None,
            "ok": bad == 0,
            "peer": None,
            "better": "low",
            "mode": f"{found['lost']} lost, {found['doubled']} doubled, {found['wrong']} wrong; "
            f"{found['kills']:,} killed and {found['pauses']:,} paused beyond their lease over "
            f"{found['runs']:,} runs in {found['attempts']:,} attempts; {found['fenced']:,} late "
            "writes refused",
        }
    ]
