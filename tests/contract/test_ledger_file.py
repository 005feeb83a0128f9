"""The ledger's file: its format, its making, its neighbours, its copies, and a disk that fails."""

import os
import re
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from trivet.adapters.sqlite import database as made
from trivet.adapters.sqlite.connection import load_queries
from trivet.adapters.sqlite.database import FILE_NAME, Database, migrations, open_database
from trivet.core.errors import Conflict, Invalid, Unavailable, Unsupported
from trivet.core.facts import Draft, Fact, Scope, TaskNew, draft, read
from trivet.core.ports import Damage, View
from trivet.testing.crash import missing_for_syscalls, syscall_sweep
from trivet.testing.processes import PROCESSES, run_together

SCOPE = Scope(project="shop", actor="ada")


class Note(Fact, frozen=True, kw_only=True):
    KIND = "file.note"
    INDEXED = ("about",)

    about: str


def note(about: str = "tea") -> Draft:
    return draft(Note(about=about))


def damage(database: Database) -> list[Damage]:
    return [item for item in database.ledger.verify() if isinstance(item, Damage)]


def python(program: str, *arguments: str, prefix: tuple[str, ...] = ()) -> list[str]:
    """Run a program in a fresh process; return the lines it prints."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", textwrap.dedent(program), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    return done.stdout.splitlines()


def failing(call: str, error: str, number: int | str) -> tuple[str, ...]:
    """The words before a command that let one system call fail, or from `1+` on all of them."""
    inject = f"inject={call}:error={error}:when={number}"
    return ("strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", inject, "--")


# ------------------------------------------------------------------ texts


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9")
    with open_database(tmp_path) as database, pytest.raises(Invalid, match=r"has '\\udce9', which"):
        database.ledger.head("shop", odd)
    with pytest.raises(Invalid, match=r"the path '.*\\udce9.*' is no UTF-8"):
        open_database(tmp_path / odd)


# ------------------------------------------------------------------ format


def shape(connection: apsw.Connection) -> set[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    # A column that was added stands in the text without the file's line breaks.
    return {
        tuple(re.sub(r"\s*([(),])\s*|\s+", r" \1", str(value)) for value in row) for row in rows
    }


def test_the_schema_is_where_the_migrations_lead() -> None:
    whole, led = apsw.Connection(":memory:"), apsw.Connection(":memory:")
    whole.execute((made._HERE / "schema.sql").read_text(encoding="utf-8"))
    for script in migrations():
        led.execute(script.read_text(encoding="utf-8"))
    assert shape(whole) == shape(led)
    numbers = [int(script.name[:4]) for script in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {script.name[5:].split("_")[0] for script in migrations()} <= {"pre", "post"}


def test_queries_are_told_apart_by_their_names() -> None:
    text = "-- a comment\n-- name: one\nSELECT 1;\n\n-- name: two\nSELECT\n2; -- more\n"
    assert load_queries(text) == {"one": "SELECT 1;", "two": "SELECT\n2;"}


def test_a_file_of_a_newer_trivet_is_refused_with_advice(tmp_path: Path) -> None:
    open_database(tmp_path).close()
    connection = apsw.Connection(str(tmp_path / FILE_NAME), vfs="cksmvfs")
    connection.pragma("user_version", 999)
    connection.close()
    with pytest.raises(Unsupported, match="newer Trivet") as caught:
        open_database(tmp_path)
    assert "pip install --upgrade" in caught.value.hint


def test_an_older_file_is_led_to_the_newest_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_database(tmp_path / "ledger") as database:
        database.ledger.commit(SCOPE.batch("before", [note()]))
    newest = len(migrations()) + 1
    more = tmp_path / f"{newest:04}_pre_more.sql"
    more.write_text("CREATE TABLE more (x INTEGER) STRICT;")
    scripts = [*migrations(), more]
    monkeypatch.setattr(made, "migrations", lambda: scripts)
    for _ in range(2):
        with open_database(tmp_path / "ledger") as database:
            assert len(database.ledger.since(0)) == 1
            assert damage(database) == []
    connection = apsw.Connection(str(tmp_path / "ledger" / FILE_NAME), vfs="cksmvfs")
    assert connection.pragma("user_version") == newest
    connection.close()


def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / FILE_NAME))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    with pytest.raises(Invalid, match="not a Trivet ledger"):
        open_database(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == before


# ------------------------------------------------------------------ making


def test_files_belong_to_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "ledger"
    with open_database(folder) as database:
        database.ledger.commit(SCOPE.batch("r", [note()]))
        names = {path.name for path in folder.iterdir()}
        assert names == {FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", "anchors"}
        for path in folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def open_and_commit(folder: Path) -> int:
    with open_database(folder) as database:
        return database.ledger.commit(SCOPE.batch("r", [note()])).link


def test_four_processes_may_make_the_same_ledger_at_once(tmp_path: Path) -> None:
    links = run_together(open_and_commit, [(tmp_path / "ledger",)] * PROCESSES)
    assert sorted(links) == list(range(1, PROCESSES + 1))
    with open_database(tmp_path / "ledger") as database:
        assert damage(database) == []
    assert {path.name for path in (tmp_path / "ledger").iterdir()} == {FILE_NAME, "anchors"}


@pytest.mark.crash
def test_a_kill_while_the_file_is_made_leaves_none_or_a_whole_one(tmp_path: Path) -> None:
    if reason := missing_for_syscalls():
        pytest.skip(reason)
    program = "import sys; from trivet.adapters.sqlite.database import open_database as o;"
    program += "o(sys.argv[1]).close()"

    def usable(folder: Path, acknowledged: list[str]) -> None:
        with open_database(folder / "ledger") as database:
            database.ledger.commit(SCOPE.batch("r", [note()]))
            assert damage(database) == []

    report = syscall_sweep(
        lambda folder: [sys.executable, "-c", program, str(folder / "ledger")],
        usable,
        workplace=tmp_path,
        calls=("pwrite64", "fdatasync", "fsync", "link", "unlink", "mkdir", "ftruncate"),
        points=12 * int(os.environ.get("TRIVET_CRASH_ROUNDS", "1")),
    )
    assert report.crashes > 0


# ------------------------------------------------------------------ copies


def test_a_backup_is_one_state_while_writers_go_on(tmp_path: Path) -> None:
    with open_database(tmp_path / "ledger") as database:
        database.views.declare(View(name="v", columns={"a": "text"}, key=("a",)))
        database.views.put("v", [{"a": "row"}])
        over = threading.Event()

        def write() -> None:
            while not over.is_set():
                database.ledger.commit(SCOPE.batch("r", [note(), note()]))

        writer = threading.Thread(target=write)
        writer.start()
        while len(database.ledger.since(0)) < 20:
            pass
        database.backup(tmp_path / "copy")
        over.set()
        writer.join()
        entries = database.ledger.since(0)
    with open_database(tmp_path / "copy") as copy:
        copied = copy.ledger.since(0)
        assert copied == entries[: len(copied)]
        assert len(copied) >= 20
        assert len(copied) % 2 == 0
        assert copy.views.find("v") == ({"a": "row"},)
        assert damage(copy) == []
        copy.ledger.commit(SCOPE.batch("r", [note()]))


def test_a_backup_never_replaces_a_ledger(tmp_path: Path) -> None:
    with open_database(tmp_path / "ledger") as database:
        database.ledger.commit(SCOPE.batch("r", [note()]))
        database.backup(tmp_path / "copy")
        with pytest.raises(Conflict):
            database.backup(tmp_path / "copy")
        with pytest.raises(Conflict):
            database.backup(tmp_path / "ledger")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {FILE_NAME, "anchors"}


def test_forgotten_bytes_are_gone_from_every_file(tmp_path: Path) -> None:
    canary = "canary-" * 3
    with open_database(tmp_path) as database:
        fact = note(canary)
        database.ledger.commit(SCOPE.batch("r", [fact, note()]))
        database.ledger.commit(replace(SCOPE.batch("erase"), forget=(fact.id,)))
        database.ledger.commit(SCOPE.batch("r", [note()]))
    for path in tmp_path.iterdir():
        assert canary.encode() not in path.read_bytes(), path.name


# --------------------------------------------------------------- the writer


def test_concurrent_commits_share_transactions(tmp_path: Path) -> None:
    with open_database(tmp_path) as database:

        def write() -> None:
            for _ in range(15):
                database.ledger.commit(SCOPE.batch("r", [note()]))

        threads = [threading.Thread(target=write) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(database.ledger.verify())) == 16 * 15
    connection = apsw.Connection(str(tmp_path / FILE_NAME), vfs="cksmvfs")
    ((transactions,),) = connection.execute("SELECT commits FROM counter")
    connection.close()
    assert transactions < 16 * 15 / 2


def test_a_closed_ledger_says_so(tmp_path: Path) -> None:
    database = open_database(tmp_path)
    database.close()
    database.close()
    for action in (
        lambda: database.ledger.commit(SCOPE.batch("r", [note()])),
        lambda: database.ledger.since(0),
    ):
        with pytest.raises(Unavailable) as caught:
            action()
        assert caught.value.code == "closed"


def test_a_mistake_in_one_thread_s_batch_does_not_stop_the_writer(tmp_path: Path) -> None:
    with open_database(tmp_path) as database:
        broken = replace(note(), payload="not bytes")
        with pytest.raises(TypeError):
            database.ledger.commit(SCOPE.batch("r", [broken]))
        wrong = TaskNew(key="k", queue="q", body="not bytes")
        with pytest.raises(apsw.ConstraintError):
            database.ledger.commit(SCOPE.batch("r", [note()], tasks=[wrong]))
        assert database.ledger.commit(SCOPE.batch("r", [note()])).seq == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_is_told_to_open_its_own(tmp_path: Path) -> None:
    lines = python(
        """
        import os, sys
        from trivet.adapters.sqlite.database import open_database
        from trivet.core.errors import Unavailable
        from trivet.core.facts import Scope
        database = open_database(sys.argv[1])
        scope = Scope(project="shop", actor="ada")
        database.ledger.since(0)
        child = os.fork()
        if child == 0:
            for action in (lambda: database.ledger.since(0),
                           lambda: database.ledger.commit(scope.batch("r"))):
                try:
                    action()
                except Unavailable as error:
                    os.write(1, f"{error.code}\\n".encode())
            database.close()
            with open_database(sys.argv[1]) as own:
                own.ledger.commit(scope.batch("r"))
                os.write(1, b"own\\n")
            os._exit(0)
        os.waitpid(child, 0)
        database.ledger.commit(scope.batch("r"))
        database.close()
        print("parent")
        """,
        str(tmp_path),
    )
    assert lines == ["forked", "forked", "own", "parent"]


COMMITTING = """
    import sys
    from trivet.adapters.sqlite.database import open_database
    from trivet.core.errors import Unavailable
    from trivet.core.facts import Fact, Scope, draft
    class Note(Fact, frozen=True, kw_only=True):
        KIND = "file.note"
        about: str
    database = open_database(sys.argv[1])
    for number in range(6):
        batch = Scope(project="shop", actor="ada").batch("r", [draft(Note(about=str(number)))])
        try:
            database.ledger.commit(batch)
            print("ok")
        except Unavailable as error:
            print(error.code)
            assert error.hint
    database.close()
