import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trivet.adapters.files.blobs import FileBlobs
from trivet.adapters.sqlite.database import open_database
from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Receipt, Scope, read
from trivet.core.ports import Stores
from trivet.testing.memory_stores import (
    MemoryBlobs,
    MemoryLog,
    MemorySeries,
    MemoryTables,
    memory_stores,
)
from trivet.testing.processes import run_together
from trivet.tracking.artifacts import Artifacts, Total
from trivet.tracking.facts import ArtifactsDeleted, ArtifactStored
from trivet.tracking.shelves import ROWS, FolderItem

RUN = "run:1"


@pytest.fixture
def artifacts(stores: Stores, scope: Scope) -> Artifacts:
    return Artifacts(stores, scope)


@pytest.fixture
def on_disk(tmp_path: Path) -> Any:
    """Stores whose ledger and views are a real database."""
    with open_database(tmp_path / "ledger") as database:
        yield Stores(
            ledger=database.ledger,
            journal=database.journal,
            views=database.views,
            catalog=database.catalog,
            series=MemorySeries(),
            blobs=MemoryBlobs(),
            tables=MemoryTables(),
            log=MemoryLog(),
        )


def names(artifacts: Artifacts, folder: str = "", owner: str = RUN) -> list[str]:
    return [f"{item.name}/" if item.is_folder else item.name
            for item in artifacts.list(owner, folder)]  # fmt: skip


def content(artifacts: Artifacts, path: str, owner: str = RUN) -> bytes:
    with artifacts.open(owner, path)[1] as file:
        return file.read()


def test_a_file_comes_back_with_what_is_known_of_it(artifacts: Artifacts) -> None:
    stored = artifacts.put(RUN, "plots/loss.png", b"picture")
    found, file = artifacts.open(RUN, "plots/loss.png")
    assert found == stored
    assert file.read() == b"picture"
    assert (found.size_bytes, found.media_type) == (7, "image/png")
    assert artifacts.put(RUN, "a.bin", b"", media_type="x/y").media_type == "x/y"
    assert artifacts.put(RUN, "nothing-known", b"").media_type == "application/octet-stream"


def test_a_stream_is_stored_like_bytes(artifacts: Artifacts) -> None:
    large = bytes(3 << 20) + b"end"
    assert (
        artifacts.put(RUN, "a", io.BytesIO(large)).digest == artifacts.put(RUN, "b", large).digest
    )
    assert content(artifacts, "a") == large


def test_each_file_is_one_fact_that_names_it(
    artifacts: Artifacts, stores: Stores, scope: Scope
) -> None:
    stored = artifacts.put(RUN, "a/b", b"x")
    entry = stores.ledger.get(stored.fact)
    fact = read(entry, ArtifactStored)
    assert (fact.owner, fact.path, fact.digest, fact.size_bytes) == (RUN, "a/b", stored.digest, 1)
    assert entry is not None
    assert entry.actor == scope.actor
    assert [e.id for e in stores.ledger.since(0)] == [stored.fact]
    other = artifacts.acting_for("grace").put(RUN, "a/c", b"x")
    found = stores.ledger.get(other.fact)
    assert found is not None
    assert found.actor == "grace"


def test_equal_bytes_are_stored_once_whoever_they_belong_to(
    artifacts: Artifacts, stores: Stores
) -> None:
    for owner in ("run:1", "run:2"):
        for path in ("a", "b/c"):
            artifacts.put(owner, path, b"the same")
    assert len(list(stores.blobs.list())) == 1
    assert artifacts.total("run:1") == Total(2, 16)


def test_a_folder_lists_its_files_and_folders_by_name(artifacts: Artifacts) -> None:
    for path in ("b.txt", "a/x/1", "a/x/2", "a/y", "a.txt", "a-b/z", "ä", "B"):
        artifacts.put(RUN, path, b"12345")
    assert names(artifacts) == ["B", "a/", "a-b/", "a.txt", "b.txt", "ä"]
    assert artifacts.list(RUN, "a") == (
        FolderItem("x", is_folder=True, size_bytes=None),
        FolderItem("y", is_folder=False, size_bytes=5),
    )
    assert names(artifacts, "a/x/") == ["1", "2"]
    assert names(artifacts, "missing") == names(artifacts, "b.txt") == []
    assert names(artifacts, "", "run:2") == []


def test_owners_and_projects_do_not_see_each_other(artifacts: Artifacts, stores: Stores) -> None:
    artifacts.put(RUN, "a", b"one")
    artifacts.put("run:11", "b", b"eleven")
    elsewhere = Artifacts(stores, Scope(project="other", actor="ada"))
    assert (names(artifacts), names(artifacts, "", "run:11")) == (["a"], ["b"])
    assert names(elsewhere) == []
    with pytest.raises(NotFound):
        elsewhere.get(RUN, "a")
    artifacts.delete(RUN, "")
    assert names(artifacts, "", "run:11") == ["b"]


