import pytest

from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.testing.memory_ledger import memory_database
from trivet.testing.memory_stores import MemoryBlobs, MemoryLog, MemorySeries, MemoryTables


@pytest.fixture
def stores() -> Stores:
    database = memory_database()
    return Stores(
        ledger=database.ledger,
        journal=database.journal,
        views=database.views,
        series=MemorySeries(),
        blobs=MemoryBlobs(),
        tables=MemoryTables(),
        log=MemoryLog(),
    )


@pytest.fixture
def scope() -> Scope:
    return Scope(project="flights", actor="ada")
