"""Dagster in process over an SQLite instance: an op per step, a job per count. It skips nothing."""

from functools import cache
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, job, op


@op
def trivial() -> int:
    return 1


@cache
def job_of(count: int) -> Any:
    @job(name=f"many_{count}")
    def many() -> None:
        for number in range(count + 1):
            trivial.alias(f"step_{number}")()

    return many


class Subject:
    """One instance."""

    def __init__(self, folder: Path) -> None:
        (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", "utf-8")
        self._instance = DagsterInstance.from_config(str(folder))

    def run(self, count: int, salt: int) -> None:
        assert job_of(count).execute_in_process(instance=self._instance).success

    def durability(self) -> str:
        return "SQLite, WAL, synchronous as SQLite's default (FULL); an event per change"
