"""The figures of pipelines, each beside other systems that do the same work in the same call."""

import importlib
from typing import Any

from benchmarks import caches, mapping, noop, pool, steps, survival
from benchmarks.parts import Part, Rows, absent, rows_of_parts


def until_rows(quick: bool) -> list[dict[str, Any]]:
    """Measure loops of candidates that must beat a champion."""
    try:
        until = importlib.import_module("benchmarks.until")
    except ModuleNotFoundError:
        return [absent("until", "not measured: no benchmarks/until.py here")]
    return until.rows(quick)


TABLE = (
    Part("3.1", "a step that is done", steps.done_rows),
    Part("3.2", "a step that is remembered", steps.remembered_rows),
    Part("3.3", "a run of nothing", noop.rows),
    Part("3.4", "a step in the pool", pool.rows),
    Part("3.5", "map", mapping.rows),
    Part("3.6", "edits", caches.rows),
    Part("3.7", "random kills", survival.rows),
    Part("3.8", "until", until_rows),
)


def rows(quick: bool) -> Rows:
    """Measure every row of the table; what fails is a row, too, with its reason."""
    return rows_of_parts(TABLE, quick)
