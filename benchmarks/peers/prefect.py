"""Prefect with the server it starts by itself, on SQLite; results are kept in files."""

from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE


@task(cache_policy=INPUTS + TASK_SOURCE, persist_result=True)
def trivial(number: int, salt: int) -> int:
    return number + salt


@flow
def many(count: int, salt: int) -> None:
    for number in range(count + 1):
        trivial(number, salt)


class Subject:
    """A temporary server, started by the first flow."""

    def __init__(self, folder: Path) -> None:
        many(0, -1)

    def run(self, count: int, salt: int) -> None:
        many(count, salt)

    def durability(self) -> str:
        return "values in files, unsynced; states reach the server's SQLite some time later"
