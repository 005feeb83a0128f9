from pathlib import Path

from trivet.adapters.sqlite.database import open_database
from trivet.testing.contracts.views import ViewsContract
from trivet.testing.memory_ledger import MemoryDatabase, memory_database


def in_memory(folder: Path) -> MemoryDatabase:
    return memory_database()


class TestMemoryViews(ViewsContract):
    open_stores = staticmethod(in_memory)
    is_persistent = False


class TestSqliteViews(ViewsContract):
    open_stores = staticmethod(open_database)
