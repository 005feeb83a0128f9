"""The table of a room for the documentation: `python -m benchmarks.markdown pipelines`.

It is made of what the last run of the benchmarks wrote, `build/bench/<room>.json`.
"""

import json
import sys
from typing import Any

from benchmarks.__main__ import OUTPUT, figure, winner

HEAD = ("id", "what", "Trivet", "target", "floor", "peer", "better", "reached", "how")


def table(found: list[dict[str, Any]]) -> str:
    """Return rows as a table in Markdown."""
    lines = [HEAD, ("---", "---", "---:", "---:", "---:", "---:", "---", "---", "---")]
    lines += [cells(row) for row in found]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    reached = {True: "yes", False: "**no**", None: ""}[row["ok"]]
    peer = row.get("peer")
    value = "" if row["value"] is None else f"{figure(row['value'])} {row['unit']}"
    return (
        *(row["id"], row["what"], value, plain(row["target"]), plain(row["floor"])),
        f"{peer[0]}: {figure(peer[1])}" if peer else "",
        winner(row) if peer else "",
        *(reached, row["mode"]),
    )


def plain(value: float | None) -> str:
    return "" if value is None else figure(value)


if __name__ == "__main__":
    room = sys.argv[1]
    print(table(json.loads((OUTPUT / f"{room}.json").read_text("utf-8"))))
