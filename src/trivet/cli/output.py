"""How answers look on a terminal: tables, dates, sizes, and nothing that needs a library."""

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec


def to_json(data: Any) -> str:  # noqa: ANN401  # whatever a service answers
    """Encode an answer as JSON text, structs and datetimes included."""
    return msgspec.json.format(msgspec.json.encode(data, enc_hook=str)).decode()


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str = "none") -> str:
    """Lay out rows under headings; numbers are right-aligned.

    Args:
        headings: One per column.
        rows: Cells; None is shown as a dash.
        empty: What to say when there are no rows.
    """
    if not rows:
        return empty
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(heading), *(len(row[i]) for row in cells)) for i, heading in enumerate(headings)
    ]
    right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(headings))]
    first = "  ".join(_pad(h, w, r) for h, w, r in zip(headings, widths, right, strict=True))
    lines = [first.rstrip()]
    lines.append("  ".join("-" * width for width in widths))
    lines += [
        "  ".join(_pad(c, w, r) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def fields(pairs: Sequence[tuple[str, object]]) -> str:
    """Lay out names and values, one pair a line."""
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"{name:<{width}}  {_cell(value)}" for name, value in pairs)


def size(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def is_colourful() -> bool:
    """Say whether colours and moving lines are welcome: a terminal, and NO_COLOR not set."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


def _pad(text: str, width: int, right: bool) -> str:  # noqa: FBT001  # a column's property
    return text.rjust(width) if right else text.ljust(width)
