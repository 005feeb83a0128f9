"""`python -m benchmarks [--only ROOM] [--quick]`: measure, print a table, write JSON."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.load import ROOT

ROOMS = ("core", "pipelines", "tracking")
"""Rooms that have benchmarks; each is a module of this package with a function `rows(quick)`."""

ABOUT = 1.2
"""Figures that differ by less than so many times are about equal."""
OUTPUT = ROOT / "build" / "bench"


def main() -> int:
    """Run the benchmarks that were asked for; missing a target is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="ROOM", choices=ROOMS, help="|".join(ROOMS))
    parser.add_argument("--quick", action="store_true", help="rough figures in two minutes")
    options = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for room in [options.only] if options.only else ROOMS:
        measure: Callable[[bool], list[dict[str, Any]]] = import_module(f"benchmarks.{room}").rows
        found = measure(options.quick)
        place = OUTPUT / f"{room}.json"
        write(place, found)
        print(f"{room}: {machine()}{', quick' if options.quick else ''}\n")
        print(table(found))
        print(f"\nwritten to {place.relative_to(ROOT)}")
    return 0


def write(place: Path, found: list[dict[str, Any]]) -> None:
    scratch = place.with_suffix(".new")
    scratch.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    scratch.replace(place)


def machine() -> str:
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores"
    )


def table(found: list[dict[str, Any]]) -> str:
    head = ("id", "what", "value", "target", "floor", "ok", "peer", "wins")
    lines = [head, *(cells(row) for row in found)]
    if not any(row.get("peer") for row in found):
        lines = [line[:6] for line in lines]
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at in {2, 3, 4} else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    marks = {True: "yes", False: "NO", None: "-"}
    ok = marks[row["ok"]]
    if row["value"] is None:
        ok = f"{ok}  {row['mode']}"
    value = f"{figure(row['value'])} {row['unit']}" if row["value"] is not None else "-"
    beside = (f"{row['peer'][0]}: {figure(row['peer'][1])}", winner(row)) if row.get("peer") else ""
    return (
        *(row["id"], row["what"], value, figure(row["target"]), figure(row["floor"]), ok),
        *(beside or ("", "")),
    )


def winner(row: dict[str, Any]) -> str:
    """Say who does better in a row, and how many times; what noise may turn around is equal."""
    (peer, theirs), ours = row["peer"], row["value"]
    if row["better"] == "low" and min(ours, theirs) <= 0:
        return "not told apart"
    if max(ours, theirs) < ABOUT * min(ours, theirs):
        return "about equal"
    trivet_wins = (ours < theirs) == (row["better"] == "low")
    least, most = sorted((ours, theirs))
    times = f" {most / least:,.1f} times" if least else ""
    return f"{'Trivet' if trivet_wins else peer}{times}"


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


if __name__ == "__main__":
    sys.exit(main())
