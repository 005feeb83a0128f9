"""The figures of the whole: start, installs, stores, a served request, the demonstration."""

from benchmarks import demonstration, installs, ledger, series, serving, startup
from benchmarks.parts import Part, Rows, rows_of_parts

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
    return rows_of_parts(TABLE, quick)
