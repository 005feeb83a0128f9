"""Flyte 2 in its local mode, with its local cache.

It is loaded only in the process that asks it: it begins threads, and those do not survive a fork.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any


def perform(place: Path, compute: Callable[[Any], Any], argument: Any) -> Any:
    """Answer by the cache of a project, as a process that starts anew does."""
    import flyte

    (name,) = inspect.signature(compute).parameters
    compute.__annotations__.update({name: type(argument), "return": Any})
    flyte.init()
    called = flyte.TaskEnvironment(name=place.name).task(cache="auto")(compute)
    return flyte.with_runcontext(mode="local").run(called, **{name: argument}).outputs().o0