"""


def test_after_a_failed_sync_nothing_more_is_written(tmp_path: Path) -> None:
    if reason := missing_for_syscalls():
        pytest.skip(reason)
    open_database(tmp_path).close()
    lines = python(COMMITTING, str(tmp_path), prefix=failing("fdatasync", "EIO", 4))
    assert lines[0] == "ok"
    first = lines.index("write-failed")
    assert set(lines[first:]) == {"write-failed"}
    with open_database(tmp_path) as database:
        stored = [read(entry, Note).about for entry in database.ledger.since(0)]
        assert stored[:first] == [str(number) for number in range(first)]
        assert damage(database) == []
        database.ledger.commit(SCOPE.batch("after a restart", [note()]))


def test_a_full_disk_refuses_and_heals(tmp_path: Path) -> None:
    if reason := missing_for_syscalls():
        pytest.skip(reason)
    open_database(tmp_path).close()
    lines = python(COMMITTING, str(tmp_path), prefix=failing("pwrite64", "ENOSPC", 24))
    assert lines.count("disk-full") == 1
    assert lines.count("ok") == 5
    with open_database(tmp_path) as database:
        assert len(database.ledger.since(0)) == 5
        assert damage(database) == []


READING = """
    import gc
    import sys
    from pathlib import Path
    from trivet.adapters.sqlite.database import open_database
    from trivet.core.errors import Unavailable
    from trivet.core.facts import Fact, Scope, draft
    from trivet.core.ports import View
    class Note(Fact, frozen=True, kw_only=True):
        KIND = "file.note"
        about: str
    database = open_database(sys.argv[1])
    print(len(database.ledger.since(0)))
    database.views.declare(View(name="seen", columns={"n": "integer"}, key=("n",)))
    print(len(database.views.find("seen")))
    try:
        database.ledger.commit(
            Scope(project="shop", actor="ada").batch("r", [draft(Note(about="more"))])
        )
    except Unavailable as error:
        print(error.code)
    input()
    gc.collect()  # whatever a refused commit left behind lets go of the file now
    print(len(database.ledger.since(0)))
    database.close()
"""


def test_what_is_stored_can_be_read_on_a_disk_without_room_for_an_index(tmp_path: Path) -> None:
    if reason := missing_for_syscalls():
        pytest.skip(reason)
    with open_database(tmp_path) as database:
        database.ledger.commit(SCOPE.batch("first", [note(), note()]))
        database.views.declare(View(name="seen", columns={"n": "integer"}, key=("n",)))
        database.views.put("seen", [{"n": 1}])
    full = failing("pwrite64", "ENOSPC", "1+")
    with subprocess.Popen(
        [*full, sys.executable, "-c", textwrap.dedent(READING), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        said = [reader.stdout.readline().strip() for _ in range(3)]
        assert said == ["2", "1", "disk-full"]
        # Somebody makes room and writes: what is read from then on is not the old state.
        with open_database(tmp_path) as database:
            database.ledger.commit(SCOPE.batch("later", [note()]))
        reader.stdin.write("\n")
        reader.stdin.flush()
        assert reader.stdout.readline().strip() == "3"
    assert reader.returncode == 0
