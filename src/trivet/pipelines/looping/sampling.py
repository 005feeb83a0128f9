"""What Optuna chooses next, as a function of the seed and the trials so far.

No state is kept between two questions: a search that goes on in another process, or after a crash,
gets the answers it would have got. Loads Optuna when it is first asked.
"""

import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, Literal, cast

from trivet.core.errors import Unsupported
from trivet.core.ids import sha256_hex
from trivet.pipelines.looping.space import (
    Chosen,
    Integers,
    Numbers,
    Option,
    Options,
    Parameter,
)
from trivet.pipelines.looping.trials import TrialEnded, Watch

Sampler = Literal["tpe", "random"]
_FEWEST: Final = 5
"""So many trials run to their end before any is stopped early."""


class Sampling:
    """Chooses parameters, and says which trials are not worth going on with.

    Args:
        space: What may vary.
        direction: `minimize` or `maximize`.
        sampler: `tpe` (tree-structured Parzen estimator: learns from the trials so far) or
            `random`.
        seed: Makes it repeatable.

    Raises:
        Unsupported: Optuna is not installed.
    """

    def __init__(
        self, space: Mapping[str, Parameter], direction: str, *, sampler: Sampler, seed: int
    ) -> None:
        self._optuna = _load()
        self._space = {name: self._distribution(item) for name, item in space.items()}
        self._items = space
        self._direction = direction
        self._sampler: Sampler = sampler
        self._seed = seed

    def choose(self, number: int, ended: Sequence[TrialEnded]) -> Chosen:
        """Return a trial's parameters, given the trials that ended before."""
        with _silent(self._optuna):
            study = self._study(number, ended)
            chosen = study.ask(fixed_distributions=self._space).params
        return {name: _plain(chosen[name], item) for name, item in self._items.items()}

    def watch(self, number: int, parameters: Chosen, ended: Sequence[TrialEnded]) -> Watch:
        """Follow a trial, and compare it with those that ended before."""
        with _silent(self._optuna):
            study = self._study(number, ended)
            study.enqueue_trial(parameters)
            return _Pruned(study.ask(fixed_distributions=self._space))

    def _study(self, number: int, ended: Sequence[TrialEnded]) -> Any:  # noqa: ANN401  # no types
        digest = sha256_hex(str(self._seed).encode(), str(number).encode())
        seed = int(digest[:8], 16)
        samplers = self._optuna.samplers
        kind = samplers.TPESampler if self._sampler == "tpe" else samplers.RandomSampler
        study = self._optuna.create_study(
            direction=self._direction,
            sampler=kind(seed=seed),
            pruner=self._optuna.pruners.MedianPruner(n_startup_trials=_FEWEST),
        )
        in_order = sorted(ended, key=lambda trial: trial.number)
        study.add_trials([self._frozen(trial) for trial in in_order])
        return study

    def _frozen(self, ended: TrialEnded) -> Any:  # noqa: ANN401  # the same
        states = self._optuna.trial.TrialState
        state = {"done": states.COMPLETE, "stopped": states.PRUNED, "failed": states.FAIL}
        return self._optuna.trial.create_trial(
            state=state[ended.state],
            params=ended.parameters,
            distributions=self._space,
            value=ended.value,
            intermediate_values=dict(ended.reports),
        )

    def _distribution(self, item: Parameter) -> Any:  # noqa: ANN401  # the same
        kinds = self._optuna.distributions
        if isinstance(item, Numbers):
            return kinds.FloatDistribution(item.low, item.high, log=item.is_log)
        if isinstance(item, Integers):
            return kinds.IntDistribution(item.low, item.high, log=item.is_log)
        return kinds.CategoricalDistribution(item.options)


class _Pruned:
    """A trial of a study as the median pruner sees it."""

    def __init__(self, trial: Any) -> None:  # noqa: ANN401  # Optuna's
        self._trial = trial

    def report(self, value: float, step: int) -> None:
        self._trial.report(value, step)

    def should_stop(self) -> bool:
        return bool(self._trial.should_prune())


def _plain(value: Any, item: Parameter) -> Option:  # noqa: ANN401  # Optuna's
    """Return a chosen value as what can be stored; at the ends of a range it may be NumPy's."""
    if isinstance(item, Options):
        return cast("Option", value)
    kind = int if isinstance(item, Integers) else float
    return min(max(kind(value), kind(item.low)), kind(item.high))


def _load() -> Any:  # noqa: ANN401  # a module
    try:
        return import_module("optuna")
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise Unsupported(
            "a search needs Optuna, which is not installed",
            code="no-optuna",
            hint=f"Install it: {sys.executable} -m pip install 'trivet[search]'.",
        ) from error


@contextmanager
def _silent(optuna: Any) -> Generator[None]:  # noqa: ANN401  # a module
    """Keep Optuna from announcing every study, and NumPy from what Optuna rounds to nothing."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with import_module("numpy").errstate(all="ignore"):
            yield
    finally:
        optuna.logging.set_verbosity(before)
