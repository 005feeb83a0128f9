import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trivet.adapters.files.listing import FileListing
from trivet.core.clock import EventClock
from trivet.core.errors import Invalid, NotFound, Unavailable
from trivet.core.facts import HeadMove, Scope, TaskMove, draft
from trivet.core.ports import Listed, Stores, TableVersion
from trivet.data.facts import DataCommit
from trivet.monitoring.facts import Alert
from trivet.pipelines.facts import AssetVersion
from trivet.pipelines.requests import QUEUE
from trivet.tracking.facts import CodeState, Environment, Output, RunFinished, RunStarted
from trivet.triggers.facts import Firing, Options, TriggerSet
from trivet.triggers.seeing import World
from trivet.triggers.service import TriggersService
from trivet.workspace.project_files import TriggerFile

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Bucket:
    """A listing of objects, or of nobody who answers."""

    def __init__(self) -> None:
        self.objects: dict[str, str] = {}
        self.is_away = False

    def list(self, place: str, *, deep: bool = True) -> Iterator[Listed]:
        if self.is_away:
            raise Unavailable("the store did not answer", hint="Wait.")
        return iter([Listed(name, 1, stamp) for name, stamp in self.objects.items()])


@pytest.fixture
def clock() -> EventClock:
    return EventClock(START)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "incoming").mkdir()
    return tmp_path


@pytest.fixture
def triggers(
    stores: Stores, scope: Scope, clock: EventClock, folder: Path, bucket: Bucket
) -> TriggersService:
    world = World(folder=folder, listings={"files": FileListing(folder), "bucket": bucket})
    return TriggersService(stores, scope, clock, world)


Finish = Callable[[], None]


@pytest.fixture
def finish(stores: Stores, scope: Scope) -> Finish:
    def finish_all() -> None:
        for task in stores.journal.claim(QUEUE, owner="runner", lease_s=60, limit=10):
            move = TaskMove(key=task.key, owner="runner", epoch=task.epoch, state="done")
            stores.ledger.commit(scope.batch("done", tasks=[move]))

    return finish_all


def write(folder: Path, name: str, text: str, age_s: int = 0) -> None:
    path = folder / "incoming" / name
    path.write_text(text)
    os.utime(path, (1_700_000_000 + age_s, 1_700_000_000 + age_s))


def outcomes(triggers: TriggersService) -> list[str]:
    return [f"{f.outcome}: {f.reason}" for f in triggers.look()]


def test_a_file_asks_for_a_run_once_it_is_whole(
    triggers: TriggersService, folder: Path, finish: Finish
) -> None:
    write(folder, "old.csv", "1")
    triggers.when("arrivals", "files", do="p:train", watch="incoming/*.csv")
    assert outcomes(triggers) == []  # it lay there when the trigger was set
    write(folder, "a.csv", "1")
    write(folder, "notes.txt", "1")
    assert outcomes(triggers) == []
    write(folder, "a.csv", "1,2", age_s=5)
    assert triggers.explain("arrivals").reason == "nothing new: 1 still being written: a.csv"
    assert outcomes(triggers) == []
    write(folder, "b.csv", "1")
    assert outcomes(triggers) == ["fired: new files: a.csv; 1 still being written: b.csv"]
    finish()
    assert outcomes(triggers) == ["fired: new files: b.csv"]
    finish()
    (folder / "incoming" / "a.csv").unlink()
    assert outcomes(triggers) == []
    write(folder, "b.csv", "other", age_s=9)
    assert outcomes(triggers) == []
    assert outcomes(triggers) == ["fired: new files: b.csv"]


def test_what_was_acted_on_survives_the_loss_of_every_note(
    triggers: TriggersService, folder: Path, finish: Finish, stores: Stores, scope: Scope
) -> None:
    triggers.when("arrivals", "files", do="p:train", watch="incoming")
    write(folder, "a.csv", "1")
    assert [len(triggers.look()) for _ in range(2)] == [0, 1]
    finish()
    stores.views.remove("trigger-notes", {"project": scope.project})
    assert [len(triggers.look()) for _ in range(3)] == [0, 0, 0]


