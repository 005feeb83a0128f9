"""Whole operations that are ended violently: publish, register, move a head, release.

Whatever the moment, what was acknowledged is there, nothing is half there, and fsck is content.
`TRIVET_CRASH_ROUNDS` multiplies the samples.
"""

import os
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trivet.models.facts import ModelVersion
from trivet.releases.facts import ReleasePlan
from trivet.testing.crash import Command, kill_sweep, missing_for_syscalls, syscall_sweep
from trivet.workspace.fsck import check_stores
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

ROUNDS = int(os.environ.get("TRIVET_CRASH_ROUNDS", "1"))
CHILD = Path(__file__).with_name("crash_operations_child.py")
# Not `openat` and `close`: thousands of them belong to the imports of Python alone.
CALLS = ("pwrite64", "write", "fdatasync", "fsync", "ftruncate", "rename", "link", "unlink")

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(sys.platform != "linux", reason="kills as Linux knows them"),
]


@pytest.fixture
def working(trained: Path) -> Any:
    def command(rounds: int) -> Command:
        return lambda folder: [
            sys.executable, str(CHILD), str(folder), str(trained), str(rounds)
        ]  # fmt: skip

    return command


def check(folder: Path, acknowledged: list[str]) -> None:
    if not (folder / "churn" / ".trivet" / "log").is_dir():
        assert acknowledged == []
        return  # the end came while the project was being copied
    with open_workspace(folder / "churn", actor="check") as workspace:
        report = check_stores(workspace.stores)
        assert report.is_sound, report.damages
        by_kind: dict[str, list[str]] = {"data": [], "model": [], "alias": [], "release": []}
        for line in acknowledged:
            kind, identifier = line.split()
            assert workspace.stores.ledger.get(identifier) is not None, f"{line} is lost"
            by_kind[kind].append(identifier)
        check_data(workspace, by_kind["data"])
        check_models(workspace, by_kind["model"], by_kind["alias"])
        check_releases(workspace, by_kind["release"])
        go_on(workspace)


def check_data(workspace: Workspace, acknowledged: list[str]) -> None:
    """Every version that a fact names can be read whole, and the newest acknowledged stands."""
    versions = workspace.data.versions("stream", limit=1000)
    ids = [version.id for version in versions]
    assert ids[: len(ids) - len(acknowledged)] == [i for i in ids if i not in acknowledged]
    for number, version in enumerate(reversed(versions)):
        frame = pl.DataFrame(workspace.data.table(version))
        assert frame["n"].to_list() == [number] * 40
        assert len(workspace.data.files(version, "notes")) == 1
    if ids:
        assert workspace.data.latest("stream").id == ids[0]


def check_models(workspace: Workspace, acknowledged: list[str], moved: list[str]) -> None:
    versions = workspace.models.versions("churn")
    numbers = [model.version.version for model in versions]
    assert numbers == list(range(len(numbers), 0, -1)), "a version is missing, or there twice"
    assert workspace.models.get("churn").id == versions[0].id
    assert {model.id for model in versions} >= set(acknowledged)
    for model in versions:
        assert workspace.models.verdicts.get(model.version.verdict).passed
    if moved:
        alias = workspace.models.get("churn@tried")
        newest = workspace.models.get(moved[-1])
        assert alias.version.version in {newest.version.version, newest.version.version + 1}
    kinds = workspace.stores.ledger.find(ModelVersion.KIND, limit=1000).entries
    assert len(kinds) == len(versions), "a model that no name leads to"


def check_releases(workspace: Workspace, acknowledged: list[str]) -> None:
    history = workspace.releases.history("churn", limit=1000)
    generations = [release.plan.generation for release in history]
    assert generations == list(range(len(generations), 0, -1))
    current = workspace.releases.current("churn")
    assert current is not None
    assert current.id == history[0].id
    assert {release.id for release in history} >= set(acknowledged)
    # The head of the release and the champion were moved together.
    champion = workspace.models.get("churn@champion")
    assert champion.id == current.plan.variants[0].model
    facts = workspace.stores.ledger.find(ReleasePlan.KIND, limit=1000).entries
    assert len(facts) == len(history)


def go_on(workspace: Workspace) -> None:
    """What was left can be worked with: the next version gets the next number."""
    before = workspace.data.versions("stream", limit=1000)
    frame = pl.DataFrame({"n": [len(before)] * 40, "word": ["y"] * 40})
    workspace.data.publish("stream", {"stream": frame}, source="afterwards")
    assert len(workspace.data.versions("stream", limit=1000)) == len(before) + 1


def test_a_kill_at_any_moment_loses_no_operation_and_halves_none(
    working: Any, tmp_path: Path
) -> None:
    rounds = 6 * ROUNDS
    report = kill_sweep(working(10_000), check, workplace=tmp_path, rounds=rounds, longest_s=0.6)
    assert report.crashes == rounds
    assert report.acknowledged > 0
    assert report.finished == 0


def test_a_kill_at_any_system_call_loses_no_operation_and_halves_none(
    working: Any, tmp_path: Path
) -> None:
    if reason := missing_for_syscalls():
        pytest.skip(reason)
    report = syscall_sweep(
        working(2), check, workplace=tmp_path, calls=CALLS, points=10 * ROUNDS, seed=ROUNDS
    )
    assert report.crashes == 10 * ROUNDS
    assert report.acknowledged > 0
