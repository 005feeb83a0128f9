"""Trainings of XGBoost that report by themselves: each iteration, and what came of it."""

from typing import Any, Final

from trivet.core.training import Call, Finished, Reporter, Watch, harmless

_KEYWORD_ONLY: Final = 1_000
"""Behind every position: `callbacks` has none."""
_ROUNDS: Final = 2


class XGBoostAutologger:
    """Watches `train` and `cv`, also as the scikit-learn classes call them."""

    library = "xgboost"

    def attach(self, watch: Watch) -> None:
        also = ("xgboost", "xgboost.sklearn")
        watch.function("xgboost.training:train", _train, also=also, inner="xgboost")
        watch.function("xgboost.training:cv", _cv, also=also)


def xgboost_callback(run: Reporter) -> Any:
    """Make what XGBoost calls after each iteration.

    Raises:
        ImportError: XGBoost is not installed.
    """
    from xgboost.callback import TrainingCallback

    class Reporting(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            _tell(run, epoch, evals_log)
            return False  # go on

    return Reporting()


@harmless
def _tell(run: Reporter, epoch: int, evals_log: Any) -> None:
    metrics: dict[str, float] = {}
    for data, measures in evals_log.items():
        for name, values in measures.items():
            metrics |= _named(f"{data}/{name}", values[-1])
    if metrics:
        run.log(metrics, step=epoch)


def _named(name: str, value: Any) -> dict[str, float]:
    """Name a value; that of a cross-validation comes with its spread."""
    if hasattr(value, "__len__"):
        return {name: float(value[0]), f"{name}_std": float(value[1])}
    return {name: float(value)}


def _train(run: Reporter, call: Call) -> Finished:
    _begin(run, call, "train")

    def finished(booster: Any) -> None:
        best = booster.attr("best_iteration")
        if best is not None:
            run.log({"best_iteration": int(best)})
        try:
            gain = booster.get_score(importance_type="gain")
        except ValueError:  # a linear booster has no gain
            gain = booster.get_score(importance_type="weight")
        if gain:
            run.table(
                "feature_importance", {"feature": list(gain), "importance": list(gain.values())}
            )

    return finished


def _cv(run: Reporter, call: Call) -> None:
    _begin(run, call, "cv")


def _begin(run: Reporter, call: Call, function: str) -> None:
    if not call.is_inner:
        given = dict(call.argument(0, "params") or {})
        rounds = call.argument(_ROUNDS, "num_boost_round")
        if rounds is not None:
            given.setdefault("num_boost_round", rounds)
        run.set_tags({"estimator_name": f"xgboost.{function}"})
        run.set_parameters({name: str(value) for name, value in given.items()})
    call.add(_KEYWORD_ONLY, "callbacks", xgboost_callback(run))
