"""The figures of pipelines, each beside other systems that do the same work in the same call."""

from benchmarks import caches, mapping, noop, pool, steps, survival, until
from benchmarks.parts import Part, Rows, rows_of_parts

TABLE = (
    Part("3.1", "a step that is done", steps.done_rows),
    Part("3.2", "a step that is remembered", steps.remembered_rows),
    Part("3.3", "a run of nothing", noop.rows),
    Part("3.4", "a step in the pool", pool.rows),
    Part("3.5", "map", mapping.rows),
    Part("3.6", "edits", caches.rows),
    Part("3.7", "random kills", survival.rows),
    Part("3.8", "until", until.rows),
)


def rows(quick: bool) -> Rows:
    """Measure every row of the table; what fails is a row, too, with its reason."""
    return rows_of_parts(TABLE, quick)
