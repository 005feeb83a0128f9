"""Runs of any kind beside each other."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.tracking.comparison import changes, is_same, lines
from trivet.tracking.reporting.facts import Input, Report
from trivet.tracking.reporting.runs import Opening
from trivet.tracking.service import TrackingService

mappings = st.dictionaries(st.sampled_from("abcde"), st.one_of(st.none(), st.integers(0, 2)))


@given(before=mappings, after=mappings)
def test_a_name_appears_exactly_when_its_value_differs(
    before: dict[str, int | None], after: dict[str, int | None]
) -> None:
    found = changes(before, after)
    for name in before.keys() | after.keys():
        same = name in before and name in after and before[name] == after[name]
        assert (name in found) != same
    assert list(found) == sorted(found)


@given(before=mappings)
def test_nothing_differs_from_itself(before: dict[str, int | None]) -> None:
    assert changes(before, before) == {}
    assert not any(line.differs for line in lines([before, before, before]))


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("0.1", "0.10", True),
        ("1e-3", "0.001", True),
        ("nan", "NaN", False),  # texts
        (math.nan, math.nan, True),
        (0.1, "0.1", True),
        ("a", "b", False),
        (None, "", False),
        ("1", "True", False),
    ],
)
def test_a_number_is_the_same_however_it_is_written(one: object, two: object, same: bool) -> None:
    assert is_same(one, two) is same
    assert is_same(two, one) is same


@pytest.fixture
def tracking(
    stores: Stores, scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrackingService:
    monkeypatch.chdir(tmp_path)
    return TrackingService(stores, scope)


def reported(tracking: TrackingService, steps: int, **parameters: object) -> str:
    with tracking.begin("digits", parameters=parameters, system=False) as run:
        for step in range(steps):
            run.log(loss=1 / (step + 1), step=step)
        run.log({"system/cpu_percent": 5.0, "once": 1.0}, step=0)
    return run.id


def test_runs_of_flows_programs_and_clients_are_compared_with_each_other(
    tracking: TrackingService, tmp_path: Path
) -> None:
    (tmp_path / "pipeline.py").write_text("x = 1\n")
    flow = tracking.start(
        "train", entry="a:b", folder=tmp_path, parameters={"lr": 0.1, "deep": [1]}
    )
    for step in range(5):
        tracking.log(flow.id, {"loss": 2.0 - step}, step=step)
    tracking.finish(flow.id, "succeeded", metrics={"loss": -2.0})
    (tmp_path / "pipeline.py").write_text("x = 1\ny = 2")
    program = reported(tracking, 1000, lr="0.10")
    client = tracking.reported.open(
        Opening(tags={"mlflow.source.git.commit": "c" * 40, "mlflow.source.name": "train.py"})
    ).id
    tracking.reported.report(
        client, Report(inputs=(Input(name="iris", digest="d1", tags={"mlflow.data.context": "t"}),))
    )
    found = tracking.compare(flow.id, program, client)
    assert [run.id for run in found.runs] == [flow.id, program, client]
    assert {line.name: line.values for line in found.parameters} == {
        "deep": ("[1]", None, None),
        "lr": ("0.1", "0.10", None),
    }
    (curve,) = found.curves  # one point makes no curve, and the machine's are left out
    first, second, third = curve.runs
    assert curve.name == "loss"
    assert third is None
    assert first is not None
    assert first.values == [2.0, 1.0, 0.0, -1.0, -2.0]
    assert second is not None
    assert (second.steps[0], second.steps[-1], len(second.steps) <= 400) == (0, 999, True)
    assert [change.is_known for change in found.changes] == [True, False]
    assert found.changes[0].files == {"pipeline.py": "changed"}
    assert "+y = 2\n\\ No newline at end of file\n" in found.changes[0].diff
    assert (found.code[2].commit, found.code[2].entry) == ("c" * 40, "train.py")
    assert found.has_packages == (True, True, False)
    assert found.packages == ()
    assert not any(line.differs for line in found.machine)
    assert [(line.name, line.values) for line in found.inputs] == [("iris (t)", (None, None, "d1"))]


def test_the_same_code_is_said_to_be_the_same(tracking: TrackingService) -> None:
    one, two = reported(tracking, 2, lr=1), reported(tracking, 2, lr=2)
    found = tracking.compare(one, two)
    assert found.is_same_code
    assert found.changes[0].diff == ""
    assert [line.name for line in found.parameters if line.differs] == ["lr"]


def test_the_curves_asked_for_are_compared(tracking: TrackingService) -> None:
    one, two = reported(tracking, 2), reported(tracking, 2)
    found = tracking.compare(one, two, metrics=["once", "system/cpu_percent", "none"])
    assert [curve.name for curve in found.curves] == ["once", "system/cpu_percent"]


def test_a_large_file_differs_without_its_lines(tracking: TrackingService, tmp_path: Path) -> None:
    (tmp_path / "large.py").write_text("x = 1\n" * 60_000)
    one = reported(tracking, 1)
    (tmp_path / "large.py").write_text("x = 2\n" * 60_000)
    (tmp_path / "new.py").write_text("")
    found = tracking.compare(one, reported(tracking, 1))
    assert found.changes[0].files == {"large.py": "changed", "new.py": "added"}
    assert found.changes[0].diff == "large.py: differs (360000 and 360000 bytes)\n"


def test_too_few_runs_and_unknown_ones_are_refused(
    stores: Stores, tracking: TrackingService
) -> None:
    run = reported(tracking, 1)
    with pytest.raises(Invalid, match=r"1 run\(s\) cannot be compared; expected 2 to 50"):
        tracking.compare(run)
    with pytest.raises(NotFound):
        tracking.compare(run, "0" * 32)
    with pytest.raises(NotFound):
        TrackingService(stores, Scope(project="churn", actor="ada")).compare(run, run)
