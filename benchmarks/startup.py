"""How long it takes to import Trivet, and to ask its command line for help."""

import subprocess
import sys
import time
from typing import Any

from benchmarks.load import ROOT

TARGET_IMPORT_MS = 50
TARGET_HELP_S = 0.3


def rows(quick: bool) -> list[dict[str, Any]]:
    """Measure both figures as the best of several fresh processes."""
    times = 7 if quick else 25
    # In turn, so that a busy moment of the machine meets all of them.
    found = [
        (seconds("-c", "pass"), seconds("-c", "import trivet"), seconds("-m", "trivet", "--help"))
        for _ in range(times)
    ]
    bare, imported, helped = (min(column) for column in zip(*found, strict=True))
    import_ms = max(0.0, imported - bare) * 1e3
    return [
        {
            "id": "2.1",
            "what": "import trivet",
            "value": round(import_ms, 1),
            "unit": "ms",
            "target": TARGET_IMPORT_MS,
            "floor": round(bare * 1e3, 1),
            "ratio": round(imported / bare, 2),
            "ok": import_ms <= TARGET_IMPORT_MS,
            "mode": f"best of {times} processes, less the bare interpreter, which is the floor; "
            "ratio: with the import to without",
        },
        {
            "id": "2.1",
            "what": "trivet --help",
            "value": round(helped, 3),
            "unit": "s",
            "target": TARGET_HELP_S,
            "floor": round(bare, 3),
            "ratio": round(helped / bare, 2),
            "ok": helped <= TARGET_HELP_S,
            "mode": f"best of {times} whole processes; floor: the bare interpreter",
        },
    ]


def seconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=ROOT / "src")
    return time.perf_counter() - start


if __name__ == "__main__":
    for row in rows("--quick" in sys.argv):
        print(row)
