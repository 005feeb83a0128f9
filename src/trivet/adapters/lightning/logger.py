"""A logger for the trainer of Lightning."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, cast

from trivet.core.training import Reporter


def lightning_logger(run: Reporter) -> Any:
    """Make a logger, of `lightning` or `pytorch_lightning`, whichever the program has loaded.

    Only rank 0 reports. The run is ended by whoever began it.

    Raises:
        ImportError: Neither is installed.
    """
    loggers, rank_zero_only = _library()

    class RunLogger(loggers.Logger):
        @property
        def name(self) -> str:
            return "trivet"

        @property
        def version(self) -> str:
            return run.id

        @property
        def experiment(self) -> Reporter:
            return run

        @rank_zero_only
        def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
            # A mapping, or a namespace of arguments.
            asked = cast("Any", params if hasattr(params, "keys") else vars(params))
            run.set_parameters({str(name): value for name, value in asked.items()})

        @rank_zero_only
        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            run.log(metrics, step=step)

    return RunLogger()


def _library() -> tuple[Any, Any]:
    names = ("lightning.pytorch", "pytorch_lightning")
    name = next((name for name in names if name in sys.modules), None)
    for each in (name,) if name else names:
        try:
            loggers = import_module(f"{each}.loggers")
            ranks = import_module(f"{each}.utilities.rank_zero")
        except ModuleNotFoundError:
            continue
        return loggers, ranks.rank_zero_only
    raise ImportError("neither lightning nor pytorch_lightning can be imported")
