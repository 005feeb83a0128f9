"""One flipped bit anywhere in the ledger's files is found and named, or changes nothing at all.

`TRIVET_CRASH_ROUNDS` multiplies the samples.
"""

import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace

from trivet.adapters.sqlite.database import Database, open_database
from trivet.core.catalog import Amendment, Order, Search
from trivet.core.errors import Corrupt, TrivetError
from trivet.core.facts import Fact, HeadMove, Inbox, Scope, TaskNew, ViewPut, draft
from trivet.core.ports import Damage, View

FLIPS = 40 * int(os.environ.get("TRIVET_CRASH_ROUNDS", "1"))
SCOPE = Scope(project="shop", actor="ada")
VIEW = View(name="latest", columns={"key": "text", "value": "real"}, key=("key",))


class Note(Fact, frozen=True, kw_only=True):
    KIND = "damage.note"
    INDEXED = ("about",)

    about: str
    text: str = "x" * 150


def fill(database: Database) -> None:
    database.views.declare(replace(VIEW, columns={"key": "text"}))
    database.views.put("latest", [{"key": str(n) * 50} for n in range(200)])
    database.views.declare(VIEW)  # empties the older table: there are free pages now
    facts = [draft(Note(about=f"topic {n % 7}")) for n in range(120)]
    database.ledger.commit(SCOPE.batch("many", facts))
    for n in range(12):
        fact = draft(
            Note(about=f"single {n}", text="long" * 3000 * (n == 5)), parents=[facts[n].id]
        )
        batch = SCOPE.batch(
            "one",
            [fact],
            heads=[HeadMove(name=f"head {n % 3}", to=fact.id)],
            tasks=[TaskNew(key=f"task {n}", queue="q", body=b"body" * 10)],
            inbox=[Inbox(source="git", key=str(n))],
            rows=[ViewPut(view="latest", row={"key": f"row {n}", "value": n / 3})],
            documents=[document(n, k) for k in range(20)],
        )
        database.ledger.commit(batch)
    database.ledger.commit(replace(SCOPE.batch("forget"), forget=(facts[3].id,)))
    (task, *_) = database.journal.claim("q", owner="me", lease_s=3600)
    database.journal.extend(task, 7200)
    database.ledger.commit(SCOPE.batch("last", [draft(Note(about="last"))]))


def document(n: int, k: int) -> Amendment:
    attributes = {"metrics.m": n / (k + 1), "params.p": f"text {k}", "tags.long": "x" * 300}
    return Amendment(collection="runs", id=f"{n} {k}", group=f"{k % 2}", set=attributes)


def state(database: Database) -> Any:
    """Everything that can be read, as one value."""
    return (
        database.ledger.since(0, 10_000),
        database.ledger.heads("shop"),
        database.journal.tasks(limit=1000),
        database.views.find("latest", limit=1000),
        database.catalog.search(
            Search(collection="runs", order=(Order("metrics.m"), Order("params.p")), limit=1000)
        ),
        [database.ledger.find(Note.KIND, where={"about": f"topic {n}"}) for n in range(7)],
    )


def crashed(folder: Path, *, checkpoint: bool) -> None:
    """Fill a ledger in another process and let it die, so that its log stays behind."""
    program = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_ledger_damage as here\n"
        "from trivet.adapters.sqlite.writer import Writer\n"
        "database = here.open_database(sys.argv[2]); here.fill(database)\n"
        "if sys.argv[3] == 'True':\n"
        "    database._writer.do(lambda session: None)\n"
        "    here.apsw.Connection(sys.argv[2] + '/ledger.db', vfs='cksmvfs').wal_checkpoint()\n"
        "os._exit(0)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(folder), str(checkpoint)],
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


@pytest.fixture(scope="module", params=["closed", "crashed", "crashed after a checkpoint"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ledger")
    if request.param == "closed":
        with open_database(folder) as database:
            fill(database)
    else:
        crashed(folder, checkpoint=request.param != "crashed")
        (folder / "ledger.db-shm").unlink()
    assert (folder / "ledger.db-wal").exists() == (request.param != "closed")
    return folder


def damage_of(database: Database) -> list[Damage]:
    return [item for item in database.ledger.verify() if isinstance(item, Damage)]


def copy_of(original: Path, folder: Path) -> Path:
    shutil.copytree(original, folder)
    return folder


def look(folder: Path) -> tuple[list[str], Any]:
    """Return all damage that is reported on opening and verifying, and the state if readable."""
    try:
        with open_database(folder) as database:
            found = [
                f"{d.name} {d.problem}" for d in database.ledger.verify() if isinstance(d, Damage)
            ]
            return found, None if found else state(database)
    except TrivetError as error:
        return [str(error)], None


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "anchors"])
def test_a_flipped_bit_is_named_or_changes_nothing(
    original: Path, tmp_path: Path, name: str
) -> None:
    if not (original / name).exists():
        pytest.skip("this ledger was closed: it has no log")
    damage, intact = look(copy_of(original, tmp_path / "intact"))
    assert damage == []
    chance = random.Random(name)
    outcomes: Counter[str] = Counter()
    size = (original / name).stat().st_size
    for number in range(FLIPS):
        # The first page decides about all the others, so it gets its own share.
        place = chance.randrange(min(size, 4096) if number % 4 == 0 else size)
        bit = chance.randrange(8)
        folder = copy_of(original, tmp_path / "copy")
        with (folder / name).open("r+b") as file:
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 1 << bit]))
        found, left = look(folder)
        assert found or left == intact, f"bit {bit} of byte {place} was not noticed"
        outcomes["named" if found else "harmless"] += 1
        shutil.rmtree(folder)
    assert outcomes.total() == FLIPS
    print(f"{name}: {dict(outcomes)}")
    # Only pages that stand in the log, too, may be torn without harm: a checkpoint rewrites them.
    if not (original / "ledger.db-wal").exists() or name != "ledger.db":
        assert outcomes["harmless"] == 0


