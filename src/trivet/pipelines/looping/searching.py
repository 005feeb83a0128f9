"""Search: try parameters of an objective, and keep what was found out.

A search looks at validation rows as often as it likes and never at the holdout: what it finds is a
candidate, and a candidate is put to the gate once (`until`, `trivet run`).
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec

from trivet.core.errors import Invalid, NotFound
from trivet.pipelines.context import current
from trivet.pipelines.explaining.showing import show
from trivet.pipelines.looping.asking import check_asked, check_call_of, check_seed
from trivet.pipelines.looping.budget import Budget, Ending, Meter
from trivet.pipelines.looping.checking import describe, is_storable, name_of
from trivet.pipelines.looping.knowing import key_of, tell_unseen
from trivet.pipelines.looping.place import Place
from trivet.pipelines.looping.sampling import Sampler, Sampling
from trivet.pipelines.looping.space import (
    Chosen,
    Space,
    check_space,
    choice,
    integers,
    log_uniform,
    uniform,
)
from trivet.pipelines.looping.trials import Carrying, Objective, SearchBegun, Trial, TrialEnded
from trivet.pipelines.looping.working import Work, WorkAlone, WorkTogether

__all__ = ["Found", "Trial", "choice", "integers", "log_uniform", "search", "uniform"]

_PAUSE_S: Final = 0.2
_PATIENCE: Final = 5
"""When so many trials failed and none went well, the objective is broken."""

Direction = Literal["minimize", "maximize"]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a search came to."""

    figure: str
    direction: Direction
    trials: tuple[TrialEnded, ...]
    """By number."""
    ended: Ending
    seconds: float
    """Time spent on trials, added up over all processes."""
    cost: float = 0.0

    @property
    def best(self) -> TrialEnded:
        """The best of the trials that were carried through; of equal ones the first.

        Raises:
            NotFound: There is none.
        """
        done = [trial for trial in self.trials if trial.state == "done"]
        if not done:
            raise NotFound(
                f"none of {len(self.trials)} trials was carried through",
                code="no-trial",
                hint=f"Look at the error of each in `trials`; {_failure(self.trials[0])}."
                if self.trials
                else "Give it a larger budget.",
            )
        sign = 1.0 if self.direction == "minimize" else -1.0
        return min(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def search(  # noqa: PLR0913  # what is searched, by what, how long, and who works on it
    objective: Objective,
    space: Space,
    *,
    minimize: str | None = None,
    maximize: str | None = None,
    budget: Budget,
    seed: int = 0,
    sampler: Sampler = "tpe",
    cost: Callable[[Any], float] | None = None,
    workspace: Place | None = None,
    name: str | None = None,
) -> Found:
    """Search for the parameters by which an objective does best.

    Inside a run each trial is a step: when the run is started again after a crash, what is on
    record is not tried again. With `workspace` the trials are facts of the workspace: the same
    call in several processes works on one search, and whichever is started later goes on with it.
    Another code of the objective, other data that it holds, another space, seed or name is another
    search. Files that it opens by itself do not tell searches apart; they are warned of.

    Args:
        objective: Takes the parameters by name, and the `Trial` as `trial` when it has a parameter
            of that name. Returns a number, or a mapping with the figure and whatever else is a
            number. What it raises makes the trial a failed one; the search goes on.
        space: What may vary: `uniform`, `log_uniform`, `integers`, `choice`, by parameter.
        minimize: Name of the figure to make small; or
        maximize: of the one to make large.
        budget: What may be spent. Several processes may overdraw time and cost by a trial each.
        seed: Makes the search repeatable (with one process: exactly).
        sampler: `tpe` learns from the trials so far, `random` does not.
        cost: What a trial cost, computed from what the objective returned. When None, the number
            under `cost` of a mapping.
        workspace: Where a search that several processes share is kept.
        name: What people call the search; by default the objective's name.

    Raises:
        Invalid: An argument has no sense, the first five trials failed, or with `workspace` the
            objective holds a query that was not collected (code `unknown-content`).
        Unsupported: Optuna is not installed (extra `search`).

    Example:
        >>> found = search(  # doctest: +SKIP
        ...     objective,
        ...     {"rate": log_uniform(1e-4, 1e-1), "depth": integers(2, 8)},
        ...     minimize="loss",
        ...     budget=Budget(trials=50),
        ... )
        >>> found.best.parameters  # doctest: +SKIP
        {'rate': 0.013, 'depth': 5}
    """
    check_asked(objective, budget, sampler=sampler, cost=cost, workspace=workspace, name=name)
    figure, direction = _direction(minimize, maximize)
    space, seed = check_space(space), check_seed(seed)
    check_call_of(objective, space)
    called = name or name_of(objective)
    said = msgspec.to_builtins(space)
    key = key_of(
        called,
        (objective, cost),
        (figure, direction, sampler, seed, said),
        is_kept=workspace is not None,
    )
    carrying = Carrying(search=key, name=called, objective=objective, figure=figure, cost=cost)
    work: Work = WorkAlone(carrying)
    if workspace is not None:
        begun = SearchBegun(
            name=called, key=key, figure=figure, direction=direction, seed=seed, space=said
        )
        work = WorkTogether(workspace.stores, workspace.scope, begun, carrying)
    sampling = Sampling(space, direction, sampler=sampler, seed=seed)
    trials, ended, meter = _go_on(work, sampling, budget, figure)
    files = dict.fromkeys(file for trial in trials for file in trial.read)
    tell_unseen(called, (f"the file {file}, which its objective opens" for file in files))
    return Found(
        figure=figure,
        direction=direction,
        trials=trials,
        ended=ended,
        seconds=meter.seconds,
        cost=meter.cost,
    )


def _go_on(
    work: Work, sampling: Sampling, budget: Budget, figure: str
) -> tuple[tuple[TrialEnded, ...], Ending, Meter]:
    def choose(number: int) -> Chosen:
        return sampling.choose(number, work.ended())

    if budget.trials is not None and budget.seconds is None and budget.cost is None:
        work.expect(budget.trials)
    while True:
        trials = tuple(sorted(work.ended(), key=lambda trial: trial.number))
        meter = _spent(trials, budget)
        ended = meter.ending()
        if ended is not None:
            return trials, ended, meter
        _check_sense(trials)
        made = work.take(
            budget.trials,
            choose,
            lambda number, parameters: sampling.watch(number, parameters, work.ended()),
        )
        if made is None:
            time.sleep(_PAUSE_S)  # others carry out the last ones; one may have to be taken over
        elif made.value is not None:
            current().log({f"search/{figure}": made.value}, step=made.number)


def _spent(trials: Sequence[TrialEnded], budget: Budget) -> Meter:
    meter = Meter(budget)
    for trial in trials:
        # A trial that failed before it could say its cost spends none.
        meter.add(trial.seconds, 0.0 if trial.state == "failed" else trial.cost)
    return meter


def _check_sense(trials: Sequence[TrialEnded]) -> None:
    if len(trials) >= _PATIENCE and all(trial.state == "failed" for trial in trials):
        raise Invalid(
            f"all of the first {len(trials)} trials failed; {_failure(trials[0])}",
            code="objective-fails",
            hint="Call the objective once by hand with these parameters. Mended code is a new "
            "search.",
        )


def _failure(trial: TrialEnded) -> str:
    said = describe(trial.parameters)
    return f"trial {trial.number} ({said}) {trial.state}: {trial.error}".removesuffix(": ")


def _direction(minimize: object, maximize: object) -> tuple[str, Direction]:
    figure = minimize or maximize
    if (minimize and maximize) or not isinstance(figure, str) or not is_storable(figure):
        raise Invalid(
            f"minimize={show(minimize)} and maximize={show(maximize)}; expected a name for exactly "
            "one of them",
            code="bad-direction",
            hint='Name the figure that the objective returns: minimize="loss".',
        )
    return figure, "minimize" if minimize else "maximize"
