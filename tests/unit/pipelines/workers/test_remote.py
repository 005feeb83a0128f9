"""Steps in warm processes: the same keys and values as in the flow's own process."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.unit.pipelines.workers.pooled import Pooled

from trivet.core.errors import Invalid, TrivetError, Unavailable, Unsupported
from trivet.core.ports import SeriesKey
from trivet.core.work import Needs
from trivet.pipelines.authoring import map as map_steps
from trivet.pipelines.authoring import step
from trivet.pipelines.workers.exchange import INLINE_BYTES

PID = """
@step(where="pool")
def pid(n: int = 0) -> int:
    return os.getpid()

@flow
def main():
    return {"pids": [pid(n) for n in range(5)]}
"""


def test_a_step_in_the_pool_runs_in_a_process_of_its_own_that_stays_warm(project: Pooled) -> None:
    project.write(PID)
    pids = project.ws.pipelines.value(project.run().id, "pids")
    assert os.getpid() not in pids
    assert len(set(pids)) == 1


def test_where_a_step_runs_changes_neither_its_key_nor_its_value(project: Pooled) -> None:
    text = """
@step{options}
def make(n: int):
    return {{"n": n, "odd": (1.5, float("inf")), "bytes": b"x" * n}}

@flow
def main():
    return {{"made": make(3)}}
"""
    project.write(text.format(options=""))
    here = project.run()
    project.write(text.format(options='(where="pool", cpus=2, memory_mib=4000)'))
    there = project.run()
    assert project.statuses(there) == [("make", "remembered")]
    project.write(text.format(options='(where="pool", version="2")'))
    made = project.run()
    assert project.statuses(made) == [("make", "run")]
    value = project.ws.pipelines.value
    assert value(made.id, "made") == value(here.id, "made")


def test_five_hundred_steps_are_made_and_then_remembered(project: Pooled) -> None:
    project.write("""
@step(where="pool")
def double(n: int) -> int:
    return 2 * n

@flow
def main(count: int = 500):
    return {"doubled": map(double, range(count))}
""")
    first, second = project.run(), project.run()
    value = project.ws.pipelines.value
    assert value(first.id, "doubled") == value(second.id, "doubled") == list(range(0, 1000, 2))
    assert {status for _, status in project.statuses(second)} == {"remembered"}


def test_large_values_travel_by_reference_and_are_stored_once(project: Pooled) -> None:
    project.write("""
import numpy as np
import polars as pl

@step(where="pool")
def make(rows: int) -> pl.DataFrame:
    return pl.DataFrame({"x": np.random.default_rng(1).random(rows)})

@step(where="pool")
def total(frame: pl.DataFrame, weight: int) -> float:
    return frame["x"].sum() * weight

@flow
def main():
    frame = make(1_000_000)
    return {"totals": [total(frame, weight) for weight in range(4)]}
""")
    run = project.run()
    totals = project.ws.pipelines.value(run.id, "totals")
    assert totals[0] == 0
    assert totals[3] == pytest.approx(3 * np.random.default_rng(1).random(1_000_000).sum())
    assert max(project.watched.bodies) < INLINE_BYTES


def test_an_argument_of_any_kind_arrives_as_it_was(project: Pooled, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("tea")
    pl.DataFrame({"a": [1, 2, 3]}).write_csv(tmp_path / "customers.csv")
    project.write("""
import polars as pl

class Setting:
    name = "strong"

def twice(n):
    return 2 * n

@step(where="pool")
def look(one, /, table, *rest, path, call, kind, notes, default=(1, 2), **more):
    rows = pl.DataFrame(table)["a"].sum()
    return [one, rows, rest, path.read_text(), call(4), kind.name, open(notes).read(), default,
            more["frame"]["b"].to_list()]

@flow
def main(table: Data = "customers.csv", notes: File = "notes.txt"):
    frame = pl.DataFrame({"b": ["x"]})
    return {"saw": look({"k": {1, 2}}, table, b"r", path=Path("notes.txt").absolute(), call=twice,
                        kind=Setting, notes=notes, frame=frame)}