def test_a_new_version_of_an_asset_asks_for_a_run_and_is_its_reason(
    triggers: TriggersService, finish: Finish, stores: Stores, scope: Scope
) -> None:
    def make(number: int) -> str:
        output = Output(name="table", format="json", digest=str(number), size_bytes=1)
        version = AssetVersion(
            name="features.table", number=number, entry="p:features", run="r", output=output
        )
        fact = draft(version)
        move = HeadMove(name="asset/features.table", to=fact.id)
        stores.ledger.commit(scope.batch("made", [fact], heads=[move]))
        return fact.id

    make(1)
    triggers.when("retrain", "asset", do="p:train", watch="features.table", debounce_s=60)
    assert outcomes(triggers) == []  # it stood there when the trigger was set
    triggers.edit("retrain", debounce_s=0)
    triggers.when("early", "asset", do="p:train", watch="unborn.table")
    newest = make(2)
    assert outcomes(triggers) == ["fired: new version 2 of asset features.table, by run r"]
    fired = stores.ledger.find(Firing.KIND, project=scope.project).entries[0]
    assert newest in fired.parents
    finish()
    assert outcomes(triggers) == []
    with pytest.raises(Invalid, match="min_rows belongs to the cause data"):
        triggers.when("x", "asset", do="p:train", watch="a.b", min_rows=3)
    with pytest.raises(Invalid, match="expected a result of a flow"):
        triggers.when("x", "asset", do="p:train")
    for watch in ("features.table@3", "asset:features.table", "features"):
        with pytest.raises(Invalid, match="expected an asset by its name"):
            triggers.when("x", "asset", do="p:train", watch=watch)


def test_objects_in_a_bucket_are_whole_when_they_appear(
    triggers: TriggersService, bucket: Bucket, finish: Finish
) -> None:
    bucket.objects = {"old.csv": "1"}
    triggers.when("feed", "bucket", do="p:train", watch="s3://company/in")
    bucket.objects |= {"a.csv": "etag-1"}
    assert outcomes(triggers) == ["fired: new files: a.csv"]
    finish()
    bucket.objects |= {"a.csv": "etag-2"}
    assert outcomes(triggers) == ["fired: new files: a.csv"]


def test_a_store_that_does_not_answer_is_on_record_once_and_keeps_nobody_from_looking(
    triggers: TriggersService, bucket: Bucket, clock: EventClock
) -> None:
    triggers.when("feed", "bucket", do="p:train", watch="s3://company/in")
    triggers.when("nightly", "cron", do="p:train", watch="@daily")
    bucket.is_away = True
    assert outcomes(triggers) == ["held: could not look: the store did not answer"]
    assert outcomes(triggers) == []
    clock.move_to(START + 25 * HOUR)
    assert outcomes(triggers) == ["fired: due since 2026-03-02 00:00 UTC"]
    bucket.is_away = False
    bucket.objects = {"a.csv": "1"}
    assert outcomes(triggers) == ["fired: new files: a.csv"]


def test_a_trigger_that_cannot_look_is_not_set(triggers: TriggersService, bucket: Bucket) -> None:
    bucket.is_away = True
    with pytest.raises(Unavailable):
        triggers.when("feed", "bucket", do="p:train", watch="s3://company/in")
    with pytest.raises(NotFound, match="no folder or file 'elsewhere'"):
        triggers.when("feed", "files", do="p:train", watch="elsewhere")
    with pytest.raises(Invalid, match="outside the project"):
        triggers.when("feed", "files", do="p:train", watch="/etc")
    assert triggers.all() == ()


