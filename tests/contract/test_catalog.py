import math
import random
from pathlib import Path

import apsw
import pytest

from trivet.adapters.sqlite.database import FILE_NAME, open_database
from trivet.core.catalog import Amendment, Value
from trivet.core.ports import Damage
from trivet.testing.contracts.catalog import CatalogContract
from trivet.testing.memory_ledger import MemoryDatabase, memory_database


def in_memory(folder: Path) -> MemoryDatabase:
    return memory_database()


class TestMemoryCatalog(CatalogContract):
    open_stores = staticmethod(in_memory)
    is_persistent = False


class TestSqliteCatalog(CatalogContract):
    open_stores = staticmethod(open_database)


def any_change(source: random.Random) -> Amendment:
    """A change of one of many documents, by which attributes come, change their type, and go."""
    values: list[Value] = [source.random(), math.nan, "short", "long " * 100, f"{source.random()}"]
    name = f"a{source.randrange(5)}"
    return Amendment(
        collection="runs",
        id=f"{source.randrange(400)}",
        group=f"group {source.randrange(3)}",
        set={f"b{source.randrange(5)}": source.choice(values)},
        drop=(name,) if source.random() < 0.5 else (),
    )


@pytest.mark.parametrize("seed", range(3))
def test_columns_agree_with_documents_whatever_was_done(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    with open_database(tmp_path) as database:
        for _ in range(20):
            changes = [any_change(source) for _ in range(source.randrange(1, 120))]
            gone = [
                Amendment(collection="runs", id=f"{source.randrange(400)}", remove=True)
                for _ in range(source.randrange(20))
            ]
            batch = changes + gone
            source.shuffle(batch)
            database.catalog.write(batch)
        assert not [found for found in database.ledger.verify() if isinstance(found, Damage)]


def test_an_amendment_writes_the_columns_that_it_changes_and_no_others(tmp_path: Path) -> None:
    metrics = {f"m{number}": 1.0 for number in range(50)}
    with open_database(tmp_path) as database:
        database.catalog.write([Amendment(collection="runs", id="a", group="g", set=metrics)])
        connection = apsw.Connection(str(tmp_path / FILE_NAME), vfs="cksmvfs")
        connection.execute(
            "CREATE TABLE touched (place); CREATE TRIGGER touch AFTER UPDATE ON cells "
            "BEGIN INSERT INTO touched VALUES (new.place); END"
        )
        same = Amendment(collection="runs", id="a", set=metrics)
        database.catalog.write([same])
        assert connection.execute("SELECT count(*) FROM touched").fetchall() == [(0,)]
        database.catalog.write([Amendment(collection="runs", id="a", set={**metrics, "m7": 2.0})])
        assert connection.execute("SELECT count(*) FROM touched").fetchall() == [(1,)]
        connection.close()
