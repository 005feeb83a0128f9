"""What the trainer of transformers calls while it trains."""

import numbers
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from trivet.core.training import Reporter, harmless


def transformers_callback(run: Reporter) -> Any:
    """Make a callback: what the trainer logs, and what was asked for. Only rank 0 reports.

    Raises:
        ImportError: transformers is not installed.
    """
    library: Any = import_module("transformers")

    class Reporting(library.TrainerCallback):
        @harmless
        def on_train_begin(
            self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
        ) -> None:
            if not state.is_world_process_zero:
                return
            # Its own words for what may be shown: keys of services are taken out.
            asked = args.to_sanitized_dict()
            if model is not None:
                asked["model/class"] = type(model).__name__
                asked["model/parameters"] = sum(each.numel() for each in model.parameters())
            run.set_parameters({name: x for name, x in asked.items() if x is not None})

        @harmless
        def on_log(
            self,
            args: Any,
            state: Any,
            control: Any,
            logs: Mapping[str, Any] | None = None,
            **_: Any,
        ) -> None:
            if not state.is_world_process_zero:
                return
            found = (logs or {}).items()
            metrics = {_named(name): x for name, x in found if isinstance(x, numbers.Real)}
            if metrics:
                run.log(metrics, step=state.global_step)

    return Reporting()


def _named(name: str) -> str:
    for part in ("eval", "test", "train"):
        if name.startswith(f"{part}_"):
            return f"{part}/{name.removeprefix(part + '_')}"
    return name
