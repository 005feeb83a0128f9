"""ZenML with its default local stack: SQLite, files, steps in process."""

import importlib
from pathlib import Path

from sqlalchemy import text
from zenml import pipeline, step
from zenml.client import Client

from benchmarks.peers.reading import sqlite_durability

PRELUDE = "from zenml import pipeline, step\n"
STEP = "@step(enable_cache=True)\n"
FLOW = """
@pipeline(enable_cache=True)
def main(seed: int):
    answer(seed)
"""
FLOW_WITH_FILE = """
@pipeline(enable_cache=True)
def main(seed: int):
    answer(seed, "data.csv")
"""


@step(enable_cache=True)
def trivial(number: int, salt: int) -> int:
    return number + salt


@pipeline(enable_cache=True)
def many(count: int, salt: int) -> None:
    for number in range(count + 1):
        trivial(number, salt)


class Subject:
    """One client."""

    def __init__(self, folder: Path) -> None:
        self._client = Client()

    def run(self, count: int, salt: int) -> None:
        many(count, salt)

    def durability(self) -> str:
        with self._client.zen_store.engine.connect() as connection:
            return f"{sqlite_durability(connection, text)}; values in files, unsynced"


def perform(place: Path, seed: int) -> None:
    importlib.import_module("pipeline").main(seed)
