from pathlib import Path

from trivet.adapters.sqlite.database import open_database
from trivet.testing.contracts.ledger import LedgerContract
from trivet.testing.memory_ledger import MemoryDatabase, memory_database


def in_memory(folder: Path) -> MemoryDatabase:
    return memory_database()


class TestMemoryLedger(LedgerContract):
    open_stores = staticmethod(in_memory)
    is_persistent = False


class TestSqliteLedger(LedgerContract):
    open_stores = staticmethod(open_database)
