"""redun on SQLite, its usual local setting: a database in the project's folder."""

import importlib
import logging
from pathlib import Path

from redun import Scheduler, task
from redun.config import Config
from sqlalchemy import text

from benchmarks.peers.reading import sqlite_durability

PRELUDE = "from redun import File, task\n\nredun_namespace = 'bench'\n"
STEP = "@task()\n"
FLOW = """
@task(cache=False)
def main(seed: int):
    return answer(seed)
"""
FLOW_WITH_FILE = """
@task(cache=False)
def main(seed: int):
    return answer(seed, File("data.csv"))
"""

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


def perform(place: Path, seed: int) -> None:
    scheduler_of(place).run(importlib.import_module("pipeline").main(seed))