""")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        run = project.run()
    finally:
        os.chdir(before)
    saw = project.ws.pipelines.value(run.id, "saw")
    assert saw == [{"k": {1, 2}}, 6, (b"r",), "tea", 8, "strong", "tea", (1, 2), ["x"]]


def test_the_step_knows_its_run_and_what_it_logs_and_prints_arrives(
    project: Pooled, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("""
@step(where="pool")
def learn():
    for n in range(3):
        current().log(loss=1 / (n + 1), step=n)
    print("learnt")
    return [current().run, current().flow, current().step]

@flow
def main():
    return {"knew": learn()}
""")
    run = project.run()
    assert project.ws.pipelines.value(run.id, "knew") == [run.id, "main", "learn"]
    points = project.ws.stores.series.read(SeriesKey(run.id, "loss"))
    assert list(points.values) == [1.0, 0.5, 1 / 3]
    assert "learnt\n" in capsys.readouterr().out


def test_a_worker_that_is_killed_fails_its_step_which_is_tried_again_when_it_may_be(
    project: Pooled,
) -> None:
    project.write("""
@step(where="pool")
def doomed(n: int):
    os.kill(os.getpid(), signal.SIGKILL)

@step(where="pool", retries=1)
def lucky(place: str):
    if not Path(place).exists():
        Path(place).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"

@flow
def main():
    doomed(1)

@flow
def other(place: str):
    return {"words": lucky(place)}
""")
    with pytest.raises(Unavailable, match="SIGKILL") as refused:
        project.run()
    assert refused.value.code == "worker-died"
    events: list[str] = []
    run = project.run(
        "pipeline:other",
        place=str(project.folder / "mark"),
        on_event=lambda event: events.append(event.kind),
    )
    assert project.ws.pipelines.value(run.id, "words") == "done"
    assert events == ["started", "retried", "done"]


def test_a_step_over_its_time_limit_is_ended_whatever_it_does(project: Pooled) -> None:
    project.write("""
@step(where="pool", timeout_s=0.5)
def stubborn():
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass

@flow
def main():
    stubborn()
""")
    with pytest.raises(Unavailable, match=r"0\.5 seconds") as refused:
        project.run()
    assert refused.value.code == "step-timeout"


def test_an_edit_between_runs_reaches_the_workers(project: Pooled) -> None:
    text = """
from helpers import rate

@step(where="pool")
def price(n: int) -> int:
    return n * rate()

@flow
def main():
    return {"price": price(2)}
"""
    for number in (3, 5, 7):
        project.write(f"def rate():\n    return {number}\n", name="helpers")
        project.write(text)
        run = project.run()
        assert run.finished.metrics == {"price": 2.0 * number}
        assert project.statuses(run) == [("price", "run")]


def test_what_the_program_changed_after_the_import_is_named_and_not_overlooked(
    project: Pooled,
) -> None:
    project.write("""
RATES = {"tea": 1}

@step(where="pool")
def price(name: str) -> int:
    return RATES[name]

@flow
def main():
    RATES["tea"] = 2
    return {"price": price("tea")}
""")
    with pytest.raises(Invalid, match=r"pipeline\.RATES") as refused:
        project.run()
    assert refused.value.code == "other-code"
    assert "argument" in refused.value.hint


def test_what_a_step_left_in_a_module_does_not_reach_the_next_step(project: Pooled) -> None:
    project.write("""
SEEN = []

@step(where="pool")
def note(n: int) -> int:
    SEEN.append(n)
    return len(SEEN)

@step(where="pool")
def count() -> int:
    return len(SEEN)

@flow
def main():
    return {"note": note(1), "count": count()}
""")
    assert project.run().finished.metrics == {"note": 1.0, "count": 0.0}


INSIDE = """
def make():
    @step(where="pool")
    def inner():
        return 1
    return inner
