"""Runs whose processes die, are cancelled or come back too late, and runs that go on from there."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from trivet.core.errors import Conflict, Unavailable
from trivet.core.facts import Claim, TaskMove, TaskNew
from trivet.core.ids import new_id
from trivet.core.ports import Task
from trivet.pipelines import lifecycle
from trivet.pipelines.failures import Terminated
from trivet.pipelines.requests import FOREGROUND, RunRequest, new_task
from trivet.pipelines.tenure import Tenure, is_gone, new_owner
from trivet.tracking.service import Attempt

PATIENCE_S = 60.0
EFFECTS = """
sent = []

@effect
def send(text: str) -> int:
    sent.append(text)
    return len(sent)

@step
def work(number: int) -> int:
    return number

@flow
def main(day: int = 1, fails: bool = True):
    send(f"day {day}")
    work(day)
    if fails and BREAKS:
        raise RuntimeError("broken")
    return {"day": day}
"""
ENDLESS = """
import time
from pathlib import Path

@step
def wait(seconds: float) -> int:
    Path(__file__).with_name("begun").touch()
    time.sleep(seconds)
    return 1

@flow
def main():
    return {"waited": [wait(300.0)]}
"""


HOOKED = """
hooks = []

@step
def work(number: int) -> int:
    return number

@flow
def main():
    work(1)
    for hook in hooks:
        hook()
    work(2)
    return {"n": 1}
