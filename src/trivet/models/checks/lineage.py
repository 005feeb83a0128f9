"""Checks of where a model came from: what its run kept on the way."""

from trivet.core.gates import Finding
from trivet.models.exam import Exam


def no_pickle(exam: Exam) -> Finding:
    """No value of the run was pickled: nothing behind the model runs when it is read."""
    kept = exam.pickled
    return Finding(
        check="",
        ok=not kept,
        summary=f"{kept[0]} was kept as a pickle"
        + (f", and {len(kept) - 1} more were" if len(kept) > 1 else "")
        + "; return something that has a materialiser, and drop pickle=True"
        if kept
        else "no step and no output of the run was kept as a pickle",
        value=len(kept),
        threshold=0,
        evidence={"pickled": list(kept), "format": "pickle"},
    )