"""
LAMBDA = """
def make():
    return step(where="pool")(lambda: 1)
"""
IN_MAIN = """
@step(where="pool")
def inner():
    return 1

inner.__wrapped__.__module__ = "__main__"

def make():
    return inner
"""


@pytest.mark.parametrize(
    ("text", "code"), [(INSIDE, "no-name"), (LAMBDA, "no-name"), (IN_MAIN, "no-module")]
)
def test_a_function_that_a_worker_cannot_import_is_refused(
    project: Pooled, text: str, code: str
) -> None:
    project.write(text + "\n@flow\ndef main():\n    make()()\n")
    with pytest.raises(Invalid) as refused:
        project.run()
    assert refused.value.code == code


def test_an_argument_that_cannot_cross_is_refused_by_name(project: Pooled) -> None:
    project.write("""
@step(where="pool")
def take(thing): return 1

@flow
def main():
    take(object())
""")
    with pytest.raises(Invalid, match="'thing'"):
        project.run()


def test_what_a_worker_keeps_of_a_file_is_told_of_to_the_next_step(project: Pooled) -> None:
    (project.folder / "settings.json").write_text("2")
    time.sleep(0.02)  # a file system's clock ticks slowly: the file is older than the step
    project.write("""
import functools

@functools.lru_cache
def settings():
    return int((Path(__file__).parent / "settings.json").read_text())

@step(where="pool")
def one():
    return os.getpid(), settings()

@step(where="pool")
def two():
    return os.getpid(), settings()

@flow
def main():
    return {"a": one(), "b": two()}
""")
    run = project.run()
    value = project.ws.pipelines.value
    assert value(run.id, "a") == value(run.id, "b")  # by one process
    one, two = project.ws.pipelines.steps(run.id)
    assert "step 'one' read settings.json, which" in one.warnings[0]
    assert "step 'two' uses pipeline.settings, which read settings.json" in two.warnings[0]


def test_a_change_of_an_argument_stays_in_the_worker_and_is_told_of(project: Pooled) -> None:
    project.write(
        "@step(where='pool')\n"
        "def push(rows: list, number: float, path: Path, text: str) -> int:\n"
        "    rows.append(number)\n    return len(rows)\n"
        "@step(where='pool')\ndef look(rows: list) -> int:\n    return len(rows)\n"
        "@flow\ndef main():\n    rows = [1.5]\n    push(rows, 2.5, Path(__file__), 'x')\n"
        "    return {'rows': rows, 'seen': look(rows)}\n"
    )
    told: list[str] = []
    for _ in range(2):
        run = project.run(on_event=lambda event: event.kind == "warned" and told.append(event.text))
        assert project.ws.pipelines.value(run.id, "rows") == [1.5]
    assert project.statuses(run) == [("push", "remembered"), ("look", "remembered")]
    assert len(told) == 2
    assert "'push' changed its argument 'rows' in place; in the pool it has a copy" in told[0]


def test_steps_inside_a_step_are_part_of_it_and_effects_are_refused(project: Pooled) -> None:
    project.write("""
@step
def inner(n: int) -> int:
    return n + 1

@step(where="pool")
def outer(n: int) -> int:
    return inner(n) + sum(map(inner, [1, 2]))

@effect
def announce():
    return 1

@step(where="pool")
def loud():
    announce()

@flow
def main():
    return {"n": outer(1)}

@flow
def other():
    loud()
""")
    run = project.run()
    assert run.finished.metrics == {"n": 7.0}
    assert project.statuses(run) == [("outer", "run")]
    with pytest.raises(Invalid, match="announce") as refused:
        project.run("pipeline:other")
    assert refused.value.code == "effect-in-step"


MEETING = """
@step(where="pool")
def meet(n: int) -> int:
    Path(f"{folder}/came-{n}").touch()
    while len(list(Path("{folder}").glob("came-*"))) < 2:
        time.sleep(0.01)
    return n
