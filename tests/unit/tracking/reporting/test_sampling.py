"""Figures of the machine, recorded with a run."""

import gc
import threading
import time
from pathlib import Path

import pytest

from trivet.core.errors import Invalid
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.core.training import Gpu, Machine, Reading
from trivet.tracking.autolog.libraries import Libraries
from trivet.tracking.service import TrackingService


class Clockwork:
    """A meter that tells how often it was read, and a watt-hour each time."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.readings = 0

    def describe(self) -> Machine:
        return self.machine

    def read(self) -> Reading:
        self.readings += 1
        return Reading(figures={"cpu_percent": float(self.readings)}, joules={"cpu": 3600.0})


@pytest.fixture
def tracking(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackingService:
    monkeypatch.chdir(tmp_path)
    gpus = (Gpu(name="Abacus H", memory_bytes=1),)
    machines = (Machine(cpu="Abacus", processors=4), Machine(gpus=gpus))
    libraries = Libraries(meters=lambda: [Clockwork(machine) for machine in machines])
    return TrackingService(stores, Scope(project="flights", actor="ada"), libraries=libraries)


def wait_for(tracking: TrackingService, run: str, name: str) -> None:
    end = time.monotonic() + 30
    while not len(tracking.metric(run, name).steps):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_figures_and_energy_stand_beside_the_run_s_own(tracking: TrackingService) -> None:
    with tracking.begin(system=0.1) as run:
        wait_for(tracking, run.id, "system/energy_kwh")
        run.log(loss=1)
    found = tracking.reported.get(run.id).metrics
    points = tracking.metric(run.id, "system/cpu_percent")
    assert list(points.steps) == list(range(len(points.steps)))
    assert points.values[0] == 2.0  # the first reading is where rates begin
    kwh = tracking.metric(run.id, "system/energy_kwh").values
    assert kwh[0] == pytest.approx(0.002)
    assert found["system/energy_kwh"].value == pytest.approx(0.002 * len(kwh))
    assert found["loss"].step == 0  # figures of the machine count no steps


def test_a_meter_that_breaks_is_said_once_and_harms_no_run(
    stores: Stores, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Clockwork):
        def read(self) -> Reading:
            raise RuntimeError("the sensor fell off")

    libraries = Libraries(meters=lambda: [Broken(Machine())])
    scope = Scope(project="flights", actor="ada")
    tracking = TrackingService(stores, scope, libraries=libraries)
    with tracking.begin(folder=tmp_path, system=0.1) as run:
        run.log(loss=1)
    assert set(tracking.reported.get(run.id).metrics) == {"loss"}
    assert caplog.text.count("the sensor fell off") <= 1


def test_the_machine_is_described_once(tracking: TrackingService) -> None:
    with tracking.begin() as run:
        pass
    seen = tracking.reported.observed(run.id)
    assert seen is not None
    assert (seen.machine.cpu, seen.machine.gpus[0].name) == ("Abacus", "Abacus H")


def test_whoever_wants_no_figures_has_none(tracking: TrackingService) -> None:
    before = set(threading.enumerate())  # a run that a test let go of may be followed still
    run = tracking.begin(system=False)
    started = set(threading.enumerate()) - before
    assert not any(thread.name == "trivet-system" for thread in started)
    run.finish()
    assert set(threading.enumerate()) <= before
    assert tracking.metrics(run.id) == ()


@pytest.mark.parametrize("system", [0, 0.01, -1, "often", None])
def test_how_often_is_a_number(tracking: TrackingService, system: object) -> None:
    with pytest.raises(Invalid, match="system is"):
        tracking.begin(system=system)  # pyright: ignore[reportArgumentType]


def test_a_run_that_is_dropped_leaves_no_thread(tracking: TrackingService) -> None:
    run = tracking.begin(system=0.1)
    wait_for(tracking, run.id, "system/cpu_percent")
    threads = [thread for thread in threading.enumerate() if thread.name == "trivet-system"]
    assert threads
    del run
    end = time.monotonic() + 30
    while any(thread.is_alive() for thread in threads):
        gc.collect()
        assert time.monotonic() < end
        time.sleep(0.02)