"""


def sent(project: Any) -> list[str]:
    project.pipelines.load_flow("pipeline:main")
    return sys.modules["pipeline"].sent


def hooks(project: Any) -> list[Callable[[], object]]:
    project.pipelines.load_flow("pipeline:main")
    return sys.modules["pipeline"].hooks


def asked(project: Any, **parameters: Any) -> TaskNew:
    request = RunRequest(flow="pipeline:main", parameters=parameters)
    new = new_task(request, key="ask-1", max_attempts=3)
    project.stores.ledger.commit(project.scope.batch("ask", tasks=[new]))
    return new


def claim(project: Any, lease_s: float = 60.0) -> Task:
    (task,) = project.stores.journal.claim("runs", owner=new_owner(), lease_s=lease_s)
    return task


def test_running_again_after_a_failure_goes_on_where_it_stood(project: Any) -> None:
    project.write("BREAKS = True\n" + EFFECTS)
    with pytest.raises(RuntimeError):
        project.run()
    assert sent(project) == ["day 1"]
    project.write("BREAKS = False\n" + EFFECTS)
    again = project.run()
    assert sent(project) == []  # the module is new, and the effect was done by the first attempt
    assert project.statuses(again) == [("send", "remembered"), ("work", "remembered")]
    first = project.tracking.runs()[1]
    assert again.started.request == first.started.request
    project.run()
    assert sent(project) == ["day 1"]  # that run succeeded: this one is another request


def test_other_parameters_are_another_request(project: Any) -> None:
    project.write("BREAKS = True\n" + EFFECTS)
    with pytest.raises(RuntimeError):
        project.run()
    with pytest.raises(RuntimeError):
        project.run(day=2)
    assert sent(project) == ["day 1", "day 2"]


def test_a_run_whose_process_is_gone_is_recorded_as_lost(project: Any) -> None:
    project.write("BREAKS = False\n" + EFFECTS)
    left = _left_behind(project)
    assert project.tracking.get(left).status == "running"
    assert [run.id for run in project.pipelines.sweep()] == [left]
    assert project.tracking.get(left).status == "lost"
    assert project.pipelines.sweep() == ()


def test_a_run_that_is_under_way_is_not_taken_for_lost(project: Any) -> None:
    project.write(HOOKED)
    seen: list[Any] = []
    hooks(project).append(lambda: seen.append(project.pipelines.sweep()))
    assert project.run().status == "succeeded"
    assert seen == [()]


def test_the_next_run_goes_on_from_a_lost_one(project: Any) -> None:
    project.write("BREAKS = False\n" + EFFECTS)
    left = _left_behind(project)
    run = project.run()
    assert project.tracking.get(left).status == "lost"
    assert run.started.request == project.tracking.get(left).started.request


@pytest.mark.parametrize(
    ("error", "status"), [(SystemExit(3), "failed"), (Terminated(0), "cancelled")]
)
def test_an_exit_of_the_users_own_is_a_failure_and_being_told_to_end_is_none(
    project: Any, error: BaseException, status: str
) -> None:
    project.write(HOOKED)

    def leave() -> None:
        raise error

    hooks(project).append(leave)
    with pytest.raises(SystemExit):
        project.run()
    assert project.tracking.runs()[0].status == status


def test_a_request_that_is_under_way_is_not_begun_a_second_time(project: Any) -> None:
    project.write(HOOKED)
    refused: list[Conflict] = []

    def run_again() -> None:
        try:
            project.run(request="order-7")
        except Conflict as error:
            refused.append(error)

    hooks(project).append(run_again)
    run = project.run(request="order-7")
    assert [error.code for error in refused] == ["request-under-way"]
    assert run.id in refused[0].hint
    hooks(project).clear()
    again = project.run(request="order-7")  # it has ended: whoever asks is told the same again
    assert [status for _, status in project.statuses(again)] == ["remembered", "remembered"]


def test_of_those_that_go_on_from_one_failure_at_once_one_does(project: Any) -> None:
    project.write("BREAKS = True\n" + EFFECTS)
    with pytest.raises(RuntimeError):
        project.run()
    failed = project.tracking.runs()[0]
    project.write("BREAKS = False\nhooks = []\n" + EFFECTS.replace("work(day)", "hooks[0]()"))
    together = threading.Barrier(4)
    refused: list[str] = []
    hooks(project).append(lambda: _until(lambda: len(refused) == 3))  # the others have come

    def go_on() -> None:
        together.wait()
        try:
            project.run()
        except Conflict as error:
            refused.append(error.code)

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (later,) = (run for run in project.tracking.runs() if run.id != failed.id)
    assert later.status == "succeeded"
    assert later.started.request == failed.started.request
    assert refused == ["request-under-way"] * 3
    assert sent(project) == []  # it was done before the failure


def test_two_people_may_run_one_flow_at_the_same_time(project: Any) -> None:
    project.write(HOOKED)
    runs: list[Any] = []

    def run_as_well() -> None:
        hooks(project).clear()
        runs.append(project.run())

    hooks(project).append(run_as_well)
    runs.append(project.run())
    assert [run.status for run in runs] == ["succeeded"] * 2
    assert runs[0].started.request != runs[1].started.request


def test_a_sweep_leaves_a_run_alone_that_a_retry_began_meanwhile(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(HOOKED)
    asked(project)
    held = claim(project)
    move = TaskMove(key=held.key, owner=held.owner or "", epoch=held.epoch, state="failed")
    project.stores.ledger.commit(project.scope.batch("give up", tasks=[move]))
    journal = project.stores.journal
    listed = journal.tasks(state="failed")
    monkeypatch.setattr(
        journal, "tasks", lambda *_, state=None, **__: listed if state == "failed" else ()
    )
    swept: list[Any] = []
    hooks(project).append(lambda: swept.append(project.pipelines.sweep()))
    project.pipelines.retry(held.key)
    run = project.pipelines.execute(claim(project))
    assert swept == [()]
    assert run.status == "succeeded"


def test_whoever_was_left_for_lost_writes_nothing_more(project: Any) -> None:
    project.write("BREAKS = False\n" + EFFECTS)
    left = project.tracking.get(_left_behind(project))
    task = project.stores.journal.task(left.started.task)
    project.run()
    move = TaskMove(key=task.key, owner=task.owner, epoch=task.epoch, state="running")
    with pytest.raises(Conflict) as late:
        project.stores.ledger.commit(project.scope.batch("late", tasks=[move]))
    assert late.value.code == "fenced"


def test_a_cancelled_run_is_interrupted_and_recorded(project: Any) -> None:
    project.write(ENDLESS)
    _meanwhile(lambda: project.pipelines.cancel(_waiting(project), "enough"))
    with pytest.raises(Conflict, match="was cancelled") as caught:
        project.run()
    assert caught.value.code == "run-cancelled"
    (run,) = project.tracking.runs()
    assert run.status == "cancelled"
    assert "step 'wait'" in run.finished.error
    with pytest.raises(Conflict, match="is cancelled"):
        project.pipelines.cancel(run.id)


def test_an_asked_for_run_is_cancelled_through_its_task(project: Any) -> None:
    project.write(ENDLESS)
    asked(project)
    task = claim(project)
    _meanwhile(lambda: project.pipelines.cancel(_waiting(project)))
    with pytest.raises(Conflict, match="was cancelled"):
        project.pipelines.execute(task)
    assert project.stores.journal.task("ask-1").state == "cancelled"
    assert project.tracking.runs()[0].status == "cancelled"


def test_cancelling_a_run_whose_process_is_gone_ends_it_at_once(project: Any) -> None:
    project.write("BREAKS = False\n" + EFFECTS)
    left = _left_behind(project)
    assert project.pipelines.cancel(left, "cleaning up").status == "cancelled"
    assert project.tracking.get(left).status == "cancelled"


def test_a_process_that_wakes_up_too_late_writes_nothing_more(project: Any) -> None:
    project.write(HOOKED)
    asked(project)
    slow = claim(project, lease_s=0.0)
    taken: list[Any] = []

    def be_taken_over() -> None:
        if not taken:
            taken.append(claim(project))
            project.pipelines.execute(taken[0])

    hooks(project).append(be_taken_over)
    with pytest.raises(Conflict) as caught:
        project.pipelines.execute(slow)
    assert caught.value.code == "fenced"
    late, quick = sorted(project.tracking.runs(), key=lambda run: run.id)
    assert (late.status, quick.status) == ("lost", "succeeded")
    assert [step.status for step in project.pipelines.steps(quick.id)] == ["remembered", "run"]
    assert [step.step for step in project.pipelines.steps(late.id)] == ["work"]


def test_what_was_asked_for_is_done_once(project: Any) -> None:
    project.write("BREAKS = False\n" + EFFECTS)
    asked(project)
    first = project.pipelines.execute(claim(project, lease_s=0.0))
    again = project.pipelines.execute(claim(project))  # the first died before its task was done
    assert again == first
    assert len(project.tracking.runs()) == 1


def test_a_dead_letter_can_be_sent_again(project: Any) -> None:
    project.write("BREAKS = False\n" + EFFECTS)
    asked(project)
    task = claim(project)
    move = TaskMove(key=task.key, owner=task.owner or "", epoch=task.epoch, state="failed")
    project.stores.ledger.commit(project.scope.batch("gave up", tasks=[move]))
    assert [task.key for task in project.pipelines.tasks("failed")] == ["ask-1"]
    project.pipelines.retry("ask-1")
    assert project.pipelines.execute(claim(project)).status == "succeeded"
    with pytest.raises(Conflict, match="is running"):
        project.pipelines.retry("ask-1")


def test_a_run_that_a_person_began_is_no_dead_letter(project: Any) -> None:
    project.write("BREAKS = False\n" + EFFECTS)
    left = _left_behind(project)
    project.pipelines.cancel(left)
    with pytest.raises(Conflict, match="no runner takes it"):
        project.pipelines.retry(project.tracking.get(left).started.task)


def test_an_owner_of_this_host_is_gone_with_its_process(project: Any) -> None:
    asked(project)
    task = claim(project, lease_s=0.0)
    assert not is_gone(task)  # its lease is over, as after a night's sleep, and it lives
    host, _, token = new_owner().split(":")
    assert is_gone(replace(task, owner=f"{host}:{_dead_process()}:{token}"))
    assert is_gone(replace(task, owner="another-host:1:x"))
    longer = datetime.now(UTC) + timedelta(minutes=1)
    assert not is_gone(replace(task, owner="another-host:1:x", leased_until=longer))


def test_a_limit_lets_steps_wait_for_each_other(project: Any) -> None:
    project.write(
        "import threading, time\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "from contextvars import copy_context\n"
        "busy, most = [], []\nlock = threading.Lock()\n"
        "@step(limits={'warehouse': 2})\ndef ask(number: int) -> int:\n"
        "    with lock:\n        busy.append(number)\n        most.append(len(busy))\n"
        "    time.sleep(0.02)\n"
        "    with lock:\n        busy.remove(number)\n"
        "    return number\n"
        "@flow\ndef main():\n"
        "    with ThreadPoolExecutor(6) as pool:\n"
        "        asks = [pool.submit(copy_context().run, ask, n) for n in range(12)]\n"
        "        return {'total': sum(a.result() for a in asks), 'most': max(most)}\n"
    )
    metrics = project.run().finished.metrics
    assert metrics == {"total": 66.0, "most": 2.0}


def test_a_run_is_resumed_although_many_others_came_in_between(project: Any) -> None:
    project.write("BREAKS = True\n" + EFFECTS)
    with pytest.raises(RuntimeError):
        project.run(day=1)
    project.write("BREAKS = False\n" + EFFECTS)
    for day in range(2, 62):
        project.run(day=day)
    project.run(day=1)
    assert sent(project) == [f"day {day}" for day in range(2, 62)]


def test_an_interruption_just_after_the_end_leaves_the_run_ended_well(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("BREAKS = False\n" + EFFECTS)
    finish = project.tracking.finish

    def finish_and_be_interrupted(*args: Any, **options: Any) -> Any:
        finish(*args, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(project.tracking, "finish", finish_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        project.run()
    assert [run.status for run in project.tracking.runs()] == ["succeeded"]


def test_an_error_is_raised_although_the_store_is_away(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(HOOKED)

    def away(*args: Any, **options: Any) -> Any:
        raise Unavailable("the store is away")

    def fail() -> None:
        monkeypatch.setattr(project.stores.journal, "task", away)
        raise LookupError("no such column")

    hooks(project).append(fail)
    with pytest.raises(LookupError):
        project.run()


def test_a_step_inside_a_step_does_not_wait_for_the_slot_around_it(project: Any) -> None:
    project.write(
        "@step(limits={'gpu': 1})\ndef inner(number: int) -> int:\n    return number\n"
        "@step(limits={'gpu': 1})\ndef outer(number: int) -> int:\n    return inner(number) + 1\n"
        "@flow\ndef main():\n    return {'n': outer(1), 'm': inner(5)}\n"
    )
    assert project.run().finished.metrics == {"n": 2.0, "m": 5.0}


def test_a_number_that_another_process_has_by_now_is_no_sign_of_life(project: Any) -> None:
    asked(project)
    task = claim(project)
    process, _, token = new_owner().rpartition(":")
    start, dash, text = token.partition("-")
    if not start:
        pytest.skip("this system does not say when a process began")
    assert not is_gone(replace(task, owner=f"{process}:{start}{dash}{text}"))
    assert is_gone(replace(task, owner=f"{process}:{int(start) + 1}{dash}{text}"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_process_that_ended_and_is_still_listed_is_gone(project: Any) -> None:
    asked(project)
    task = claim(project)
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read()  # closed when it ends; nobody has waited for it yet
        owner = f"{new_owner().split(':')[0]}:{child.pid}:x"
        while not is_gone(replace(task, owner=owner)):
            time.sleep(0.01)


def test_a_run_that_ends_its_own_task_is_not_interrupted(project: Any) -> None:
    asked(project)
    task = claim(project)
    with Tenure(project.stores.journal, task):
        end = TaskMove(key=task.key, owner=task.owner or "", epoch=task.epoch, state="done")
        project.stores.ledger.commit(project.scope.batch("end", tasks=[end]))
        time.sleep(2.5)  # two looks


def test_a_cancelled_run_that_was_killed_is_recorded_as_cancelled(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(HOOKED)
    left: list[str] = []

    def be_killed() -> None:
        left.append(_running(project))
        project.pipelines.cancel(left[0], "enough")
        assert project.pipelines.sweep() == ()  # it may still unwind
        monkeypatch.setattr(lifecycle, "_UNWINDS", timedelta(0))
        assert [run.status for run in project.pipelines.sweep()] == ["cancelled"]

    hooks(project).append(be_killed)
    with pytest.raises(Conflict):
        project.run()
    run = project.tracking.get(left[0])
    assert (run.status, run.finished.error) == ("cancelled", "enough")


def test_a_run_whose_end_could_not_be_recorded_is_resumed_by_the_same_process(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("BREAKS = True\n" + EFFECTS)

    def full(*args: Any, **options: Any) -> Any:
        raise Unavailable("the disk is full", code="full")

    with monkeypatch.context() as patched:
        patched.setattr(project.tracking, "finish", full)
        with pytest.raises(RuntimeError) as caught:
            project.run()
    assert "could not be recorded" in "".join(caught.value.__notes__)
    project.write("BREAKS = False\n" + EFFECTS)
    again = project.run()
    assert sent(project) == []
    first = project.tracking.runs()[1]
    assert (first.status, first.started.request) == ("lost", again.started.request)


def _left_behind(project: Any) -> str:
    """Leave a run as a killed process leaves it: begun, its task held by nobody alive."""
    run_id = new_id()
    host = new_owner().split(":")[0]
    task = TaskNew(
        key=f"{FOREGROUND}/flights/{run_id}",
        queue=FOREGROUND,
        body=run_id.encode(),
        max_attempts=1,
        claim=Claim(f"{host}:{_dead_process()}:gone", 60.0),
    )
    project.tracking.start(
        "main",
        entry="pipeline:main",
        folder=project.folder,
        parameters={"day": 1, "fails": True},
        attempt=Attempt(id=run_id, request=run_id, task=task.key, tasks=[task]),
    )
    return run_id


def _dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    return child.pid


def _running(project: Any) -> str:
    while True:
        for run in project.tracking.runs():
            if run.status == "running" and project.stores.journal.task(run.started.task):
                return run.id
        time.sleep(0.01)


def _waiting(project: Any) -> str:
    """Return the run of `ENDLESS`, once its step is under way."""
    _until((project.folder / "begun").exists)
    return _running(project)


def _until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def _meanwhile(action: Callable[[], object]) -> None:
    threading.Thread(target=action).start()
