"""What a proof of concept does not say: the sentences that stand below its figures."""

from collections.abc import Sequence

from trivet.models.proof.result import Standing

_ONE_SPLIT = (
    "Each was fitted once on one split: how much another split, or another seed, would change was "
    "not measured."
)
_CHOSEN = (
    "The best of several looks better than it is on the rows it was chosen on: put it to the gate "
    "on fresh rows."
)
_HERE = "Times and memory are those of this machine, under its load of the moment, without network."
_ALONE = (
    "Rows were taken to stand alone: if they come in groups (days, customers), the intervals are "
    "too narrow. Name their column as group."
)
_NO_PEAK = "This system does not tell the peak of memory."
_NEVER = "Not measured: energy, the cost of labels, robustness, fairness between groups."


def limits_of(
    standings: Sequence[Standing], test_rows: int, metric: str, *, is_grouped: bool, repeated: int
) -> tuple[str, ...]:
    """Say what was not measured, and what follows from that.

    Args:
        standings: How the algorithms did.
        test_rows: How many rows they were tested on.
        metric: By which they were compared.
        is_grouped: Whether the rows came in groups that were named.
        repeated: How many test rows stand in the training rows, beyond chance.
    """
    gains = [item.gain for item in standings if item.gain is not None]
    sizes = [gain.detectable for gain in gains if gain.detectable is not None]
    many = f"With {len(gains)} algorithm{'s' * (len(gains) > 1)} on {test_rows} test rows, "
    missed = (
        f"{many}one in five gains of {max(sizes):.2g} in {metric} is missed, and more of the "
        "smaller ones."
        if len(sizes) == len(gains)
        else f"{many}gains are missed however large they are: these rows are too few."
    )
    apart = (
        f"{repeated} of {test_rows} test rows stand in the training rows, too: an algorithm that "
        "remembers them looks better here than it is."
    )
    undecided = next((gain.problem for gain in gains if gain.problem), "")
    loose = [s.name for s in standings if s.serving is not None and s.serving.size_bytes is None]
    no_size = f"Not packaged, so measured as fitted and without a size: {', '.join(loose)}."
    costs = [item.training for item in standings if item.training is not None]
    said = (
        (apart, repeated > 0),
        (f"Not everything could be decided: {undecided}.", bool(undecided)),
        (missed, True),
        (_ONE_SPLIT, True),
        (_CHOSEN, True),
        (_HERE, True),
        (_ALONE, not is_grouped),
        (no_size, bool(loose)),
        (_NO_PEAK, any(cost.peak_bytes is None for cost in costs)),
        (_NEVER, True),
    )
    return tuple(text for text, holds in said if holds)
