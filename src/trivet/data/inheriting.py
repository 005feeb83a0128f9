"""What a version of data inherits from what it was made from."""

from collections.abc import Iterable

from trivet.core.facts import read
from trivet.core.ports import Ledger
from trivet.data.facts import DataCommit


def is_made_up(ledger: Ledger, parents: Iterable[str]) -> bool:
    """Walk from the parents to the nearest data commits, and see whether one was made up."""
    waiting = list(parents)
    seen: set[str] = set()
    while waiting:
        identifier = waiting.pop()
        if identifier in seen:
            continue
        seen.add(identifier)
        entry = ledger.get(identifier)
        if entry is None:
            continue  # the commit will say that it does not exist
        if entry.kind != DataCommit.KIND:
            waiting.extend(entry.parents)
        elif entry.payload is not None and read(entry, DataCommit).synthetic:
            return True
    return False
