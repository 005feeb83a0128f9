"""What programs reported comes to the server: all of it, each thing once, whatever breaks."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trivet.core.errors import Unavailable
from trivet.core.ids import new_id
from trivet.tracking.reporting.facts import Report, ReportedRun
from trivet.tracking.reporting.runs import PARENT, Opening


def shown(run: ReportedRun) -> dict[str, Any]:
    metrics = {name: (m.value, m.step) for name, m in run.metrics.items()}
    return {
        "name": run.name,
        "status": run.status,
        "began": run.began_ms,
        "ended": run.ended_ms,
        "parameters": run.parameters,
        "tags": run.tags,
        "metrics": metrics,
    }


def test_a_run_stands_there_as_it_stands_here(pair: Any, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)\n")
    with pair.program.begin("digits", name="first", parameters={"lr": 0.1}, system=False) as run:
        for step in range(1000):
            run.log(loss=1 / (step + 1), step=step)
        run.set_tags(a=1, b=2)
        run.artifact(b"x" * 300_000, "model/weights.bin")
        run.text("note", "hello")
        with pair.program.begin("digits", parent=run.id, system=False) as inner:
            inner.log(loss=float("nan"))
    pair.sender().send()
    for each in (run, inner):
        here, there = (side.reported.get(each.id) for side in (pair.program, pair.server))
        assert repr(shown(here)) == repr(shown(there))
    assert pair.server.experiments.by_name("digits").number == there.experiment
    assert there.tags[PARENT] == run.id
    _, stream = pair.server.artifacts.open(f"run:{run.id}", "model/weights.bin")
    assert stream.read() == b"x" * 300_000
    assert [m.key for m in pair.server.media(run.id)] == ["note"]
    assert pair.server.reported.observed(run.id) == pair.program.reported.observed(run.id)


def test_nothing_is_sent_twice(pair: Any) -> None:
    with pair.program.begin(system=False) as run:
        run.log(loss=1)
        run.artifact(b"x", "x.bin")
    first = pair.sender().send()
    assert (first[run.id].points, first[run.id].entries > 2) == (1, True)
    asked = len(pair.network.asked)
    assert pair.sender().send() == {}
    assert pair.sender().pending() == {}
    assert len(pair.network.asked) == asked


def test_what_is_to_be_sent_is_counted_without_asking(pair: Any) -> None:
    with pair.program.begin(system=False) as run:
        run.log(loss=1)
    tally = pair.sender().pending()[run.id]
    assert (tally.points, tally.entries >= 2) == (1, True)
    assert pair.network.asked == []


def test_files_that_the_server_has_are_not_sent_again(pair: Any) -> None:
    for name in ("one", "two"):
        with pair.program.begin(name=name, system=False) as run:
            run.artifact(b"y" * 500_000, "same.bin")
        pair.sender().send()
    puts = [path for method, path in pair.network.asked if method == "PUT"]
    assert len(puts) == 1


def test_points_of_several_machines_become_one_run(pairs: Callable[..., Any]) -> None:
    one = pairs()
    two = pairs(one.there)
    with one.program.begin("digits", name="shared", system=False) as run:
        run.log(loss=1, step=0)
        two.program.reported.stand_in(run.id)
        with two.program.join(run.id) as other:
            other.log({"loss": 2, "rank1/loss": 3}, step=1)
            other.set_tags(rank1="here")
        refused = two.sender()
        refused.send()
        assert refused.waits  # the server has not heard of the run yet
        waiting = two.sender().pending()[run.id]
        assert (waiting.entries, waiting.points) == (1, 2)
        one.sender().send()
        two.sender().send()
    one.sender().send()
    found = one.server.reported.get(run.id)
    assert (found.name, found.status, found.tags) == ("shared", "succeeded", {"rank1": "here"})
    points = one.server.reported.metrics.history(run.id, "loss")
    assert sorted((point.step, point.value) for point in points) == [(0, 1.0), (1, 2.0)]
    assert found.metrics["rank1/loss"].value == 3
    assert not two.sender().waits


def test_what_is_refused_waits_and_the_rest_goes_on(pair: Any) -> None:
    with pair.program.begin(system=False) as kept, pair.program.begin(system=False) as deleted:
        pair.sender().send()
        pair.server.reported.delete(deleted.id)
        for run in (kept, deleted):
            run.log(loss=1)
            run.set_tags(k="v")
    tallies = pair.sender().send()
    assert tallies[deleted.id].waiting.startswith("not-active")
    assert pair.sender().pending()[deleted.id].entries >= 2  # tags, and the end
    assert pair.server.reported.get(kept.id).status == "succeeded"
    pair.server.reported.restore(deleted.id)
    sender = pair.sender()
    sender.send()
    assert not sender.waits
    found = pair.server.reported.get(deleted.id)
    assert (found.status, found.tags, found.metrics["loss"].value) == ("succeeded", {"k": "v"}, 1)


def test_a_report_whose_answer_was_lost_does_not_undo_a_newer_one(pair: Any) -> None:
    with pair.program.begin(system=False) as run:
        pair.sender().send()
        run.set_tags(k="old")
        pair.network.faults = iter(["unanswered"])
        with pytest.raises(Unavailable):
            pair.sender().send()
        assert pair.server.reported.get(run.id).tags["k"] == "old"
        pair.server.reported.report(run.id, Report(tags={"k": "new"}))
        pair.sender().send()
        assert pair.server.reported.get(run.id).tags["k"] == "new"


def test_an_end_that_comes_late_does_not_end_a_run_that_was_resumed(
    pairs: Callable[..., Any],
) -> None:
    died = pairs()
    comes_back = pairs(died.there)
    with died.program.begin("digits", system=False) as run:
        died.sender().send()
        run.set_parameters(lr=0.1)
    comes_back.program.reported.stand_in(run.id)
    again = comes_back.program.resume(run.id, system=False)
    comes_back.sender().send()
    died.sender().send()  # what it had left: parameters, and that it ended
    found = died.server.reported.get(run.id)
    assert (found.status, found.ended_ms, found.parameters) == ("running", None, {"lr": "0.1"})
    again.finish("failed")
    comes_back.sender().send()
    assert died.server.reported.get(run.id).status == "failed"


def test_a_run_that_was_deleted_at_once_has_its_points_when_it_is_restored(pair: Any) -> None:
    with pair.program.begin(system=False) as run:
        run.log(loss=1)
    pair.program.reported.delete(run.id)
    sender = pair.sender()
    sender.send()
    assert not sender.waits
    assert pair.server.reported.get(run.id).stage == "deleted"
    pair.server.reported.restore(run.id)
    assert pair.server.reported.get(run.id).metrics["loss"].value == 1


def test_a_file_that_is_gone_here_holds_up_nothing_else(pair: Any) -> None:
    with pair.program.begin(system=False) as run:
        run.artifact(b"kept", "kept.bin")
        gone = run.artifact(b"gone", "gone.bin")[0].digest
        run.log(loss=1)
    pair.here.blobs.delete(gone)
    sender = pair.sender()
    assert sender.send()[run.id].waiting.startswith("no-file")
    found = pair.server.reported.get(run.id)
    assert (found.status, found.metrics["loss"].value) == ("succeeded", 1)
    assert [item.name for item in pair.server.artifacts.list(f"run:{run.id}")] == ["kept.bin"]
    pair.here.blobs.put(b"gone")
    sender.send()
    assert not sender.waits


def test_many_small_files_are_asked_for_and_sent_together(pair: Any, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(300):
        (tmp_path / "many" / f"{number}.txt").write_text(str(number))
    with pair.program.begin(system=False) as run:
        run.artifact(tmp_path / "many")
    pair.sender().send()
    assert len(list(pair.server.artifacts.list(f"run:{run.id}", "many"))) == 300
    assert len(pair.network.asked) < 10


ACTIONS = st.one_of(
    st.tuples(st.just("log"), st.integers(0, 5), st.integers(0, 3)),
    st.tuples(st.just("tag"), st.sampled_from("abc"), st.integers(0, 3)),
    st.tuples(st.just("file"), st.sampled_from("abc"), st.integers(0, 3)),
    st.tuples(st.just("flush"), st.none(), st.none()),
    st.tuples(st.just("crash"), st.none(), st.none()),
    st.tuples(
        st.just("sync"),
        st.integers(0, 3),
        st.sampled_from(["", "lost", "unanswered"]),
    ),
)


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=st.lists(ACTIONS, min_size=4, max_size=25))
def test_whatever_breaks_the_points_are_exactly_those_that_were_logged(
    pairs: Callable[..., Any], actions: list[tuple[str, Any, Any]]
) -> None:
    pair = pairs()
    run = pair.program.reported.open(Opening(id=new_id(), began_ms=1)).id
    live, sender, when = pair.program.join(run), pair.sender(), 0
    for what, first, second in actions:
        if what == "log":
            live.log({f"m{second}": when}, step=first)
            when += 1
        elif what == "tag":
            live.set_tags({first: second})
        elif what == "file":
            live.artifact(bytes([second]) * 10, f"{first}.bin")
        elif what == "flush":
            live.flush()
        elif what == "crash":
            sender = pair.sender()
        else:
            live.flush()
            pair.network.faults = iter([*[""] * first, second])
            with suppress(Unavailable):
                sender.send()
            pair.network.faults = iter(())
    live.finish()
    sender.send()
    here, there = (side.reported.get(run) for side in (pair.program, pair.server))
    assert shown(here) == shown(there)
    for name in here.metrics:
        points = [side.reported.metrics.history(run, name) for side in (pair.program, pair.server)]
        assert points[0] == points[1]
    files = [
        [(each.path, each.digest) for each in side.artifacts._shelves.below(f"run:{run}", "")]
        for side in (pair.program, pair.server)
    ]
    assert files[0] == files[1]