def test_a_moved_branch_asks_for_a_run_and_names_the_commit(
    triggers: TriggersService, folder: Path, finish: Finish
) -> None:
    git(folder, "init", "-q", "-b", "main")
    first = commit(folder, "pipeline.py")
    triggers.when("code", "git", do="p:train", watch=".", branch="main", paths=("src",))
    assert outcomes(triggers) == []
    commit(folder, "README.md")
    assert outcomes(triggers) == []
    assert "nothing changed below src" in triggers.explain("code").reason
    tip = commit(folder, "src/features.py")
    (reason,) = outcomes(triggers)
    assert reason == (
        f"fired: main moved to {tip[:10]}, changed: src/features.py; the run uses what is "
        f"checked out, {tip[:10]}"
    )
    finish()
    assert outcomes(triggers) == []
    git(folder, "reset", "-q", "--hard", first)
    assert [r.split(",")[0] for r in outcomes(triggers)] == [f"fired: main moved to {first[:10]}"]


def test_a_branch_that_is_rolled_back_asks_for_a_run_each_time(
    triggers: TriggersService, folder: Path, finish: Finish
) -> None:
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "pipeline.py")
    triggers.when("code", "git", do="p:train", watch=".")
    good = commit(folder, "good.py")
    assert len(outcomes(triggers)) == 1
    finish()
    bad = commit(folder, "bad.py")
    for tip in (bad, good, bad, good):
        git(folder, "reset", "-q", "--hard", tip)
        assert [f.outcome for f in triggers.look()] == ["fired"]
        finish()
        assert outcomes(triggers) == []


def test_a_file_that_is_restored_with_its_time_asks_for_a_run(
    triggers: TriggersService, folder: Path, finish: Finish
) -> None:
    triggers.when("arrivals", "files", do="p:train", watch="incoming")
    for text, age_s in [("1", 0), ("1,2", 5), ("1", 0), ("1,2", 5)]:
        write(folder, "prices.csv", text, age_s)
        assert [outcomes(triggers) for _ in range(2)] == [[], ["fired: new files: prices.csv"]]
        finish()
        assert [outcomes(triggers) for _ in range(2)] == [[], []]


def test_growth_is_counted_from_the_version_that_was_acted_on(
    triggers: TriggersService, stores: Stores, scope: Scope, finish: Finish
) -> None:
    def publish(rows: int) -> None:
        table = TableVersion(
            name="t", version=0, digest="x", rows=rows, size_bytes=1, columns={"a": "int64"}
        )
        item = draft(DataCommit(dataset="flights", tables=(table,), names=("t",), source="feed"))
        head = HeadMove(name="data/flights", to=item.id)
        stores.ledger.commit(scope.batch("publish", [item], heads=[head]))

    publish(1000)
    triggers.when("fresh", "data", do="p:train", watch="flights", min_rows=100)
    publish(1060)
    assert outcomes(triggers) == ["held: 60 rows came since the last run; 100 are asked for"]
    assert outcomes(triggers) == []
    publish(1100)
    assert outcomes(triggers) == ["fired: new data: feed, 100 rows more than at the last run"]
    finish()
    publish(1150)
    assert outcomes(triggers) == ["held: 50 rows came since the last run; 100 are asked for"]


def test_only_alerts_of_the_kinds_asked_for_count(
    triggers: TriggersService, stores: Stores, scope: Scope
) -> None:
    triggers.when("drifts", "alert", do="p:train", watch="delay", kinds=("drift",))
    for kind in ("drift", "quality"):
        alert = Alert(
            endpoint="delay",
            fingerprint=kind,
            kind=kind,
            release="0" * 32,
            model="0" * 32,
            event_time=START,
            since=START,
            metric="m",
            value=0.1,
            low=0.05,
            high=0.15,
            baseline=0.0,
            tolerance=0.01,
            summary=f"{kind} got worse",
            causes=(),
            action="retrain",
        )
        stores.ledger.commit(scope.batch("alert", [draft(alert)]))
    assert outcomes(triggers) == ["fired: alert: drift got worse"]


