"""What Keras calls while it trains."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from trivet.core.training import Reporter, harmless


def keras_callback(run: Reporter) -> Any:
    """Make a callback: each epoch's metrics and learning rate, and what was asked for.

    Raises:
        ImportError: Keras is not installed.
    """
    library: Any = import_module("keras")

    class Reporting(library.callbacks.Callback):
        @harmless
        def on_train_begin(self, logs: Any = None) -> None:
            optimizer = getattr(self.model, "optimizer", None)
            params: dict[str, Any] = self.params or {}
            asked = {k: x for k, x in params.items() if x is not None and k != "verbose"}
            if self.model.built:
                asked["model/parameters"] = self.model.count_params()
            if optimizer is not None:
                asked["optimizer"] = type(optimizer).__name__
            run.set_parameters(asked)

        @harmless
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            metrics = {name: float(value) for name, value in (logs or {}).items()}
            optimizer = getattr(self.model, "optimizer", None)
            if optimizer is not None and "learning_rate" not in metrics:
                metrics["learning_rate"] = float(optimizer.learning_rate)
            run.log(metrics, step=epoch)

    return Reporting()
