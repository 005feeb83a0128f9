"""Hooks upon an optimiser: nothing of PyTorch is replaced."""

from collections.abc import Iterator
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from trivet.core.errors import Invalid
from trivet.core.training import Reporter, harmless


class TorchHooks:
    """Watches models and their optimisers.

    Args:
        run: Where it is reported.
    """

    def __init__(self, run: Reporter) -> None:
        self._run = run

    def watch(self, model: Any, optimizer: Any = None, *, every: int = 100) -> "Watched":
        """Report a model's size, and at every so many steps of its optimiser gradients and rates.

        The norm of all gradients is taken as the optimiser meets them: clipped when they were
        clipped, scaled when a gradient scaler has not unscaled them.

        Args:
            model: A `torch.nn.Module`.
            optimizer: Its `torch.optim.Optimizer`; None: only the size is reported.
            every: Steps between reports, at least 1. Each waits for the device once.

        Returns:
            What takes the hook away, by `remove` or as a context manager.

        Raises:
            Invalid: The model is none, or the number of steps.
        """
        if not callable(getattr(model, "named_parameters", None)):
            raise Invalid(
                f"model is a {type(model).__name__}; expected a torch.nn.Module", code="no-model"
            )
        if every < 1:
            raise Invalid(f"every is {every}; expected at least 1", code="bad-every")
        sizes = [(each.numel(), each.requires_grad) for each in model.parameters()]
        size = {
            "model/class": type(model).__qualname__,
            "model/parameters": sum(count for count, _ in sizes),
            "model/trainable_parameters": sum(count for count, learns in sizes if learns),
        }
        if optimizer is not None:
            size["optimizer/class"] = type(optimizer).__qualname__
        self._run.set_parameters(size)
        return Watched(self._run, model, optimizer, every)


class Watched:
    """A model under watch."""

    def __init__(self, run: Reporter, model: Any, optimizer: Any, every: int) -> None:
        self._run = run
        self._model = model
        self._every = every
        self._steps = 0
        hook = None if optimizer is None else optimizer.register_step_pre_hook(self._step)
        self._hook: Any = hook

    def remove(self) -> None:
        """Take the hook away. A second call does nothing."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    @harmless
    def _step(self, optimizer: Any, _args: Any, _kwargs: Any) -> None:
        if self._steps % self._every == 0:
            metrics = dict(_rates(optimizer))
            norm = _norm(each.grad for each in self._model.parameters())
            if norm is not None:
                metrics["gradients/norm"] = norm
            self._run.log(metrics, step=self._steps)
        self._steps += 1


def _rates(optimizer: Any) -> Iterator[tuple[str, float]]:
    groups = optimizer.param_groups
    for number, group in enumerate(groups):
        name = "learning_rate" if len(groups) == 1 else f"learning_rate/{number}"
        yield name, float(group["lr"])


def _norm(gradients: Iterator[Any]) -> float | None:
    """Return the Euclidean norm of all gradients together, None when there are none."""
    library: Any = import_module("torch")
    norms: dict[Any, list[Any]] = {}
    for gradient in gradients:
        if gradient is not None:
            norms.setdefault(gradient.device, []).append(gradient.detach().float().norm())
    if not norms:
        return None
    parts = [float(library.stack(on_device).norm()) for on_device in norms.values()]
    return sum(part**2 for part in parts) ** 0.5