def test_a_burst_of_a_thousand_events_asks_for_one_run(
    triggers: TriggersService, bucket: Bucket, clock: EventClock, stores: Stores
) -> None:
    triggers.when("feed", "bucket", do="p:train", watch="s3://company/in", debounce_s=60.0)
    told: list[str] = []
    for number in range(1000):
        bucket.objects[f"{number}.csv"] = "1"
        triggers.wake("feed")
        told += [f.reason for f in triggers.look_at_woken()]
        clock.move_to(START + timedelta(seconds=number * 0.1))
    clock.move_to(START + timedelta(seconds=200))
    told += outcomes(triggers)
    assert told == [
        "waits until it has been quiet for 60 s",
        "fired: new files: 0.csv, 1.csv, 10.csv and 997 more",
    ]
    assert len(stores.journal.tasks(QUEUE)) == 1


def test_waking_looks_at_the_woken_alone(
    triggers: TriggersService, bucket: Bucket, folder: Path
) -> None:
    triggers.when("feed", "bucket", do="p:train", watch="s3://company/in")
    triggers.when("other", "bucket", do="p:train", watch="s3://company/in")
    triggers.look()
    bucket.objects = {"a.csv": "1"}
    assert triggers.look_at_woken() == ()
    triggers.wake("feed")
    assert [f.trigger for f in triggers.look_at_woken()] == ["feed"]
    assert triggers.look_at_woken() == ()


def test_what_its_runs_took_is_summed_over_a_week(
    triggers: TriggersService,
    stores: Stores,
    scope: Scope,
    bucket: Bucket,
    clock: EventClock,
    finish: Finish,
) -> None:
    def run_it(seconds: float) -> None:
        firing = stores.ledger.find("trigger.firing", limit=1).entries[0].id
        code = CodeState(tree="b3:0", entry="p:train")
        environment = Environment(
            lock="b3:0", packages=0, python="3", platform="x", processors=1, memory_bytes=1
        )
        start = RunStarted(name="train", code=code, environment=environment, asked_by=firing)
        run = draft(start, parents=[firing])
        ended = draft(RunFinished(run=run.id, status="failed", seconds=seconds), parents=[run.id])
        stores.ledger.commit(scope.batch("run", [run, ended]))
        finish()

    triggers.when("feed", "bucket", do="p:train", watch="s3://c/in", seconds_per_week=100.0)
    seen: list[str] = []
    for day in range(10):
        clock.move_to(START + day * 24 * HOUR)
        bucket.objects[f"{day}.csv"] = "1"
        found = outcomes(triggers)
        seen += [text.partition(":")[0] for text in found]
        if found and found[0].startswith("fired"):
            run_it(60.0)
    # Two runs spend a week; a refusal that stands is said once; a week later they count no more.
    assert seen == ["fired", "fired", "held", "fired", "fired", "held"]


def test_a_change_keeps_what_is_not_named_and_what_was_seen(
    triggers: TriggersService, bucket: Bucket
) -> None:
    triggers.when("feed", "bucket", do="p:train", watch="s3://c/in", per_week=3, debounce_s=0.0)
    bucket.objects = {"a.csv": "1"}
    changed = triggers.edit("feed", cooldown_s=60.0, parameters={"n": 1}).rule
    assert (changed.per_week, changed.cooldown_s, changed.parameters) == (3, 60.0, {"n": 1})
    assert outcomes(triggers) == ["fired: new files: a.csv"]
    elsewhere = triggers.edit("feed", watch="s3://c/other").rule
    assert elsewhere.per_week == 3
    assert outcomes(triggers) == []  # what lies in the new place lay there before
    with pytest.raises(Invalid, match="zone belongs to"):
        triggers.edit("feed", zone="Europe/Berlin")
    with pytest.raises(NotFound):
        triggers.edit("nope", per_week=1)


