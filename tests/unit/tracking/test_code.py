import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from trivet.core.trees import load_tree
from trivet.testing.memory_stores import MemoryBlobs
from trivet.tracking.code import CodeRecorder
from trivet.tracking.facts import CodeState

SETTLED_S = 1.1
"""How long a source must not have been written to be known again by how it is listed."""
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipeline.py").write_text("def train():\n    return 1\n")
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "load.sql").write_text("select 1\n")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    name = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    command = ["git", "-C", str(folder), *name, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(folder: Path) -> Path:
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def diff_of(blobs: MemoryBlobs, state: CodeState) -> bytes:
    assert state.diff is not None
    with blobs.open(state.diff) as stream:
        return stream.read()


def sources_of(folder: Path) -> dict[str, bytes]:
    blobs = MemoryBlobs()
    return load_tree(blobs, CodeRecorder(blobs).record(folder, "x:y").tree)


def test_without_git_the_sources_are_stored_and_nothing_is_claimed(folder: Path) -> None:
    blobs = MemoryBlobs()
    state = CodeRecorder(blobs).record(folder, "pipeline:train")
    assert (state.commit, state.dirty, state.diff) == (None, False, None)
    assert state.entry == "pipeline:train"
    assert load_tree(blobs, state.tree) == {
        "pipeline.py": b"def train():\n    return 1\n",
        "sql/load.sql": b"select 1\n",
    }


def test_equal_sources_have_one_identity_and_an_edit_has_another(folder: Path) -> None:
    blobs = MemoryBlobs()
    first = CodeRecorder(blobs).record(folder, "pipeline:train")
    assert CodeRecorder(blobs).record(folder, "pipeline:train") == first
    (folder / "pipeline.py").write_text("def train():\n    return 2\n")
    assert CodeRecorder(blobs).record(folder, "pipeline:train").tree != first.tree


def test_sources_that_stand_as_they_stood_are_not_stored_again(folder: Path) -> None:
    blobs = MemoryBlobs()
    recorder = CodeRecorder(blobs)
    time.sleep(SETTLED_S)
    first = recorder.record(folder, "pipeline:train")
    blobs.delete(first.tree)  # whoever stores the sources again brings it back
    assert recorder.record(folder, "other:train").tree == first.tree
    assert not blobs.has(first.tree)


@pytest.mark.parametrize("is_settled", [True, False])
def test_every_edit_is_seen_by_the_next_record(folder: Path, is_settled: bool) -> None:
    if is_settled:
        time.sleep(SETTLED_S)
    blobs = MemoryBlobs()
    recorder = CodeRecorder(blobs)
    seen = {recorder.record(folder, "pipeline:train").tree}
    source = folder / "pipeline.py"
    before = source.stat()
    source.write_text("def train():\n    return 2\n")  # of the same size, with the same time
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    seen.add(recorder.record(folder, "pipeline:train").tree)
    (folder / "more.py").write_text("")
    seen.add(recorder.record(folder, "pipeline:train").tree)
    source.unlink()
    seen.add(recorder.record(folder, "pipeline:train").tree)
    seen.add(recorder.record(folder, "pipeline:train", {"cells.py": b"1"}).tree)
    assert len(seen) == 5
    assert load_tree(blobs, recorder.record(folder, "x").tree).keys() == {"more.py", "sql/load.sql"}


@needs_git
def test_a_clean_repository_gives_its_commit(repository: Path) -> None:
    state = CodeRecorder(MemoryBlobs()).record(repository, "pipeline:train")
    assert state.commit == git(repository, "rev-parse", "HEAD").strip()
    assert (state.dirty, state.diff) == (False, None)


@needs_git
def test_the_dirty_diff_restores_the_sources_upon_the_commit(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (repository / "pipeline.py").write_text("def train():\n    return 2\n")
    (repository / "helpers.py").write_text("FLOOR = 1\nCEILING = 2")
    (repository / "empty.py").write_text("")
    blobs = MemoryBlobs()
    state = CodeRecorder(blobs).record(repository, "pipeline:train")
    assert state.dirty
    copy = tmp_path_factory.mktemp("copy")
    git(copy, "clone", "-q", str(repository), ".")
    patch = tmp_path_factory.mktemp("patch") / "dirty.diff"
    patch.write_bytes(diff_of(blobs, state))
    git(copy, "apply", str(patch))
    assert sources_of(copy) == sources_of(repository)


@needs_git
def test_what_git_cannot_tell_is_not_called_clean(repository: Path) -> None:
    (repository / ".git" / "index").write_bytes(b"damaged")
    state = CodeRecorder(MemoryBlobs()).record(repository, "pipeline:train")
    assert state.commit is not None
    assert (state.dirty, state.diff) == (True, None)


@needs_git
def test_a_large_change_of_data_alone_is_a_change(repository: Path) -> None:
    table = repository / "table.csv"
    table.write_text("1\n")
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "second")
    table.write_text("".join(f"{row}\n" for row in range(1_200_000)))
    state = CodeRecorder(MemoryBlobs()).record(repository, "pipeline:train")
    assert (state.dirty, state.diff) == (True, None)


@needs_git
def test_a_project_below_the_repository_s_root_gives_its_own_diff(repository: Path) -> None:
    below = repository / "sql"
    (repository / "pipeline.py").write_text("changed = True\n")
    assert not CodeRecorder(MemoryBlobs()).record(below, "x:y").dirty
    (below / "load.sql").write_text("select 2\n")
    blobs = MemoryBlobs()
    state = CodeRecorder(blobs).record(below, "x:y")
    assert b"+select 2" in diff_of(blobs, state)
    assert b"changed" not in diff_of(blobs, state)


@needs_git
def test_a_repository_without_a_commit_is_no_obstacle(folder: Path) -> None:
    git(folder, "init", "-q")
    assert CodeRecorder(MemoryBlobs()).record(folder, "pipeline:train").commit is None


@needs_git
def test_a_repository_s_settings_start_no_program(repository: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    script = tmp_path / "script.sh"
    script.write_text(f"#!/bin/sh\ntouch {witness}\n")
    script.chmod(0o700)
    git(repository, "config", "core.fsmonitor", str(script))
    git(repository, "config", "diff.external", str(script))
    (repository / "pipeline.py").write_text("changed = True\n")
    assert CodeRecorder(MemoryBlobs()).record(repository, "pipeline:train").dirty
    assert not witness.exists()


def test_a_git_that_is_not_there_or_broken_fails_no_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert CodeRecorder(MemoryBlobs()).record(folder, "pipeline:train").commit is None


@needs_git
def test_the_diff_of_a_new_file_with_form_feeds_can_be_applied(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = "def one(): ...\n\x0c\ndef two(): ...\x85 # \u2028\n"
    (repository / "old.py").write_text(content)
    blobs = MemoryBlobs()
    diff = diff_of(blobs, CodeRecorder(blobs).record(repository, "x:y"))
    other = tmp_path_factory.mktemp("other")
    (other / "new.diff").write_bytes(diff)
    git(other, "apply", "new.diff")
    assert (other / "old.py").read_text() == content


def test_environments_hidden_folders_data_and_links_are_no_sources(folder: Path) -> None:
    for name in (".git", ".trivet", "data", "__pycache__", "node_modules", "env"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "some.py").write_text("x = 1\n")
    (folder / "env" / "pyvenv.cfg").write_text("")
    (folder / "rows.csv").write_text("1\n")
    (folder / "link.py").symlink_to(folder / "pipeline.py")
    assert sorted(sources_of(folder)) == ["pipeline.py", "sql/load.sql"]


def test_what_is_too_large_is_left_out_and_named(folder: Path) -> None:
    (folder / "huge.py").write_bytes(b"#" * ((1 << 20) + 1))
    sources = sources_of(folder)
    assert "huge.py" not in sources
    assert sources[".left-out.txt"] == b"huge.py\n"


def test_a_name_that_no_tree_can_hold_costs_no_other_source(folder: Path) -> None:
    (folder / "a\\b.py").write_text("x = 1\n")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.py")).write_text("x = 1\n")
    sources = sources_of(folder)
    assert sorted(sources) == [".left-out.txt", "pipeline.py", "sql/load.sql"]
    assert sources[".left-out.txt"] == b"a\\b.py\n\\udcff.py\n"
