"""Search: try parameters of an objective, and keep what was found out.

A search looks at validation rows as often as it likes and never at the holdout: what it finds is a
candidate, and a candidate is put to the gate once (`until`, `trivet run`).
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec

from trivet.core.errors import Invalid, NotFound
from trivet.core.fingerprints.fingerprint import fingerprint
from trivet.core.ids import sha256_hex
from trivet.pipelines.context import current
from trivet.pipelines.looping.budget import Budget, Ending, Meter
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
                hint="Look at the error of each in `trials`.",
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
    Another code of the objective, space, seed or name is another search.

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
        Invalid: Space, direction or budget have no sense, or the first five trials failed.
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
    figure, direction = _direction(minimize, maximize)
    space = check_space(space)
    sampling = Sampling(space, direction, sampler=sampler, seed=seed)
    called = name or str(getattr(objective, "__name__", type(objective).__name__))
    begun = SearchBegun(
        name=called,
        key=_key((objective, cost), called, figure, direction, sampler, seed, space),
        figure=figure,
        direction=direction,
        seed=seed,
        space=msgspec.to_builtins(space),
    )
    carrying = Carrying(search=begun.key, objective=objective, figure=figure, cost=cost)
    work: Work = (
        WorkAlone(carrying)
        if workspace is None
        else WorkTogether(workspace.stores, workspace.scope, begun, carrying)
    )
    trials, ended, meter = _go_on(work, sampling, budget, figure)
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
            f"all of the first {len(trials)} trials failed; the first with {trials[0].error}",
            code="objective-fails",
            hint="Call the objective once by hand with these parameters: "
            f"{trials[0].parameters}. Mended code is a new search.",
        )


def _direction(minimize: str | None, maximize: str | None) -> tuple[str, Direction]:
    if minimize and not maximize:
        return minimize, "minimize"
    if maximize and not minimize:
        return maximize, "maximize"
    raise Invalid(
        f"minimize={minimize!r} and maximize={maximize!r}; expected exactly one of them",
        code="bad-direction",
        hint='Name the figure that the objective returns: minimize="loss".',
    )


def _key(functions: Sequence[Callable[..., Any] | None], *parts: object) -> str:
    """Digest what makes a search this one and no other."""
    code = [fingerprint(function).digest for function in functions if function is not None]
    return sha256_hex(msgspec.json.encode((code, parts), order="deterministic"))
