"""Trials of a search as runs, so that searches, comparisons and importance know them."""

from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Final

from trivet.core.errors import Invalid
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.pipelines.looping.space import Chosen, Option
from trivet.pipelines.looping.trials import SearchBegun, TrialEnded, TrialState, Watch
from trivet.tracking.reporting.facts import ReportedStatus
from trivet.tracking.reporting.live import LiveRun
from trivet.tracking.service import TrackingService

SEARCH: Final = "trivet.search"
"""The tag that names the search of which a run is a trial."""
TRIAL: Final = "trivet.trial"
"""The tag with a trial's number."""
_MOST_TEXT: Final = 1000
_STATUSES: Final[dict[TrialState, ReportedStatus]] = {
    "done": "succeeded",
    "stopped": "cancelled",
    "failed": "failed",
}


class TrialRun:
    """The run of one trial.

    Args:
        run: The run.
        figure: What the search is about.
    """

    def __init__(self, run: LiveRun, figure: str) -> None:
        self._run = run
        self._figure = figure

    def watched(self, watch: Watch) -> Watch:
        """Return what follows the trial, and tells the run as well."""
        return _Told(watch, self._run, self._figure)

    def end(self, ended: TrialEnded) -> None:
        """Report what the trial came to, and end the run."""
        last = max((step for step, _ in ended.reports), default=-1)
        for name, value in ended.figures.items():
            _log(self._run, name, value, last + 1)
        if ended.error:
            self._run.set_tags({"error": ended.error})
        self._run.finish(_STATUSES[ended.state])


class TrialRuns:
    """Makes the runs of a search, in an experiment of its name.

    Args:
        stores: Where runs are kept.
        scope: Project and actor.
        search: The search.
    """

    def __init__(self, stores: Stores, scope: Scope, search: SearchBegun) -> None:
        self._tracking = TrackingService(stores, scope)
        self._search = search

    @contextmanager
    def of(self, number: int, parameters: Chosen) -> Generator[TrialRun]:
        """Begin the run of a trial; whoever takes a trial over begins another.

        A trial that is interrupted has a run that is cancelled.
        """
        tags = {SEARCH: self._search.key, TRIAL: str(number)}
        parameters = {name: _shortened(value) for name, value in parameters.items()}
        with self._tracking.begin(
            self._search.name,
            name=f"trial-{number}",
            parameters=parameters,
            tags=tags,
            system=False,
        ) as run:
            yield TrialRun(run, self._search.figure)


def _log(run: LiveRun, name: str, value: float, step: int) -> None:
    with suppress(Invalid):  # a figure may have a name that no metric has: the trial has it
        run.log({name: value}, step=step)


def _shortened(value: Option) -> Option:
    return value[:_MOST_TEXT] if isinstance(value, str) else value


class _Told:
    def __init__(self, watch: Watch, run: LiveRun, figure: str) -> None:
        self._watch = watch
        self._run = run
        self._figure = figure

    def report(self, value: float, step: int) -> None:
        _log(self._run, self._figure, value, step)
        self._watch.report(value, step)

    def should_stop(self) -> bool:
        return self._watch.should_stop()
