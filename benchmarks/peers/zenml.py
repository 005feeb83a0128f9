"""ZenML with its default local stack: SQLite, files, steps in process."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text
from zenml import pipeline, step
from zenml.client import Client
from zenml.utils import source_utils

from benchmarks.peers.reading import sqlite_durability

PIPELINE = """
from zenml import pipeline, step


@step(enable_cache=True)
def trivial(number: int, salt: int) -> int:
    return number + salt


@pipeline(enable_cache=True)
def many(count: int, salt: int):
    for number in range(count + 1):
        trivial(number, salt)
"""


class Subject:
    """One client, and a pipeline in the folder that ZenML takes for the root of the sources."""

    def __init__(self, folder: Path) -> None:
        (folder / "many_steps.py").write_text(PIPELINE, "utf-8")
        sys.path.insert(0, str(folder))
        source_utils.set_custom_source_root(str(folder))
        self._many = importlib.import_module("many_steps").many

    def run(self, count: int, salt: int) -> None:
        self._many(count, salt)

    def durability(self) -> str:
        with Client().zen_store.engine.connect() as connection:
            return f"{sqlite_durability(connection, text)}; values in files, unsynced"


def perform(place: Path, compute: Callable[[Any], Any], argument: Any) -> Any:
    """Answer by the cache of a project, as a process that starts anew does."""
    source_utils.set_custom_source_root(str(place))
    compute.__annotations__["return"] = Any
    called = step(enable_cache=True)(compute)
    sys.modules[compute.__module__].compute = called  # where ZenML looks for it

    @pipeline(name=place.name, enable_cache=True)
    def main() -> None:
        called(argument)

    return main().steps["compute"].output.load()
