"""DBOS on SQLite: a workflow whose steps are checkpointed one by one. It has no cache."""

from pathlib import Path

from dbos import DBOS
from dbos import _dbos as inside
from sqlalchemy import text

from benchmarks.peers.reading import sqlite_durability


@DBOS.step()
def trivial(number: int, salt: int) -> int:
    return number + salt


@DBOS.workflow()
def many(count: int, salt: int) -> None:
    for number in range(count + 1):
        trivial(number, salt)


class Subject:
    """One launched instance."""

    def __init__(self, folder: Path) -> None:
        database = f"sqlite:///{folder}/dbos.db"
        DBOS(
            config={
                "name": "bench",
                "system_database_url": database,
                "run_admin_server": False,
                "log_level": "ERROR",
            }
        )
        DBOS.launch()

    def run(self, count: int, salt: int) -> None:
        many(count, salt)

    def durability(self) -> str:
        with inside._get_dbos_instance()._sys_db.engine.connect() as connection:
            return sqlite_durability(connection, text)
