"""Runs whose programs give no sign of life are lost, and found again when they come back."""

import time
from pathlib import Path

import pytest

from trivet.core.catalog import Compare
from trivet.core.errors import NotFound
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.tracking.reporting import liveness
from trivet.tracking.reporting.facts import Report
from trivet.tracking.reporting.runs import Opening
from trivet.tracking.service import TrackingService


@pytest.fixture
def tracking(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackingService:
    monkeypatch.chdir(tmp_path)
    return TrackingService(stores, Scope(project="flights", actor="ada"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "LOST_AFTER_S", 0.05)
    monkeypatch.setattr(liveness, "BEAT_S", 1000.0)


def statuses(tracking: TrackingService, status: str) -> list[str]:
    found, _ = tracking.reported.search([0], Compare("status", "=", status))
    return [run.id for run in found]


@pytest.mark.usefixtures("impatient")
def test_a_silent_run_is_lost_wherever_one_looks(tracking: TrackingService) -> None:
    run = tracking.begin(system=False)
    assert tracking.reported.get(run.id).status == "running"
    time.sleep(0.1)
    assert tracking.reported.get(run.id).status == "lost"
    assert statuses(tracking, "FAILED") == [run.id]
    assert statuses(tracking, "RUNNING") == []


@pytest.mark.usefixtures("impatient")
def test_searches_find_lost_runs_that_nobody_asked_for(tracking: TrackingService) -> None:
    run = tracking.begin(system=False)
    time.sleep(0.1)
    assert statuses(tracking, "RUNNING") == []
    assert statuses(tracking, "FAILED") == [run.id]


@pytest.mark.usefixtures("impatient")
def test_a_lost_run_that_gives_a_sign_is_running_again(tracking: TrackingService) -> None:
    run = tracking.begin(system=False)
    time.sleep(0.1)
    assert tracking.reported.get(run.id).status == "lost"
    tracking.reported.liveness.beat(run.id)
    assert tracking.reported.get(run.id).status == "running"
    assert statuses(tracking, "RUNNING") == [run.id]


@pytest.mark.usefixtures("impatient")
def test_an_old_sign_brings_nobody_back(tracking: TrackingService) -> None:
    run = tracking.begin(system=False)
    time.sleep(0.1)
    tracking.reported.get(run.id)
    tracking.reported.liveness.beat(run.id, age_ms=60_000)
    assert tracking.reported.get(run.id).status == "lost"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("was_lost", [True, False])
def test_a_run_that_ended_stays_as_it_ended(tracking: TrackingService, was_lost: bool) -> None:
    run = tracking.begin(system=False)
    if was_lost:
        time.sleep(0.1)
        assert tracking.reported.get(run.id).status == "lost"
    run.finish()
    time.sleep(0.1)
    tracking.reported.liveness.beat(run.id)
    tracking.reported.liveness.beat(run.id, age_ms=60_000)
    assert tracking.reported.get(run.id).status == "succeeded"
    assert statuses(tracking, "FINISHED") == [run.id]


@pytest.mark.usefixtures("impatient")
def test_a_run_of_a_client_that_gives_no_signs_is_never_lost(tracking: TrackingService) -> None:
    run = tracking.reported.open(Opening()).id
    with tracking.join(run) as joined:
        joined.log(loss=1)
    time.sleep(0.1)
    assert tracking.reported.get(run).status == "running"
    assert statuses(tracking, "RUNNING") == [run]


def test_a_program_gives_signs_by_itself(
    tracking: TrackingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "LOST_AFTER_S", 0.5)
    monkeypatch.setattr(liveness, "BEAT_S", 0.05)
    with tracking.begin(system=False) as run:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            assert tracking.reported.get(run.id).status == "running"
            time.sleep(0.05)


@pytest.mark.usefixtures("impatient")
def test_a_run_is_resumed_behind_its_last_step_and_ends_again(tracking: TrackingService) -> None:
    with tracking.begin(system=False) as run:
        run.log(loss=1, step=7)
    ended = tracking.reported.get(run.id).ended_ms
    with tracking.resume(run.id, system=False) as again:
        found = tracking.reported.get(run.id)
        assert (found.status, found.ended_ms) == ("running", None)
        again.log(loss=2)
        time.sleep(0.1)
        assert tracking.reported.get(run.id).status == "lost"
    found = tracking.reported.get(run.id)
    assert found.status == "succeeded"
    assert ended is not None
    assert found.ended_ms is not None
    assert found.ended_ms >= ended
    assert (found.metrics["loss"].value, found.metrics["loss"].step) == (2, 8)
    with pytest.raises(NotFound):
        tracking.resume("0" * 32)


@pytest.mark.usefixtures("impatient")
def test_whoever_says_that_a_lost_run_goes_on_is_believed(tracking: TrackingService) -> None:
    run = tracking.begin(system=False)
    time.sleep(0.1)
    assert tracking.reported.get(run.id).status == "lost"
    tracking.reported.report(run.id, Report(status="failed"))
    assert tracking.reported.get(run.id).status == "failed"