"""


def test_map_runs_items_side_by_side_and_returns_them_in_order(project: Pooled) -> None:
    if project.watched.width(Needs()) < 2:
        pytest.skip("this machine has one processor")
    meeting = MEETING.replace("{folder}", str(project.folder))
    project.write(meeting + "\n@flow\ndef main():\n    return {'met': map(meet, [2, 1, 3])}\n")
    run = project.run()
    assert project.ws.pipelines.value(run.id, "met") == [2, 1, 3]


def test_threads_of_the_flow_call_steps_in_a_copy_of_its_context(project: Pooled) -> None:
    if project.watched.width(Needs()) < 2:
        pytest.skip("this machine has one processor")
    meeting = MEETING.replace("{folder}", str(project.folder))
    project.write(
        meeting
        + """
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

@flow
def main():
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(copy_context().run, meet, n) for n in range(2)]
        return {"met": [call.result() for call in calls]}
"""
    )
    run = project.run()
    assert project.ws.pipelines.value(run.id, "met") == [0, 1]
    assert sorted(project.statuses(run)) == [("meet", "run")] * 2


def test_the_first_error_of_a_map_is_raised_with_its_item_and_ends_the_other_calls(
    project: Pooled,
) -> None:
    if project.watched.width(Needs()) < 2:
        pytest.skip("this machine has one processor")
    project.write("""
@step(where="pool")
def slow(n: int, place: str) -> int:
    (Path(place) / f"came-{n}").touch()
    while n == 0 and not (Path(place) / "came-1").exists():
        time.sleep(0.01)
    if n == 0:
        raise LookupError("no tea")
    time.sleep(600)

@flow
def main(place: str):
    map(slow, range(2), place)
""")
    with pytest.raises(LookupError, match="no tea") as raised:
        project.run(place=str(project.folder))
    assert "at item 0 of map over 'slow'" in raised.value.__notes__
    assert "step 'slow': LookupError" in project.ws.tracking.runs()[0].finished.error


def test_map_reads_no_further_ahead_than_a_few_items(project: Pooled) -> None:
    project.write("""
READ = []

@step(where="pool")
def take(n: int) -> int:
    if n == 10:
        raise LookupError("no tea")
    return n

def items():
    for n in range(10_000):
        READ.append(n)
        yield n

@flow
def main():
    map(take, items())
""")
    with pytest.raises(LookupError, match="no tea"):
        project.run()
    assert len(sys.modules["pipeline"].READ) < 100


def test_a_run_without_workers_says_what_is_missing(project: Pooled) -> None:
    project.write(PID)
    project.ws.pipelines._means.remote._elsewhere = None
    with pytest.raises(Unsupported, match="'pid'"):
        project.run()


def test_outside_a_run_a_step_of_the_pool_is_its_function() -> None:
    double = step(where="pool")(lambda n: 2 * n)
    assert map_steps(double, [1, 2]) == [2, 4]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"where": "cloud"}, "'here' or 'pool'"),
        ({"where": "pool", "cpus": 0}, "cpus=0"),
        ({"where": "pool", "cpus": 1.5}, "cpus=1.5"),
        ({"where": "pool", "gpus": -1}, "gpus=-1"),
        ({"where": "pool", "memory_mib": True}, "memory_mib=True"),
        ({"cpus": 2}, "where='pool'"),
        ({"env": "requirements.txt"}, "where='pool'"),
    ],
)
def test_an_option_that_cannot_be_kept_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words) as refused:
        step(**options)(len)
    assert refused.value.code == "bad-option"
    assert refused.value.hint


def test_an_environment_that_is_not_there_is_refused_before_anything_runs(project: Pooled) -> None:
    project.write(PID.replace('where="pool"', 'where="pool", env="needs.txt"'))
    with pytest.raises(TrivetError, match=r"needs\.txt"):
        project.run()
