from pathlib import Path

from trivet.adapters.sqlite.database import open_database
from trivet.testing.contracts.journal import JournalContract
from trivet.testing.memory_ledger import MemoryDatabase, memory_database


def in_memory(folder: Path) -> MemoryDatabase:
    return memory_database()


class TestMemoryJournal(JournalContract):
    open_stores = staticmethod(in_memory)
    is_persistent = False


class TestSqliteJournal(JournalContract):
    open_stores = staticmethod(open_database)