def test_a_removed_trigger_looks_at_nothing_and_its_past_stays(
    triggers: TriggersService, bucket: Bucket, stores: Stores, scope: Scope, finish: Finish
) -> None:
    triggers.when("feed", "bucket", do="p:train", watch="s3://c/in")
    bucket.objects = {"a.csv": "1"}
    triggers.look()
    finish()
    triggers.remove("feed", "the feed has ended")
    bucket.objects |= {"b.csv": "1"}
    assert triggers.look() == ()
    assert [f.outcome for f in triggers.firings("feed")] == ["fired"]
    moved = stores.ledger.find("head.moved", limit=1).entries[0]
    assert (moved.reason, moved.actor) == ("the feed has ended", scope.actor)
    with pytest.raises(NotFound):
        triggers.remove("feed", "again")
    # Set again, it begins with what is there now.
    triggers.when("feed", "bucket", do="p:train", watch="s3://c/in")
    assert triggers.look() == ()


def test_explaining_changes_nothing(
    triggers: TriggersService, bucket: Bucket, stores: Stores
) -> None:
    triggers.when("feed", "bucket", do="p:train", watch="s3://c/in", debounce_s=0.0)
    bucket.objects = {"a.csv": "1"}
    before = stores.ledger.since(0)
    told = triggers.explain("feed")
    assert (told.would_fire, told.reason) == (True, "new files: a.csv")
    assert stores.ledger.since(0) == before
    assert stores.journal.tasks(QUEUE) == ()
    assert outcomes(triggers) == ["fired: new files: a.csv"]


def test_the_next_times_are_shown_in_their_zone(
    triggers: TriggersService, clock: EventClock
) -> None:
    triggers.when("nightly", "cron", do="p:train", watch="30 2 * * *", zone="Europe/Berlin")
    triggers.when("hourly", "schedule", do="p:train", watch="3600")
    triggers.when("ask", "hand", do="p:train")
    clock.move_to(datetime(2026, 3, 27, 12, tzinfo=UTC))
    assert [f"{at:%m-%d %H:%M %Z}" for at in triggers.next_times("nightly", 3)] == [
        "03-28 02:30 CET",
        "03-29 03:00 CEST",
        "03-30 02:30 CEST",
    ]
    assert [at.hour for at in triggers.next_times("hourly", 2)] == [13, 14]
    with pytest.raises(Invalid, match="has no times"):
        triggers.next_times("ask")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"per_day": 3}, "has no option 'per_day'"),
        ({"paths": "src"}, "Expected `array`, got `str`"),
        ({"per_week": "3"}, "Expected `int"),
        ({"kinds": ["odd"]}, "Invalid enum value 'odd'"),
    ],
)
def test_an_option_of_another_type_is_refused(
    triggers: TriggersService, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(Invalid) as caught:
        triggers.when("x", "hand", do="p:train", **options)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_list_is_as_good_as_a_tuple(triggers: TriggersService, folder: Path) -> None:
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "a.py")
    paths: Any = ["src"]
    first = triggers.when("code", "git", do="p:train", watch=".", paths=paths)
    assert first.rule.paths == ("src",)
    assert triggers.when("code", "git", do="p:train", watch=".", paths=("src",)) == first


def test_fact_file_and_call_know_the_same_options() -> None:
    options = set(Options.__annotations__)
    for struct in (TriggerSet, TriggerFile):
        assert options <= set(struct.__struct_fields__)
    asked = {"cause", "watch", "flow", "parameters"}
    assert set(TriggerFile.__struct_fields__) == options | asked
    for name in options:
        default = TriggerFile(cause="hand").options()[name]
        rule = TriggerSet(name="x", cause="hand", watch="", flow="p:f", since=START)
        assert getattr(rule, name) == default


def git(folder: Path, *arguments: str) -> str:

    who = {
        f"GIT_{role}_{what}": "ada"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | who | quiet
    )
    return done.stdout.strip()


def commit(folder: Path, name: str) -> str:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "change")
    return git(folder, "rev-parse", "HEAD")