def test_a_path_that_is_put_again_is_replaced_by_a_new_fact(
    artifacts: Artifacts, stores: Stores
) -> None:
    first, second = artifacts.put(RUN, "a", b"old"), artifacts.put(RUN, "a", b"newer")
    assert content(artifacts, "a") == b"newer"
    assert artifacts.total(RUN) == Total(1, 5)
    facts = stores.ledger.find(ArtifactStored.KIND, where={"owner": RUN}).entries
    assert [entry.id for entry in facts] == [second.fact, first.fact]


def test_names_differ_by_case_and_by_form_and_are_kept(artifacts: Artifacts) -> None:
    paths = ["Model", "model", "\xe9", "e\u0301"]
    for path in paths:
        artifacts.put(RUN, path, path.encode())
    assert [content(artifacts, path) for path in paths] == [path.encode() for path in paths]


def test_a_file_cannot_be_where_a_folder_is_nor_the_reverse(artifacts: Artifacts) -> None:
    artifacts.put(RUN, "a/b", b"x")
    for path in ("a", "a/b/c", "a/b/c/d"):
        for put in (artifacts.begin, lambda *where: artifacts.put(*where, b"y")):
            with pytest.raises(Invalid, match="is a f") as caught:
                put(RUN, path)
            assert caught.value.code == "path-taken"
    artifacts.put("run:2", "a", b"somebody else's")
    artifacts.put(RUN, "a.b", b"a neighbour")
    artifacts.delete(RUN, "a/b")
    artifacts.put(RUN, "a", b"free again")


def test_a_file_or_a_whole_folder_is_deleted_by_one_fact(
    artifacts: Artifacts, stores: Stores
) -> None:
    for path in ("a/1", "a/b/2", "a/b/3", "ab", "c"):
        artifacts.put(RUN, path, b"x")
    assert artifacts.delete(RUN, "c") == 1
    assert artifacts.delete(RUN, "a/b/") == 2
    assert names(artifacts) == ["a/", "ab"]
    assert names(artifacts, "a") == ["1"]
    deletions = stores.ledger.find(ArtifactsDeleted.KIND, newest_first=False).entries
    assert [(fact.path, fact.files) for fact in (read(e, ArtifactsDeleted) for e in deletions)] == [
        ("c", 1),
        ("a/b", 2),
    ]
    assert artifacts.delete(RUN, "") == 2
    assert artifacts.delete(RUN, "") == 0
    for path in ("a", "a/b", "c", "missing"):
        with pytest.raises(NotFound):
            artifacts.delete(RUN, path)
    assert stores.views.find(ROWS.name) == ()


def test_what_is_missing_or_a_folder_is_no_file(artifacts: Artifacts) -> None:
    artifacts.put(RUN, "a/b", b"x")
    for path in ("a", "a/c", "b"):
        with pytest.raises(NotFound):
            artifacts.open(RUN, path)


@pytest.mark.parametrize("owner", ["", "x" * 301, "a\nb", "a\0"])
def test_an_owner_is_a_printable_text(artifacts: Artifacts, owner: str) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: artifacts.put(owner, "a", b""),
        lambda: artifacts.list(owner),
        lambda: artifacts.get(owner, "a"),
        lambda: artifacts.delete(owner, "a"),
    ]
    for call in calls:
        with pytest.raises(Invalid):
            call()


def test_a_file_that_is_not_finished_leaves_nothing(artifacts: Artifacts, stores: Stores) -> None:
    writer = artifacts.begin(RUN, "a")
    writer.write(b"half of")
    writer.discard()
    assert list(stores.blobs.list()) == []
    assert names(artifacts) == []
    assert stores.ledger.since(0) == ()


