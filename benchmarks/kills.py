"""Random kills of running flows, counted: what is lost, what is done twice.

The harness is the journey `tests/journeys/test_kills.py`: its function `killed(times)` returns a
mapping of `kills`, `lost`, `doubled` and `fenced`.
"""

import importlib.util
from collections.abc import Mapping
from typing import Any

from benchmarks.load import ROOT
from benchmarks.parts import absent

HARNESS = ROOT / "tests" / "journeys" / "test_kills.py"
WHAT = "random kills of running flows: lost or doubled"


def rows(quick: bool) -> list[dict[str, Any]]:
    """Kill flows at random instants; the target is that nothing is lost and nothing doubled."""
    if not HARNESS.exists():
        return [absent(WHAT, f"not measured: no {HARNESS.relative_to(ROOT).as_posix()} here")]
    counts = killed(20 if quick else 200)
    wrong = counts["lost"] + counts["doubled"]
    return [
        {
            "what": WHAT,
            "value": wrong,
            "unit": f"of {counts['kills']:,}",
            "target": 0,
            "floor": None,
            "ratio": None,
            "ok": wrong == 0,
            "peer": None,
            "better": "low",
            "mode": f"{counts['kills']:,} kills: {counts['lost']} lost, {counts['doubled']} "
            f"doubled, {counts['fenced']} late workers fenced off",
        }
    ]


def killed(times: int) -> Mapping[str, int]:
    spec = importlib.util.spec_from_file_location("kills_journey", HARNESS)
    assert spec is not None
    assert spec.loader is not None
    harness = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(harness)
    return harness.killed(times)
