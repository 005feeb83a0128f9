"""Trivet with `map` in place of a loop."""

from benchmarks.peers import trivet


class Subject(trivet.Subject):
    """One open workspace."""

    flow = "pipeline:mapped"
