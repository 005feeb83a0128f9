"""A room's table of parts: each is measured by itself, and what fails becomes a row."""

import sys
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Rows = list[dict[str, Any]]


class Part(NamedTuple):
    """One row of the table of targets: its number, what it is about, and who measures it."""

    number: str
    what: str
    measure: Callable[[bool], Rows]


def rows_of_parts(parts: Iterable[Part], quick: bool) -> Rows:
    """Measure every part of a table; what fails is a row, too, with its reason."""
    return [row for part in parts for row in rows_of(part, quick)]


def rows_of(part: Part, quick: bool) -> Rows:
    start = time.perf_counter()
    try:
        found = [{**row, "id": part.number} for row in part.measure(quick)]
    except Exception as error:  # noqa: BLE001  # one benchmark that fails must not hide the others
        traceback.print_exc()
        reason = f"failed: {type(error).__name__}: {error}"
        found = [{**absent(part.what, reason), "id": part.number, "ok": False}]
    taken = time.perf_counter() - start
    print(f"{part.number}  {part.what}: {taken:.0f} s", file=sys.stderr, flush=True)
    return found


def absent(what: str, reason: str) -> dict[str, Any]:
    """Make the row of something that could not be measured, and say why."""
    return {
        "what": what,
        "value": None,
        "unit": "",
        "target": None,
        "floor": None,
        "ratio": None,
        "ok": None,
        "mode": reason,
    }
