"""What rules let go is gone for good, and nothing that anything needs goes with it."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.workspace.collecting_room import Room
from tests.unit.workspace.living_project import Project

from trivet.cli.main import main
from trivet.core.catalog import Amendment
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Batch, Receipt, draft, read
from trivet.core.ports import Link, Stores
from trivet.core.trees import store_tree
from trivet.data.facts import DataCommit, Tree
from trivet.models.documents import VERSIONS
from trivet.testing.memory_stores import memory_stores
from trivet.tracking.reporting.facts import RunOpened, RunReported
from trivet.tracking.reporting.logged_models import NewModel
from trivet.tracking.reporting.model_points import Subject, owner_of
from trivet.tracking.reporting.points import Point
from trivet.tracking.reporting.runs import Opening
from trivet.tracking.retention.facts import Best, BlobsRemoved, Erased, Rule
from trivet.tracking.traces.facts import TraceReport
from trivet.workspace.backup import back_up, restore
from trivet.workspace.embedded import no_collector, only_collector
from trivet.workspace.fsck import check_stores
from trivet.workspace.rebuilding import make_catalog_anew, rebuild_catalog
from trivet.workspace.reshelving import reshelve
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

SOURCE: Final = Path(__file__).parents[3] / "src"
HOUR_S: Final = 3600.0
ROUNDS: Final = int(os.environ.get("TRIVET_CRASH_ROUNDS", "1"))
GRACE_HOURS: Final = "0.002"
"""Half of the time that a round takes, and more than a busy machine holds up one commit."""
MONTH: Final = Rule(trash_days=30, artifacts_days=30, traces_days=30)


@pytest.fixture
def room(workspace: Workspace) -> Room:
    return Room(workspace.stores)


def is_sound(stores: Stores) -> bool:
    return check_stores(stores).is_sound


# ------------------------------------------------------------------------------ rules


def test_without_a_rule_everything_stays(room: Room) -> None:
    run = room.run()
    room.own.runs.delete(run)
    done = room.collect(10_000)
    assert (done.items, done.blobs) == ((), 0)
    room.own.runs.restore(run)
    assert room.content(run) == b"weights"


def test_the_rule_of_an_experiment_comes_before_the_project_s(room: Room) -> None:
    other = room.own.experiments.make("other")
    room.rules.set(Rule(trash_days=10, traces_days=5))
    best = Best(metric="loss", runs=3)
    room.rules.set(Rule(trash_days=90, keep_best=best), "other")
    assert room.rules.of(other.number) == Rule(trash_days=90, traces_days=5, keep_best=best)
    assert room.rules.of(0) == Rule(trash_days=10, traces_days=5)
    assert [one.experiment for one in room.rules.standing()] == [None, "other"]
    room.rules.set(Rule())
    assert room.rules.of(0) == Rule()


@pytest.mark.parametrize(
    "rule",
    [
        Rule(trash_days=-1),
        Rule(artifacts_days=float("nan")),
        Rule(traces_days=float("inf")),
        Rule(keep_best=Best(metric="../x", runs=1)),
        Rule(keep_best=Best(metric="loss", runs=0)),
    ],
)
def test_a_rule_that_says_nonsense_is_refused(room: Room, rule: Rule) -> None:
    with pytest.raises(Invalid):
        room.rules.set(rule)
    with pytest.raises(NotFound):
        room.rules.set(Rule(trash_days=1), "nowhere")


# ------------------------------------------------------------------------------- runs


def test_a_deleted_run_can_be_restored_until_its_time_is_over(room: Room) -> None:
    room.rules.set(Rule(trash_days=30))
    run = room.run()
    room.own.runs.delete(run)
    assert room.collect(29).items == ()
    room.own.runs.restore(run)
    assert room.collect(1000).items == ()
    assert room.content(run) == b"weights"
    room.own.runs.delete(run)
    (gone,) = room.collect(31).items
    assert (gone.what, gone.id, gone.files, gone.size_bytes) == ("run", run, 1, 7)
    for call in (room.own.runs.restore, room.own.runs.get, room.own.runs.delete):
        with pytest.raises(NotFound):
            call(run)


def test_nothing_is_left_of_a_run_but_the_record_that_it_was_removed(room: Room) -> None:
    room.rules.set(Rule(trash_days=30))
    run, other = room.run(b"its own"), room.run(b"another's")
    room.own.files.put(f"run:{run}", "model/weights.bin", b"newer")
    room.own.runs.delete(run)
    before = [link.hash for link in room.stores.ledger.verify() if isinstance(link, Link)]
    done = room.collect(31)
    assert (done.blobs, len(room.blobs())) == (2, 1)
    assert room.own.points.history(run, "loss") == []
    assert [point.value for point in room.own.points.history(other, "loss")] == [0.5]
    for kind in (RunOpened.KIND, RunReported.KIND, "artifact"):
        entries = room.stores.ledger.find(kind, limit=1000).entries
        texts = [entry.payload for entry in entries if entry.payload is not None]
        assert texts
        assert not any(run.encode() in text for text in texts)
    (entry,) = room.stores.ledger.find(Erased.KIND, where={"subject": run}).entries
    assert "30 days" in read(entry, Erased).why
    after = [link.hash for link in room.stores.ledger.verify() if isinstance(link, Link)]
    assert after[: len(before)] == before
    assert is_sound(room.stores)
    assert room.content(other) == b"another's"


def test_runs_go_with_their_experiment_once_it_is_deleted_for_as_long(room: Room) -> None:
    room.rules.set(Rule(trash_days=30))
    number = room.own.experiments.make("other").number
    run = room.own.runs.open(Opening(experiment=number)).id
    room.own.experiments.delete(number)
    assert [item.id for item in room.plan(31).items] == [run]
    room.own.experiments.restore(number)
    assert room.plan(31).items == ()


def test_a_run_that_a_version_was_registered_from_stays_and_says_why(room: Room) -> None:
    run = room.run()
    number = room.register(run)
    room.own.names.set_alias("churn", "champion", number)
    room.own.runs.delete(run)
    (held,) = room.plan(31, MONTH).held
    assert held.held_by == ("churn:1", "churn@champion")
    done = room.collect(31, MONTH)
    assert ([item.id for item in done.held], done.items, done.blobs) == ([run], (), 0)
    assert room.content(run) == b"weights"
    room.own.versions.delete("churn", number)
    assert [item.id for item in room.collect(31, MONTH).items] == [run]
    assert room.blobs() == {}


def test_bytes_that_another_run_has_too_stay_and_are_counted(room: Room) -> None:
    run, other, third = room.run(b"same"), room.run(b"same"), room.run(b"other")
    for each in (run, third):
        room.own.runs.delete(each)
    plan = room.plan(31, MONTH)
    assert {item.id for item in plan.items} == {run, third, other}  # by artifacts_days, the last
    plan = room.plan(31, Rule(trash_days=30))
    assert (plan.shared.blobs, plan.shared.size_bytes, plan.shared.by) == (1, 4, {"artifact": 1})
    assert (plan.blobs, plan.blob_bytes) == (1, 5)
    assert room.collect(31, Rule(trash_days=30)).blobs == 1
    assert room.content(other) == b"same"


def test_bytes_that_data_or_code_has_too_stay(room: Room) -> None:
    content = b"the very same bytes" * 10
    tree = store_tree(room.stores.blobs, {"deep/er/data.bin": content, "b": b"b"})
    named = Tree(name="t", digest=tree.digest, files=2, size_bytes=tree.size_bytes)
    commit = draft(DataCommit(dataset="d", source="s", trees=(named,)))
    room.stores.ledger.commit(room.own.scope.batch("data", [commit]))
    before = room.blobs()
    run = room.run(content)
    room.own.runs.delete(run)
    room.collect(31, MONTH)
    assert not room.has(run)
    assert room.blobs() == before
    assert is_sound(room.stores)


def test_logged_models_go_like_runs_with_all_their_series(room: Room) -> None:
    run = room.run()
    model = room.own.logged.make(NewModel(experiment=0, run=run)).id
    points = [Point("auc", 0.9, 1, about=Subject(model, "iris", "d"))]
    room.own.logged.prepare(run, points)
    room.own.points.log(run, points)
    owner_of_points = owner_of(Subject(model, "iris", "d"), run)
    assert room.stores.series.summaries(owner_of_points)
    room.own.files.put(f"model:{model}", "MLmodel", b"flavours")
    room.own.logged.delete(model)
    assert [item.id for item in room.collect(31, Rule(trash_days=30)).items] == [model]
    with pytest.raises(NotFound):
        room.own.logged.get(model, allow_deleted=True)
    assert room.stores.series.summaries(owner_of_points) == {}
    assert room.stores.series.summaries(run)
    assert is_sound(room.stores)


# ------------------------------------------------------------------ artifacts, traces


def test_artifacts_of_old_runs_go_but_for_the_best_and_the_registered(room: Room) -> None:
    runs = [room.run(b"%d" % number) for number in range(6)]
    for number, run in enumerate(runs):
        room.own.points.log(run, [Point("auc", float(number), 2, 1)])
    room.own.points.catch_up()
    going = room.run(b"still going", ended=False)
    room.register(runs[0])
    model = room.own.logged.make(NewModel(experiment=0, run=runs[1])).id
    room.own.files.put(f"model:{model}", "MLmodel", b"large")
    best = Best(metric="auc", runs=2)
    done = room.collect(31, Rule(artifacts_days=30, keep_best=best))
    assert {item.id for item in done.items} == set(runs[1:4])
    assert [item.id for item in done.held] == [runs[0]]
    assert [room.content(run) for run in (runs[0], *runs[4:], going)] == [
        b"0", b"4", b"5", b"still going",
    ]  # fmt: skip
    for run in runs[1:4]:
        assert room.own.runs.get(run).tags == {"a": "1"}
        assert room.own.files.total(f"run:{run}").files == 0
    assert room.own.files.total(f"model:{model}").files == 0
    assert len(room.blobs()) == 4
    assert is_sound(room.stores)
    assert room.collect(31, Rule(artifacts_days=30, keep_best=best)).items == ()


def test_old_traces_go_with_their_spans(room: Room) -> None:
    now_ms = int(time.time() * 1000)
    for trace, began_ms in (("tr-old", now_ms - 86_400_000), ("tr-new", now_ms)):
        room.own.traces.put(trace, 0, TraceReport(began_ms=began_ms, request="who?"))
        room.own.files.put(f"trace:{trace}", "traces.json", trace.encode())
    done = room.collect(0, Rule(traces_days=0.5))
    (entry,) = room.stores.ledger.find("traces.deleted").entries
    assert "0.5 days" in entry.reason
    assert [item.id for item in done.items] == ["tr-old"]
    assert [trace.id for trace in room.own.traces.several(["tr-old", "tr-new"])] == ["tr-new"]
    assert len(room.blobs()) == 1
    assert is_sound(room.stores)


def test_replaced_and_deleted_files_and_bytes_of_nobody_go(room: Room) -> None:
    run = room.run(b"first")
    room.own.files.put(f"run:{run}", "model/weights.bin", b"second")
    room.own.files.put(f"run:{run}", "gone.txt", b"deleted")
    room.own.files.delete(f"run:{run}", "gone.txt")
    room.stores.blobs.put(b"of a commit that never came")
    assert room.collect(0, grace_s=HOUR_S).blobs == 0
    plan = room.collector(0, grace_s=HOUR_S).plan()
    assert (plan.blobs, plan.young) == (0, 1)  # files' facts are too young to count at all
    assert room.collect(1).blobs == 3
    assert room.content(run) == b"second"
    assert is_sound(room.stores)
    (entry,) = room.stores.ledger.find(BlobsRemoved.KIND).entries
    assert len(read(entry, BlobsRemoved).digests) == 3


# ------------------------------------------------------------------- at one moment


def meanwhile(room: Room, monkeypatch: pytest.MonkeyPatch, deed: Callable[[], object]) -> None:
    """Do something between the moment at which a run is looked at, and its removal."""
    commit, is_done = room.stores.ledger.commit, threading.Event()

    def committed(batch: Batch, *, synced: bool = True) -> Receipt:
        if batch.reason.startswith(("gc: run", "gc: artifacts")) and not is_done.is_set():
            is_done.set()
            deed()
        return commit(batch, synced=synced)

    monkeypatch.setattr(room.stores.ledger, "commit", committed)


@pytest.mark.parametrize("what", ["restore", "register", "upload", "delete twice"])
def test_what_happens_in_the_same_moment_is_not_undone(
    room: Room, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run = room.run()
    room.own.names.make("churn")
    room.own.made("name", "churn")
    if what != "upload":
        room.own.runs.delete(run)
    deeds: dict[str, Callable[[], object]] = {
        "restore": lambda: room.own.runs.restore(run),
        "register": lambda: room.register(run),
        "upload": lambda: room.own.files.put(f"run:{run}", "model/weights.bin", b"newer"),
        "delete twice": lambda: room.collect(31, MONTH),
    }
    meanwhile(room, monkeypatch, deeds[what])
    # Restored, it is an old run like others: its files would be past their time.
    done = room.collect(31, Rule(trash_days=30) if what == "restore" else MONTH)
    assert [item.id for item in done.skipped] == [run]
    if what == "delete twice":
        assert not room.has(run)
    else:
        assert room.content(run) == (b"newer" if what == "upload" else b"weights")
    assert is_sound(room.stores)


def test_an_experiment_is_restored_while_its_runs_go(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = room.own.experiments.make("other").number
    runs = [room.own.runs.open(Opening(experiment=number)).id for _ in range(3)]
    room.own.runs.delete(runs[0])
    room.own.experiments.delete(number)
    commit, is_done = room.stores.ledger.commit, threading.Event()

    def committed(batch: Batch, *, synced: bool = True) -> Receipt:
        if batch.reason == "experiment other" and not is_done.is_set():
            is_done.set()
            assert len(room.collect(31, MONTH).items) == 3
            runs.append(room.own.runs.open(Opening()).id)
        return commit(batch, synced=synced)

    monkeypatch.setattr(room.stores.ledger, "commit", committed)
    room.own.experiments.restore(number)
    assert room.own.experiments.get(number).stage == "active"
    assert not any(room.has(run) for run in runs[:3])
    assert room.has(runs[3])


def test_a_run_that_is_gone_cannot_be_registered_from(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = room.run()
    room.own.names.make("churn")
    room.own.made("name", "churn")
    room.own.runs.delete(run)
    commit, is_done = room.stores.ledger.commit, threading.Event()

    def committed(batch: Batch, *, synced: bool = True) -> Receipt:
        if batch.reason.startswith("log the model version") and not is_done.is_set():
            is_done.set()
            room.collect(31, MONTH)
        return commit(batch, synced=synced)

    monkeypatch.setattr(room.stores.ledger, "commit", committed)
    with pytest.raises((NotFound, Invalid)):
        room.register(run)
    assert not room.has(run)
    assert room.own.versions.latest([room.own.names.get("churn").id]).popitem()[1] == []


def test_a_file_that_arrives_as_its_run_goes_is_taken_away_the_next_time(room: Room) -> None:
    run, other = room.run(), room.run(b"another's")
    room.own.runs.delete(run)
    writer = room.own.files.begin(f"run:{run}", "late.bin")
    writer.write(b"late")
    room.collect(31, Rule(trash_days=30))
    writer.finish()
    assert room.collect(32, Rule(trash_days=30)).blobs == 1
    assert room.own.files.total(f"run:{run}").files == 0
    assert room.content(other) == b"another's"
    assert is_sound(room.stores)


def test_facts_hold_what_a_damaged_catalog_has_lost(room: Room) -> None:
    run = room.run()
    number = room.register(run)
    room.own.runs.delete(run)
    version = f"{room.own.names.get('churn').id}/{number}"
    gone = Amendment(collection=VERSIONS, id=version, remove=True)
    room.stores.catalog.write([gone])
    (held,) = room.collect(31, MONTH).held
    assert held.held_by == ("churn:1",)


def test_a_backup_and_a_collector_wait_for_each_other(
    workspace: Workspace, room: Room, tmp_path: Path
) -> None:
    room.run()
    folder = workspace.opened.folder
    with (
        no_collector(folder),
        pytest.raises(Conflict, match="backup"),
        only_collector(folder),
    ):
        pass
    back_up(workspace.opened, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "again" / ".trivet")


# ---------------------------------------------------------------------- by processes


def command(project: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "trivet", *words, "--project", str(project)]


def told(lines: list[str]) -> dict[str, str]:
    """Return the content of each run that stands, by what children said."""
    found: dict[str, str] = {}
    for line in lines:
        word, run, *number = line.split()
        if word == "stands":
            found[run] = number[0]
        else:
            found.pop(run, None)
    return found


def check_standing(own: Project, standing: dict[str, str]) -> None:
    for run, number in standing.items():
        assert own.runs.get(run).tags["n"] == number
        with own.files.open(f"run:{run}", "file")[1] as file:
            assert file.read() == b"content " + number.encode()


@pytest.mark.crash
@pytest.mark.skipif(sys.platform != "linux", reason="kills as Linux knows them")
def test_collectors_that_are_killed_at_any_moment_take_nothing_that_is_needed(
    project: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """While two processes put equal bytes, delete and restore runs, and two collect, and die."""
    with open_workspace(project, actor="ada") as workspace:
        workspace.access.grants()
    env = environment | {"PYTHONPATH": f"{SOURCE}{os.pathsep}{SOURCE.parent}"}
    child = [sys.executable, str(Path(__file__).with_name("collecting_child.py")), str(project)]
    said = [tmp_path / f"said-{seed}" for seed in range(2)]
    writers: list[subprocess.Popen[bytes]] = []
    for seed, path in enumerate(said):
        with path.open("wb") as out:
            words = [*child, str(seed), str(15 * ROUNDS)]
            writers.append(subprocess.Popen(words, env=env, stdout=out))
    gc = [*command(project, "gc", "--yes", "--trash-days", "0", "--json"), "--grace-hours"]
    chance, kills = random.Random(0), 0
    while writers[0].poll() is None:
        collector = subprocess.Popen(
            [*gc, GRACE_HOURS], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            collector.wait(0.4 + chance.random() * 0.8)
        except subprocess.TimeoutExpired:
            collector.send_signal(signal.SIGKILL)
            collector.wait()
            kills += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    lines = [line for path in said for line in path.read_text("ascii").splitlines()]
    assert kills
    print(f"{kills} kills, {len(lines)} lines of what is durable")
    standing = told(lines)
    assert standing
    for _ in range(2):
        with open_workspace(project, actor="ada") as workspace:
            check_standing(Project(workspace.stores, 0, "left"), standing)
            assert check_stores(workspace.stores).is_sound
            report = make_catalog_anew(workspace.opened, "ada")
            assert (report.added, report.changed, report.removed) == (0, 0, 0)
        # Nobody puts bytes any more.
        assert subprocess.run([*gc, "0"], env=env, check=False, capture_output=True).returncode == 0
    assert len([line for line in lines if line.startswith("away")]) > 3


def test_the_command_shows_asks_and_removes(
    project: Path, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with open_workspace(project, actor="ada") as workspace:
        room = Room(workspace.stores)
        runs = [room.run(b"%d" % number) for number in range(2)]
        room.register(runs[0])
        for run in runs:
            room.own.runs.delete(run)

    def call(*words: str) -> str:
        assert main([*words, "--project", str(project)]) == 0
        return capsys.readouterr().out

    assert "kept for good" in call("retention", "show")
    call("retention", "set", "--trash-days", "0", "--keep-best", "3", "--metric", "loss")
    shown = call("retention", "show")
    assert "deleted runs 0 days" in shown
    assert "3 runs with the highest loss" in shown
    plan = call("gc", "--dry-run", "--grace-hours", "0")
    assert "churn:1" in plan
    assert runs[0] in plan
    found = json.loads(call("gc", "--dry-run", "--json", "--grace-hours", "0"))
    assert [item["id"] for item in found["items"]] == [runs[1]]
    assert found["blobs"] == 1
    asked = subprocess.run(
        command(project, "gc"),
        env=environment, input="yes\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode != 0
    assert "--yes" in asked.stderr
    done = json.loads(call("gc", "--yes", "--json", "--grace-hours", "0"))
    assert ([item["id"] for item in done["items"]], done["blobs"]) == ([runs[1]], 1)
    call("retention", "unset")
    assert "kept for good" in call("retention", "show")


@pytest.mark.parametrize(
    "words",
    [
        ("retention", "set"),
        ("retention", "set", "--keep-best", "3"),
        ("retention", "set", "--trash-days", "-3"),
        ("retention", "set", "--trash-days", "3", "--experiment", "nowhere"),
        ("gc", "--trash-days", "nan"),
        ("gc", "--grace-hours", "-1"),
    ],
)
def test_commands_that_say_nonsense_are_refused(
    project: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--project", str(project)]) != 0
    assert "error:" in capsys.readouterr().err


# ------------------------------------------------------------------------ as a whole


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32), days=st.sampled_from([0.0, 31.0]))
def test_whatever_happened_what_stays_is_whole_and_can_be_rebuilt(seed: int, days: float) -> None:
    stores = memory_stores()
    Project(stores, seed, "left").live(150)
    room = Room(stores)
    if room.own.experiments.get(0).stage == "deleted":
        room.own.experiments.restore(0)
    for number in range(4):
        run = room.run(b"%d" % number)
        if number % 2:
            room.own.runs.delete(run)
    plan = room.plan(days, MONTH)
    done = room.collect(days, MONTH)
    assert {item.id for item in done.items} == {item.id for item in plan.items}
    assert (done.blobs, done.blob_bytes) == (plan.blobs, plan.blob_bytes)
    lost = [d for d in check_stores(stores).damages if not d.name.startswith(FAKE)]
    assert lost == []
    report = rebuild_catalog(stores, memory_stores().catalog)
    assert (report.added, report.changed, report.removed, report.troubles) == (0, 0, 0, ())
    assert reshelve(stores, memory_stores().views, "ada") == 0
    again = room.collect(days, MONTH)
    assert (again.items, again.blobs) == ((), 0)


FAKE: Final = ("b3:000", "b3:111", "b3:222")
"""Digests that the living project names without having stored anything."""
