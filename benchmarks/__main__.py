"""`python -m benchmarks [--only ROOM] [--quick]`: measure, print, write build/bench/ROOM.json."""

import argparse
import json
import sys
from typing import Any

from benchmarks import core
from benchmarks.load import ROOT

ROOMS = {"core": core.rows}


def main() -> int:
    """Run the benchmarks that were asked for; the exit code says only whether they ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=tuple(ROOMS), help="one room's benchmarks")
    parser.add_argument("--quick", action="store_true", help="small counts: a smoke test")
    options = parser.parse_args()
    for room in [options.only] if options.only else ROOMS:
        rows = ROOMS[room](options.quick)
        folder = ROOT / "build" / "bench"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{room}.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
        print(table(rows))
        print(f"\nwritten to {(folder / f'{room}.json').relative_to(ROOT)}", file=sys.stderr)
    return 0


def table(rows: list[dict[str, Any]]) -> str:
    """Lay the rows out; figures that miss their target are marked, not hidden."""
    marks = {True: "ok", False: "NO", None: ""}
    cells = [("id", "what", "value", "target", "floor", "ratio", "", "mode")]
    cells += [
        (
            row["id"],
            row["what"],
            "-" if row["value"] is None else f"{row['value']:,.4g} {row['unit']}",
            str(row.get("target") or ""),
            "" if row.get("floor") is None else f"{row['floor']:,.4g}",
            "" if row.get("ratio") is None else f"{row['ratio']:.2f}",
            marks[row["ok"]],
            str(row.get("mode") or ""),
        )
        for row in rows
    ]
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


if __name__ == "__main__":
    sys.exit(main())
