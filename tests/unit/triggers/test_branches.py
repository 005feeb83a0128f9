import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import Invalid, NotFound, Unavailable
from trivet.triggers import branches
from trivet.triggers.branches import Repository, check_branch, check_repository

AUTHOR = {
    **{f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "ada@example.org" for who in ("AUTHOR", "COMMITTER")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | AUTHOR,
    )
    return done.stdout.strip()


def commit(folder: Path, name: str, text: str = "x") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", f"change {name}")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "README.md")
    return folder


@pytest.mark.parametrize("how", ["path", "url"])
def test_a_branch_is_where_git_says_it_is(repository: Path, tmp_path: Path, how: str) -> None:
    where = "work" if how == "path" else repository.as_uri()
    watched = Repository(where, tmp_path)
    assert watched.tip("main") == watched.tip("") == git(repository, "rev-parse", "HEAD")
    tip = commit(repository, "a.py")
    assert watched.tip("main") == tip
    git(repository, "branch", "feature/x", "HEAD~1")
    assert watched.tip("feature/x") == git(repository, "rev-parse", "HEAD~1")


@pytest.mark.parametrize("how", ["path", "url", "bare"])
def test_what_changed_below_paths_is_named(repository: Path, tmp_path: Path, how: str) -> None:
    before = git(repository, "rev-parse", "HEAD")
    commit(repository, "src/a.py")
    commit(repository, "docs/ä b.md")
    after = commit(repository, "src/deep/b.py")
    if how == "bare":
        git(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")
    where = {"path": "work", "url": repository.as_uri(), "bare": "bare.git"}[how]
    watched = Repository(where, tmp_path)
    assert watched.changed(before, after, ["src"]) == ("src/a.py", "src/deep/b.py")
    assert watched.changed(before, after, ["docs"]) == ("docs/ä b.md",)
    assert watched.changed(before, after, ["tests"]) == ()


@pytest.mark.parametrize("how", ["path", "url"])
def test_a_commit_that_is_gone_leaves_nothing_to_compare(
    repository: Path, tmp_path: Path, how: str
) -> None:
    where = "work" if how == "path" else repository.as_uri()
    assert (
        Repository(where, tmp_path).changed(
            "0" * 39 + "1", git(repository, "rev-parse", "HEAD"), ["x"]
        )
        is None
    )


def test_the_project_s_own_repository_says_what_is_checked_out(
    repository: Path, tmp_path: Path
) -> None:
    project = repository / "ml" / "churn"
    project.mkdir(parents=True)
    git(repository, "checkout", "-q", "-b", "work")
    head = commit(repository, "a.py")
    own = Repository(".", project)
    assert own.checked_out() == head
    assert own.tip("main") != head
    assert Repository(str(repository), tmp_path).checked_out() is None  # another project's
    assert Repository(repository.as_uri(), project).checked_out() is None


def test_what_is_not_there_is_said(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="has no branch 'nope'"):
        Repository("work", tmp_path).tip("nope")
    with pytest.raises(NotFound, match="there is no folder"):
        Repository("elsewhere", tmp_path).tip("main")
    (tmp_path / "empty").mkdir()
    with pytest.raises((NotFound, Unavailable), match=r"git said no|did not answer"):
        Repository("empty", tmp_path).tip("main")
    with pytest.raises((NotFound, Unavailable)) as caught:
        Repository((tmp_path / "gone").as_uri(), tmp_path).tip("main")
    assert caught.value.hint


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, were it in this very moment."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in {"Z", "X"}


def test_a_repository_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    pid = tmp_path / "pid"
    slow.write_text(f"#!/bin/sh\necho $$ > {pid}.new && mv {pid}.new {pid}\nsleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(slow))
    monkeypatch.setattr(branches, "_TIMEOUT_S", 0.2)
    communicate = subprocess.Popen[bytes].communicate

    def once_it_waits(process: "subprocess.Popen[bytes]", **options: Any) -> Any:
        until(pid.exists)
        return communicate(process, **options)

    monkeypatch.setattr(subprocess.Popen, "communicate", once_it_waits)
    with pytest.raises(Unavailable, match="did not answer within"):
        Repository("ssh://git@example.org/x.git", tmp_path).tip("main")
    until(lambda: is_gone(int(pid.read_text())))  # what git started does not go on alone


@pytest.mark.parametrize(
    "where",
    [
        "ext::sh -c touch% pwned",
        "--upload-pack=touch pwned",
        "https://ada:secret@example.org/x.git",
        "ftp://example.org/x.git",
    ],
)
def test_what_is_no_repository_is_refused(where: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_repository(where)
    assert caught.value.hint
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "where", [".", "../other", "https://example.org/x.git", "git@host:a/b.git"]
)
def test_paths_and_urls_are_taken(where: str) -> None:
    check_repository(where)


@pytest.mark.parametrize("branch", ["-x", "a..b", "a b", "x.lock", "/a", "a//b", "a~1", "a@{1}"])
def test_what_is_no_branch_is_refused(branch: str) -> None:
    with pytest.raises(Invalid, match="no name of a branch"):
        check_branch(branch)
    for good in ("", "main", "feature/x-1", "v1.0"):
        check_branch(good)
