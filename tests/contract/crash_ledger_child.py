"""The command that the crash tests of the ledger end violently.

python crash_ledger_child.py FOLDER COMMITS [normal|soon|later]: two threads write numbered batches
and print `THREAD NUMBER` when one is acknowledged. `normal` switches the sync of each commit off
behind the ledger's back; `soon` asks for commits that do not wait for the disk; `later` does, too,
and prints only once the 200 ms are over within which they may be lost to a power cut.
"""

import os
import sys
import threading
from collections import deque
from pathlib import Path
from time import monotonic

from trivet.adapters.sqlite import connection
from trivet.adapters.sqlite.database import Database, open_database
from trivet.core.catalog import Amendment
from trivet.core.facts import Fact, HeadMove, Scope, TaskNew, ViewPut, draft
from trivet.core.ports import View

SCOPE = Scope(project="crash", actor="child")
PARTS = 3
PROMISE_S = 0.2
ROWS = View(name="rows", columns={"key": "text", "number": "integer"}, key=("key",))


class Part(Fact, frozen=True, kw_only=True):
    """One of the facts of a numbered batch."""

    KIND = "crash.part"
    INDEXED = ("batch",)

    batch: str
    part: int
    text: str = "x" * 300


def say(line: str) -> None:
    """Print a line in one piece: two threads speak."""
    os.write(1, f"{line}\n".encode())


def write(database: Database, thread: str, commits: int, options: tuple[str, ...]) -> None:
    """Commit numbered batches: facts, a head, a task, a row and documents each."""
    synced = not {"soon", "later"}.intersection(options)
    waiting: deque[tuple[float, str]] = deque()
    last = None
    for number in range(commits):
        name = f"{thread} {number}"
        facts = [draft(Part(batch=name, part=part)) for part in range(PARTS)]
        batch = SCOPE.batch(
            name,
            facts,
            heads=[HeadMove(name=thread, to=facts[-1].id, expect=last)],
            tasks=[TaskNew(key=name, queue=thread, body=b"")],
            rows=[ViewPut(view=ROWS.name, row={"key": name, "number": number})],
            documents=[
                Amendment(collection="batches", id=name, group=thread, set={"number": number}),
                Amendment(collection="newest", id=thread, group="all", set={"number": number}),
            ],
        )
        database.ledger.commit(batch, synced=synced)
        last = facts[-1].id
        waiting.append((monotonic() + (PROMISE_S if "later" in options else 0.0), name))
        while waiting and monotonic() >= waiting[0][0]:
            say(waiting.popleft()[1])


def main(folder: str, commits: str, *options: str) -> None:
    """Open the ledger, say so, and write."""
    if "normal" in options:
        prepare = connection._prepare_writer

        def careless(opened: connection.apsw.Connection) -> None:
            prepare(opened)
            connection.pragma(opened, "synchronous", "normal")

        connection._prepare_writer = careless
    with open_database(Path(folder) / "ledger") as database:
        database.views.declare(ROWS)
        say("ready")
        threads = [
            threading.Thread(target=write, args=(database, name, int(commits), options))
            for name in "ab"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
