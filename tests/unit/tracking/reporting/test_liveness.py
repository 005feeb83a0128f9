"""Runs whose programs give no sign of life are lost, and found again when they come back."""

import time
from collections.abc import Callable
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

PATIENCE_S = 30.0
Later = Callable[[float], None]


@pytest.fixture
def tracking(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackingService:
    monkeypatch.chdir(tmp_path)
    return TrackingService(stores, Scope(project="flights", actor="ada"))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Let seconds pass on a clock that stands otherwise; no sign is given unasked."""
    now_ms = [liveness._now_ms()]
    monkeypatch.setattr(liveness, "_now_ms", lambda: now_ms[0])
    monkeypatch.setattr(liveness, "BEAT_S", 1000.0)

    def pass_by(seconds: float) -> None:
        now_ms[0] += int(seconds * 1000)

    return pass_by


def statuses(tracking: TrackingService, status: str) -> list[str]:
    found, _ = tracking.reported.search([0], Compare("status", "=", status))
    return [run.id for run in found]


def test_a_silent_run_is_lost_wherever_one_looks(tracking: TrackingService, later: Later) -> None:
    run = tracking.begin(system=False)
    assert tracking.reported.get(run.id).status == "running"
    later(100)
    assert tracking.reported.get(run.id).status == "lost"
    assert statuses(tracking, "FAILED") == [run.id]
    assert statuses(tracking, "RUNNING") == []


def test_searches_find_lost_runs_that_nobody_asked_for(
    tracking: TrackingService, later: Later
) -> None:
    run = tracking.begin(system=False)
    later(100)
    assert statuses(tracking, "RUNNING") == []
    assert statuses(tracking, "FAILED") == [run.id]


def test_a_lost_run_that_gives_a_sign_is_running_again(
    tracking: TrackingService, later: Later
) -> None:
    run = tracking.begin(system=False)
    later(100)
    assert tracking.reported.get(run.id).status == "lost"
    tracking.reported.liveness.beat(run.id)
    assert tracking.reported.get(run.id).status == "running"
    assert statuses(tracking, "RUNNING") == [run.id]


def test_an_old_sign_brings_nobody_back(tracking: TrackingService, later: Later) -> None:
    run = tracking.begin(system=False)
    later(100)
    tracking.reported.get(run.id)
    tracking.reported.liveness.beat(run.id, age_ms=100_000)
    assert tracking.reported.get(run.id).status == "lost"


@pytest.mark.parametrize("was_lost", [True, False])
def test_a_run_that_ended_stays_as_it_ended(
    tracking: TrackingService, was_lost: bool, later: Later
) -> None:
    run = tracking.begin(system=False)
    if was_lost:
        later(100)
        assert tracking.reported.get(run.id).status == "lost"
    run.finish()
    later(100)
    tracking.reported.liveness.beat(run.id)
    tracking.reported.liveness.beat(run.id, age_ms=100_000)
    assert tracking.reported.get(run.id).status == "succeeded"
    assert statuses(tracking, "FINISHED") == [run.id]


def test_a_run_of_a_client_that_gives_no_signs_is_never_lost(
    tracking: TrackingService, later: Later
) -> None:
    run = tracking.reported.open(Opening()).id
    with tracking.join(run) as joined:
        joined.log(loss=1)
    later(100)
    assert tracking.reported.get(run).status == "running"
    assert statuses(tracking, "RUNNING") == [run]


def test_a_program_gives_signs_by_itself(
    tracking: TrackingService, monkeypatch: pytest.MonkeyPatch, later: Later
) -> None:
    monkeypatch.setattr(liveness, "BEAT_S", 0.01)
    with tracking.begin(system=False) as run:
        for _ in range(3):
            later(60)
            end = time.monotonic() + PATIENCE_S
            while tracking.reported.liveness.runs()[run.id]:
                assert time.monotonic() < end, "no sign came"
                time.sleep(0.01)
        assert tracking.reported.get(run.id).status == "running"


def test_a_run_is_resumed_behind_its_last_step_and_ends_again(
    tracking: TrackingService, later: Later
) -> None:
    with tracking.begin(system=False) as run:
        run.log(loss=1, step=7)
    ended = tracking.reported.get(run.id).ended_ms
    with tracking.resume(run.id, system=False) as again:
        found = tracking.reported.get(run.id)
        assert (found.status, found.ended_ms) == ("running", None)
        again.log(loss=2)
        later(100)
        assert tracking.reported.get(run.id).status == "lost"
    found = tracking.reported.get(run.id)
    assert found.status == "succeeded"
    assert ended is not None
    assert found.ended_ms is not None
    assert found.ended_ms >= ended
    assert (found.metrics["loss"].value, found.metrics["loss"].step) == (2, 8)
    with pytest.raises(NotFound):
        tracking.resume("0" * 32)


def test_whoever_says_that_a_lost_run_goes_on_is_believed(
    tracking: TrackingService, later: Later
) -> None:
    run = tracking.begin(system=False)
    later(100)
    assert tracking.reported.get(run.id).status == "lost"
    tracking.reported.report(run.id, Report(status="failed"))
    assert tracking.reported.get(run.id).status == "failed"
