"""Several processes at once, started fresh, as the contract suites need them."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

PROCESSES = 4


def run_together(task: Callable[..., T], arguments: Sequence[tuple[Any, ...]]) -> list[T]:
    """Run `task` once per tuple of arguments, each in a fresh process, all at the same time.

    The processes are spawned, not forked: nothing that is open here is inherited. Task and
    arguments must therefore be importable by name.

    Raises:
        Exception: Whatever the first failing task raised.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=len(arguments), mp_context=context) as pool:
        return [running.result() for running in [pool.submit(task, *one) for one in arguments]]
