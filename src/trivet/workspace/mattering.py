"""Which parameters of runs mattered for a metric."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from trivet.core.errors import Invalid
from trivet.tracking.found import FoundRun
from trivet.tracking.reporting.documents import as_number
from trivet.tracking.service import TrackingService
from trivet.workspace import wiring

if TYPE_CHECKING:
    from trivet.statistics.importance import Importances

_MOST_RUNS: Final = 20_000
_ENDED: Final = "status NOT IN ('running', 'scheduled')"


class MetricImportance(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what was found."""

    metric: str
    filter: str
    found: "Importances"


def metric_importance(
    tracking: TrackingService,
    metric: str,
    *,
    filter: str = "",  # noqa: A002  # what everybody calls it
    experiment: str | None = None,
    parameters: Sequence[str] | None = None,
    by_rank: bool = False,
    seed: int = 0,
) -> MetricImportance:
    """Say how much parameters mattered for the latest value of a metric, over runs that ended.

    Args:
        tracking: Where runs are.
        metric: Its name, with or without `metrics.` before it.
        filter: Which runs; all by default.
        experiment: Only runs of the experiment of this name.
        parameters: Only these, with or without `params.` before them; None: all that vary.
        by_rank: Look at the order of the values alone, so that a few extreme ones cannot decide.
        seed: Makes the answer repeatable.

    Raises:
        Invalid: The filter means nothing, no run has such a metric or parameter, or there is too
            little to say anything (codes of `statistics.importance`).
        NotFound: There is no such experiment.
    """
    name = metric.removeprefix("metrics.")
    asked = f"metrics.`{name}` IS NOT NULL"
    found = tracking.finder.find(
        filter, also=(asked, _ENDED), experiment=experiment, limit=_MOST_RUNS
    )
    columns = _columns(found.runs, parameters)
    figures = [run.metrics[name] for run in found]
    result = wiring.parameter_importance(columns, figures, by_rank=by_rank, seed=seed)
    return MetricImportance(metric=name, filter=filter, found=result)


def _columns(
    runs: Sequence[FoundRun], wanted: Sequence[str] | None
) -> dict[str, list[str | float | None]]:
    known = sorted({name for run in runs for name in run.parameters})
    names = known if wanted is None else [name.removeprefix("params.") for name in wanted]
    missing = [name for name in names if name not in known]
    if missing and runs:
        raise Invalid(
            f"none of the {len(runs)} runs has the parameter {missing[0]!r}",
            code="unknown-column",
            hint=f"They have: {', '.join(known[:20])}." if known else "They have none at all.",
        )
    return {name: _column([run.parameters.get(name) for run in runs]) for name in names}


def _column(texts: Sequence[str | None]) -> list[str | float | None]:
    """Return the values of a parameter: numbers when all of them are, otherwise texts."""
    numbers = [None if text is None else as_number(text) for text in texts]
    is_numeric = all(
        text is None or number is not None for text, number in zip(texts, numbers, strict=True)
    )
    return list(numbers if is_numeric else texts)
