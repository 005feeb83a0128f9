"""redun on SQLite, its usual local setting: a database in the project's folder."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redun import Scheduler, task
from redun.config import Config
from sqlalchemy import text

from benchmarks.peers.reading import sqlite_durability

logging.disable(logging.CRITICAL)


@task(namespace="bench")
def trivial(number: int, salt: int) -> int:
    return number + salt


@task(namespace="bench", cache=False)
def many(count: int, salt: int) -> list[int]:
    return [trivial(number, salt) for number in range(count + 1)]


class Subject:
    """One scheduler."""

    def __init__(self, folder: Path) -> None:
        self._scheduler = scheduler_of(folder)

    def run(self, count: int, salt: int) -> None:
        self._scheduler.run(many(count, salt))

    def durability(self) -> str:
        with self._scheduler.backend.engine.connect() as connection:
            return sqlite_durability(connection, text)


def scheduler_of(folder: Path) -> Scheduler:
    settings = {"backend": {"db_uri": f"sqlite:///{folder}/redun.db"}, "scheduler": {}}
    made = Scheduler(config=Config(settings))
    made.load()
    return made


def perform(place: Path, compute: Callable[[Any], Any], argument: Any) -> Any:
    """Answer by the cache of a project, as a process that starts anew does."""
    return scheduler_of(place).run(task(name="compute", namespace="bench")(compute)(argument))
