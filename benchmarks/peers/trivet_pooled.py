"""Trivet with a step that is called in the warm process pool."""

from benchmarks.peers import trivet


class Subject(trivet.Subject):
    """One open workspace, its pool begun by the first flow."""

    text = trivet.PIPELINE.replace("@step\n", '@step(where="pool")\n')