def test_nothing_is_written_behind_a_lost_tail(tmp_path: Path) -> None:
    crashed(tmp_path / "ledger", checkpoint=False)
    log = tmp_path / "ledger" / "ledger.db-wal"
    os.truncate(log, log.stat().st_size - 10_000)
    with open_database(tmp_path / "ledger") as database:
        with pytest.raises(Corrupt, match="was acknowledged") as caught:
            database.ledger.commit(SCOPE.batch("more", [draft(Note(about="more"))]))
        assert caught.value.code == "lost-tail"
        assert any(
            "is lost" in d.problem for d in database.ledger.verify() if isinstance(d, Damage)
        )
        (tmp_path / "ledger" / "anchors").unlink()
        database.ledger.commit(SCOPE.batch("more", [draft(Note(about="more"))]))


def test_a_damaged_page_is_refused_and_not_served(tmp_path: Path) -> None:
    with open_database(tmp_path / "ledger") as database:
        fill(database)
        (entry,) = database.ledger.find(Note.KIND, where={"about": "single 5"}).entries
    path = tmp_path / "ledger" / "ledger.db"
    content = bytearray(path.read_bytes())
    content[content.index(b"longlong") + 4000] ^= 1
    path.write_bytes(content)
    with open_database(tmp_path / "ledger") as database:
        with pytest.raises(Corrupt):
            database.ledger.get(entry.id)
        assert len(database.ledger.find(Note.KIND, where={"about": "topic 1"}).entries) > 0
        named = [item.name for item in damage_of(database)]
        assert any(name.startswith("page ") for name in named)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ('UPDATE facts SET payload = CAST(\'{"about":"x"}\' AS BLOB) WHERE seq = 5', "payload"),
        ("UPDATE facts SET kind = kind + 1 WHERE seq = 5", "chain"),
        ("UPDATE links SET reason = 'because' WHERE number = 2", "chain"),
        ("UPDATE links SET time = time + 1 WHERE number = 2", "chain"),
        ("UPDATE words SET word = 'eve' WHERE word = 'ada'", "chain"),
        ("DELETE FROM facts WHERE seq = 7", "chain"),
        ("DELETE FROM links WHERE number = 3", "does not follow"),
        ("DELETE FROM edges WHERE child = (SELECT max(child) FROM edges)", "parent"),
        ("UPDATE heads SET target = moved_by WHERE name = 'head 1'", "history"),
        ("DELETE FROM heads WHERE name = 'head 1'", "history"),
        ("UPDATE indexed SET value = 'topic 9' WHERE seq = 5", "wrong value"),
        (
            "INSERT INTO indexed SELECT field, 'forgotten', project, 4 FROM indexed LIMIT 1",
            "not its own",
        ),
        ("UPDATE facts SET salt = NULL WHERE seq = 5", "half forgotten"),
        ("UPDATE cells SET numbers = zeroblob(8) WHERE numbers IS NOT NULL", "'metrics.m'"),
        ("UPDATE blocks SET used = zeroblob(15) WHERE number = 1", "other documents"),
        ("UPDATE documents SET id = 'other' WHERE number = 129", "identifiers"),
        ("DELETE FROM blocks WHERE number = 1", "outside"),
    ],
)
def test_a_changed_row_is_named_even_when_its_page_is_sound(
    tmp_path: Path, statement: str, named: str
) -> None:
    with open_database(tmp_path / "ledger") as database:
        fill(database)
    connection = apsw.Connection(str(tmp_path / "ledger" / "ledger.db"), vfs="cksmvfs")
    connection.execute(statement)
    assert connection.total_changes() > 0
    connection.close()
    with open_database(tmp_path / "ledger") as database:
        found = damage_of(database)
    assert any(named in damage.problem for damage in found), found


def test_verifying_while_others_write_finds_nothing(tmp_path: Path) -> None:
    with open_database(tmp_path / "ledger") as database:
        fill(database)
        found = database.ledger.verify()
        damage: list[Damage] = []
        for number, item in enumerate(found):
            database.ledger.commit(SCOPE.batch("more", [draft(Note(about="more"))]))
            if isinstance(item, Damage):
                damage.append(item)
            if number > 30:
                break
        assert damage == []


def test_a_flipped_bit_in_a_log_in_use_is_named_before_a_crash_makes_it_a_loss(
    tmp_path: Path,
) -> None:
    with open_database(tmp_path) as database:
        fill(database)
        with (tmp_path / "ledger.db-wal").open("r+b") as log:
            log.seek(-100, os.SEEK_END)
            byte = log.read(1)[0]
            log.seek(-1, os.SEEK_CUR)
            log.write(bytes([byte ^ 1]))
        assert any("a crash would lose it" in item.problem for item in damage_of(database))
