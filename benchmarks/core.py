"""The figures of the whole: start, installs, stores, a served request, the demonstration."""

import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks import demonstration, installs, ledger, series, serving, startup

Rows = list[dict[str, Any]]


class Part(NamedTuple):
    """One row of the table of targets: its number, what it is about, and who measures it."""

    number: str
    what: str
    measure: Callable[[bool], Rows]


TABLE = (
    Part("2.1", "import and help", startup.rows),
    Part("2.2", "installs", installs.rows),
    Part("2.3", "ledger", ledger.rows),
    Part("2.4", "series", series.rows),
    Part("2.5", "served request", serving.rows),
    Part("2.6", "trivet demo", demonstration.rows),
)


def rows(quick: bool) -> Rows:
    """Measure every row of the table; what fails is a row, too, with its reason."""
    return [row for part in TABLE for row in rows_of(part, quick)]


def rows_of(part: Part, quick: bool) -> Rows:
    start = time.perf_counter()
    try:
        found = [{**row, "id": part.number} for row in part.measure(quick)]
    except Exception as error:  # noqa: BLE001  # one benchmark that fails must not hide the others
        traceback.print_exc()
        found = [failed(part, error)]
    taken = time.perf_counter() - start
    print(f"{part.number}  {part.what}: {taken:.0f} s", file=sys.stderr, flush=True)
    return found


def failed(part: Part, error: Exception) -> dict[str, Any]:
    return {
        "id": part.number,
        "what": part.what,
        "value": None,
        "unit": "",
        "target": None,
        "floor": None,
        "ratio": None,
        "ok": False,
        "mode": f"failed: {type(error).__name__}: {error}",
    }