def test_bytes_are_there_before_the_fact_that_names_them(
    artifacts: Artifacts, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = stores.ledger.commit
    seen: list[bool] = []

    def watched(batch: Any) -> Receipt:
        digests = [row.row["digest"] for row in batch.rows]
        seen.extend(stores.blobs.has(digest) for digest in digests)
        return commit(batch)

    monkeypatch.setattr(stores.ledger, "commit", watched)
    artifacts.put(RUN, "a", b"x")
    artifacts.put(RUN, "b", io.BytesIO(b"y"))
    assert seen == [True, True]


def test_a_large_folder_is_listed_without_reading_what_lies_below(
    on_disk: Stores, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = Artifacts(on_disk, scope)
    with ThreadPoolExecutor(16) as pool:
        paths = [f"deep/{i // 700}/{i}" for i in range(2100)] + ["deep/0.txt", "deep/9"]
        list(pool.map(lambda path: artifacts.put(RUN, path, b"x"), paths))
    rows = 0
    find = on_disk.views.find

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal rows
        found = find(*arguments, **options)
        rows += len(found)
        return found

    monkeypatch.setattr(on_disk.views, "find", counted)
    assert names(artifacts, "deep") == ["0/", "0.txt", "1/", "2/", "9"]
    assert rows < 2102
    assert artifacts.total(RUN) == Total(2102, 2102)
    assert artifacts.delete(RUN, "deep/1") == 700
    assert names(artifacts, "deep") == ["0/", "0.txt", "2/", "9"]


def test_many_put_at_once_and_nothing_is_lost(on_disk: Stores, scope: Scope) -> None:
    artifacts = Artifacts(on_disk, scope)
    paths = [f"folder{i % 5}/{i}.txt" for i in range(200)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda path: artifacts.put(RUN, path, path.encode()), paths))
    assert artifacts.total(RUN).files == 200
    assert all(content(artifacts, path) == path.encode() for path in paths)


def test_of_a_file_and_a_folder_of_one_name_put_at_once_only_one_comes_to_be(
    on_disk: Stores, scope: Scope
) -> None:
    artifacts = Artifacts(on_disk, scope)
    total = 0
    for round_ in range(30):
        start = threading.Barrier(2)

        def put(path: str, start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                artifacts.put(RUN, path, b"x")
            except Invalid:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(put, [f"{round_}", f"{round_}/inner"]))
        # Each may be told that the other is under way; both never come through.
        assert done != [True, True]
        assert artifacts.total(RUN).files == total + sum(done)
        total += sum(done)


def put_in_turn(folder: Path, ending: str, starts_at: float) -> list[bool]:
    """Put a file at each of many names, or one in a folder of that name; say what came through."""
    with open_database(folder / "ledger") as database:
        stores = replace(
            memory_stores(),
            ledger=database.ledger,
            views=database.views,
            blobs=FileBlobs(folder / "blobs"),
        )
        artifacts = Artifacts(stores, Scope(project="flights", actor="ada"))
        time.sleep(max(0.0, starts_at - time.time()))
        return [is_put(artifacts, f"{number}{ending}") for number in range(60)]


def is_put(artifacts: Artifacts, path: str) -> bool:
    try:
        artifacts.put(RUN, path, b"x")
    except Invalid as error:
        if error.code != "path-taken":
            raise
        return False
    return True


def test_of_a_file_and_a_folder_put_by_two_processes_exactly_one_comes_to_be(
    tmp_path: Path,
) -> None:
    open_database(tmp_path / "ledger").close()
    starts_at = time.time() + 3
    endings = ["", "/inner", "", "/inner/most"]
    found = run_together(put_in_turn, [(tmp_path, ending, starts_at) for ending in endings])
    with open_database(tmp_path / "ledger") as database:
        stores = replace(memory_stores(), ledger=database.ledger, views=database.views)
        everything = paths_of(Artifacts(stores, Scope(project="flights", actor="ada")))
        for number in range(60):
            came = {ending for ending, done in zip(endings, found, strict=True) if done[number]}
            standing = {path for path in everything if path.split("/")[0] == str(number)}
            assert standing == {f"{number}{ending}" for ending in came}
            assert len(standing) == 1


def paths_of(artifacts: Artifacts, folder: str = "") -> list[str]:
    paths: list[str] = []
    for item in artifacts.list(RUN, folder):
        path = f"{folder}/{item.name}" if folder else item.name
        paths += paths_of(artifacts, path) if item.is_folder else [path]
    return paths


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["put", "delete"]),
            st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/a/b", "a.a", "a0"]),
        ),
        max_size=20,
    )
)
def test_listings_agree_with_a_model_of_files(steps: list[tuple[str, str]]) -> None:
    artifacts = Artifacts(memory_stores(), Scope(project="p", actor="a"))
    model: dict[str, bytes] = {}
    for number, (verb, path) in enumerate(steps):
        take_step(artifacts, model, verb, path, b"%d" % number)
    walked: dict[str, bytes] = {}
    folders = [""]
    for folder in folders:
        for item in artifacts.list(RUN, folder):
            place = f"{folder}/{item.name}" if folder else item.name
            if item.is_folder:
                folders.append(place)
            else:
                walked[place] = content(artifacts, place)
    assert walked == model


def take_step(
    artifacts: Artifacts, model: dict[str, bytes], verb: str, path: str, new: bytes
) -> None:
    """Do the same to the artifacts and to the model, or see why it is refused."""
    below = [other for other in model if other.startswith(f"{path}/")]
    above = [other for other in model if path.startswith(f"{other}/")]
    if verb == "put" and (below or above):
        with pytest.raises(Invalid):
            artifacts.put(RUN, path, new)
    elif verb == "put":
        artifacts.put(RUN, path, new)
        model[path] = new
    elif below or path in model:
        assert artifacts.delete(RUN, path) == len(below) + (path in model)
        for other in (*below, path):
            model.pop(other, None)
    else:
        with pytest.raises(NotFound):
            artifacts.delete(RUN, path)
