"""Trainings of LightGBM that report by themselves: each iteration, and what came of it."""

from typing import Any, Final

from trivet.core.training import Call, Finished, Reporter, Watch, harmless

_AFTER_THE_LIBRARY: Final = 25
"""Behind the library's own records (20), before early stopping (30), which ends an iteration."""
_CALLBACKS: Final = {"train": 8, "cv": 15}


class LightGBMCallback:
    """What LightGBM calls after each iteration.

    Args:
        run: Where the metrics go.
    """

    order = _AFTER_THE_LIBRARY
    before_iteration = False

    def __init__(self, run: Reporter) -> None:
        self._run = run

    @harmless
    def __call__(self, env: Any) -> None:
        results = env.evaluation_result_list or ()
        metrics = {f"{data}/{name}": value for data, name, value, *_ in results}
        # Those of a cross-validation come with their spread.
        metrics |= {f"{row[0]}/{row[1]}_std": row[4] for row in results if len(row) > 4}
        if metrics:
            self._run.log(metrics, step=env.iteration)


class LightGBMAutologger:
    """Watches `train` and `cv`, also as the scikit-learn classes call them."""

    library = "lightgbm"

    def attach(self, watch: Watch) -> None:
        also = ("lightgbm", "lightgbm.sklearn")
        watch.function("lightgbm.engine:train", _train, also=also, inner="lightgbm")
        watch.function("lightgbm.engine:cv", _cv, also=also)


def _train(run: Reporter, call: Call) -> Finished:
    _begin(run, call, "train")

    def finished(booster: Any) -> None:
        if booster.best_iteration > 0:
            run.log({"best_iteration": booster.best_iteration})
        run.table(
            "feature_importance",
            {
                "feature": booster.feature_name(),
                "gain": booster.feature_importance("gain").tolist(),
                "split": booster.feature_importance("split").tolist(),
            },
        )

    return finished


def _cv(run: Reporter, call: Call) -> None:
    _begin(run, call, "cv")


def _begin(run: Reporter, call: Call, function: str) -> None:
    if not call.is_inner:
        given = dict(call.argument(0, "params") or {})
        rounds = call.argument(2, "num_boost_round")
        if rounds is not None:
            given.setdefault("num_boost_round", rounds)
        run.set_tags({"estimator_name": f"lightgbm.{function}"})
        run.set_parameters({name: _plain(value) for name, value in given.items()})
    call.add(_CALLBACKS[function], "callbacks", LightGBMCallback(run))


def _plain(value: object) -> str:
    if callable(value):
        return str(getattr(value, "__qualname__", type(value).__qualname__))
    return str(value)
