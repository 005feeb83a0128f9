"""Workers that are killed and paused at any instant lose nothing and do nothing twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = int(os.environ.get("TRIVET_CRASH_ROUNDS", "1")) * 40
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(sys.platform != "linux", reason="kills and pauses as Linux knows them"),
]


def test_runs_are_done_once_however_their_workers_die(tmp_path: Path) -> None:
    sweep = [sys.executable, "-m", "benchmarks.kills", str(tmp_path / "p"), str(KILLS), "80"]
    found = subprocess.run(sweep, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    report = json.loads(found.stdout)
    assert report["kills"] == KILLS
    assert report["attempts"] > report["runs"]  # some died in the middle
    assert (report["lost"], report["doubled"], report["wrong"]) == (0, 0, 0), report
