from pathlib import Path

from trivet.adapters.sqlite.database import open_database
from trivet.testing.contracts.catalog import CatalogContract
from trivet.testing.memory_ledger import MemoryDatabase, memory_database


def in_memory(folder: Path) -> MemoryDatabase:
    return memory_database()


class TestMemoryCatalog(CatalogContract):
    open_stores = staticmethod(in_memory)
    is_persistent = False


class TestSqliteCatalog(CatalogContract):
    open_stores = staticmethod(open_database)
