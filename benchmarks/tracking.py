"""The figures of tracking: the server with MLflow's unmodified clients, and Trivet's own client."""

from benchmarks.parts import Part, Rows, rows_of_parts
from benchmarks.reporting import (
    alone,
    calling,
    curving,
    ingesting,
    killing,
    own,
    searching,
    sending,
)

TABLE = (
    Part("4.1", "calls of one point", calling.singles),
    Part("4.2", "calls of a thousand points", calling.batches),
    Part("4.3", "points over HTTP", ingesting.rows),
    Part("4.4", "whole runs", calling.whole),
    Part("4.5", "the own client", own.rows),
    Part("4.6", "searches over very many runs", searching.rows),
    Part("4.7", "curves", curving.rows),
    Part("4.8", "the server alone", alone.rows),
    Part("4.9", "kills", killing.rows),
    Part("4.10", "the own client and a server", sending.rows),
)


def rows(quick: bool) -> Rows:
    """Measure every row of the table; what fails is a row, too, with its reason."""
    return rows_of_parts(TABLE, quick)
