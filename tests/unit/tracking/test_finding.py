"""One search over the runs of flows and those that programs report."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid, NotFound, TrivetError, Unsupported
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.tracking import found as found_module
from trivet.tracking.found import FoundRun, FoundRuns
from trivet.tracking.reporting import liveness
from trivet.tracking.reporting.documents import as_numbers
from trivet.tracking.service import TrackingService

PARAMETERS = ({"lr": 9, "kind": "tree"}, {"lr": 10, "kind": "net"}, {"lr": "auto", "kind": "tree"})


@pytest.fixture
def tracking(
    stores: Stores, scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrackingService:
    """Three reported runs in two experiments, r0 to r2, then one of a flow."""
    monkeypatch.chdir(tmp_path)
    tracking = TrackingService(stores, scope)
    for number, parameters in enumerate(PARAMETERS):
        with tracking.begin(
            "digits" if number < 2 else "late", name=f"r{number}", parameters=parameters,
            system=False, tags={"team": "blue"} if number else {},
        ) as run:  # fmt: skip
            run.log(loss=number / 10)
    flow = tracking.start("train", entry="a:b", folder=tmp_path, parameters={"lr": 9.5})
    tracking.finish(flow.id, "failed", metrics={"auc": 0.7})
    return tracking


def names(found: FoundRuns) -> list[str]:
    return [run.name for run in found]


def test_names_of_another_project_are_neither_told_nor_known(
    stores: Stores, scope: Scope, tracking: TrackingService
) -> None:
    theirs = TrackingService(stores, Scope(project="elsewhere", actor=scope.actor))
    assert names(theirs.search("metrics.loss > 0")) == []  # nothing has a name there yet
    with theirs.begin(name="other", system=False) as run:
        run.log(secret=1)
    for found, text in ((theirs, "metrics.loss > 0"), (tracking, "metrics.secret > 0")):
        with pytest.raises(Invalid, match="there is no") as raised:
            found.search(text)
        told = f"{raised.value} {raised.value.hint} {raised.value.detail['known']}"
        assert ("secret" in told.replace(text.split()[0], "")) == (found is theirs)


def test_one_column_is_named_as_a_text(tracking: TrackingService) -> None:
    assert [*tracking.search(limit=1, columns="status").rows()[0]] == ["status"]


def test_a_run_that_is_lost_is_found_as_such_and_not_as_failed(
    tracking: TrackingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tracking.begin("digits", name="gone", system=False)
    monkeypatch.setattr(liveness, "LOST_AFTER_S", -1.0)
    assert [(run.name, run.status) for run in tracking.search("status = 'lost'")] == [
        ("gone", "lost")
    ]
    assert names(tracking.search("status = 'failed'")) == ["train"]
    assert sorted(names(tracking.search("status IN ('lost', 'failed')"))) == ["gone", "train"]
    assert "gone" not in names(tracking.search("status != 'lost'"))
    monkeypatch.undo()
    gone.finish()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["r0", "r1", "r2", "train"]),
        ("metrics.loss < 0.15", ["r0", "r1"]),
        ("params.lr > 9", ["r1", "train"]),  # as numbers, not as texts
        ("params.lr = 'auto'", ["r2"]),
        ("params.lr = 9.0", ["r0"]),
        ("params.lr IN (9, 'auto')", ["r0", "r2"]),
        ("params.lr NOT IN (9)", ["r1", "r2", "train"]),
        ("params.lr NOT IN (9, 'auto')", ["r1", "train"]),
        ("params.kind IS NULL", ["train"]),
        ("tags.team = 'blue'", ["r1", "r2"]),
        ("experiment = 'digits' OR flow = 'train'", ["r0", "r1", "train"]),
        ("experiment LIKE 'd%'", ["r0", "r1"]),
        ("experiment IN ('digits', 'none')", ["r0", "r1"]),
        ("experiment IS NULL", ["train"]),
        ("flow IS NULL", ["r0", "r1", "r2"]),
        ("flow != 'train'", []),
        ("status = 'failed'", ["train"]),
        ("status = 'FINISHED'", ["r0", "r1", "r2"]),
        ("status != 'failed'", ["r0", "r1", "r2"]),
        ("status NOT IN ('succeeded', 'lost')", ["train"]),
        ("status LIKE 'succ%'", ["r0", "r1", "r2"]),
        ("name LIKE 'r%' AND user = 'nobody'", []),
        ("began > '2013-01-01' AND ended < '2113-01-01T00:00:00+02:00'", "all"),
        ("began > '2113-01-01'", []),
        ("began > 1e15", []),
        ("metrics.auc > 0.5 AND metric.auc < 0.8", ["train"]),
    ],
)
def test_a_filter_finds_runs_of_both_kinds(
    tracking: TrackingService, text: str, expected: list[str] | str
) -> None:
    every = ["r0", "r1", "r2", "train"]
    assert sorted(names(tracking.search(text))) == (every if expected == "all" else expected)


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("status = 'failed' AND metrics.los < 1", "'metrics.los' at character 23", "metrics.loss"),
        ("loss < 1", "'loss' specified at character 1", "metrics.loss"),
        ("metrc.loss < 1", "'metrc' in filter string at character 1", "metrics"),
        ("metrics.loss < 'low'", "at character 16; expected a number to compare metrics.loss", ""),
        ("params.lr < 'low'", "expected =, !=, LIKE, ILIKE or IN for text", ""),
        ("began > 'soon'", "expected a time to compare began with", ""),
        ("began LIKE '2013%'", "expected a comparison of times", ""),
        ("status = 'done'", "no run stands as 'done'; expected one of", "succeeded"),
        ("nam = 'x'", "'nam' specified at character 1", "name"),
    ],
)
def test_a_filter_that_means_nothing_is_told_where_and_what_comes_nearest(
    tracking: TrackingService, text: str, told: str, hint: str
) -> None:
    with pytest.raises(Invalid) as refused:
        tracking.search(text)
    assert told in str(refused.value)
    assert hint in (refused.value.hint or "")


def test_what_there_is_not_is_not_found(tracking: TrackingService) -> None:
    for wrong in ({"filter": "experiment = 'none'"}, {"experiment": "none"}):
        with pytest.raises(NotFound):
            tracking.search(**wrong)
    for wrong in (
        {"order": "metrics.none"},
        {"order": "experiment"},
        {"order": "datasets.name"},
        {"columns": ["params.none"]},
        {"limit": 0},
        {"limit": 10**7},
    ):
        with pytest.raises(Invalid):
            tracking.search(**wrong)  # type: ignore[arg-type]


def test_a_project_without_metrics_yet_finds_nothing_and_says_nothing(
    stores: Stores, scope: Scope
) -> None:
    assert len(TrackingService(stores, scope).search("metrics.loss < 1")) == 0


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ((), ["train", "r2", "r1", "r0"]),
        ("metrics.loss", ["r0", "r1", "r2", "train"]),
        ("metrics.loss DESC", ["r2", "r1", "r0", "train"]),
        ("params.lr", ["r0", "train", "r1", "r2"]),
        ("params.lr DESC", ["r1", "train", "r0", "r2"]),
        (["params.kind", "began"], ["r1", "r0", "r2", "train"]),
        ("name DESC", ["train", "r2", "r1", "r0"]),
    ],
)
def test_runs_stand_in_the_order_asked_for_on_every_page(
    tracking: TrackingService, order: str, expected: list[str]
) -> None:
    assert names(tracking.search(order=order)) == expected
    turned: list[str] = []
    after = None
    for _ in expected:
        page = tracking.search(order=order, limit=1, after=after)
        turned += names(page)
        after = page.after
    assert turned == expected
    assert after is None


def test_columns_become_frames_with_numbers_and_times(tracking: TrackingService) -> None:
    found = tracking.search(
        "experiment = 'digits'", order="began",
        columns=["run_id", "metrics.loss", "metrics.auc", "params.lr", "began", "seconds"],
    )  # fmt: skip
    polars = found.to_polars()
    assert polars.schema == {
        "run_id": pl.String,
        "metrics.loss": pl.Float64,
        "metrics.auc": pl.Float64,
        "params.lr": pl.Int64,
        "began": pl.Datetime("ms", "UTC"),
        "seconds": pl.Float64,
    }
    assert polars["params.lr"].to_list() == [9, 10]
    assert polars["metrics.auc"].to_list() == [None, None]
    frame = found.to_pandas()
    assert list(frame.columns) == polars.columns
    assert frame["metrics.loss"].tolist() == [0.0, 0.1]
    assert frame["metrics.auc"].isna().all()
    assert frame["began"].iloc[0] == polars["began"][0]


def test_every_frame_and_file_has_the_same_rows(tracking: TrackingService, tmp_path: Path) -> None:
    found = tracking.search()
    assert found.to_polars().equals(pl.from_pandas(found.to_pandas()), null_equal=True)
    kept = found.write(tmp_path / "runs.parquet")
    assert pl.read_parquet(kept).equals(found.to_polars())
    assert pl.read_csv(found.write(tmp_path / "runs.CSV"))["id"].to_list() == [r.id for r in found]
    assert found.to_polars()["params.lr"].to_list() == ["9.5", "auto", "10", "9"]
    with pytest.raises(Invalid, match=r"expected \.parquet or \.csv"):
        found.write(tmp_path / "runs.xlsx")


def test_an_empty_search_is_an_empty_frame(tracking: TrackingService) -> None:
    found = tracking.search("name = 'none'", columns=["id", "metrics.loss", "began"])
    assert found.to_polars().shape == (0, 3)
    assert found.to_pandas().shape == (0, 3)


def test_parquet_is_written_by_whichever_library_there_is(
    tracking: TrackingService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = found_module.import_module
    missing = {"polars"}

    def load(name: str) -> object:
        if name in missing:
            raise ModuleNotFoundError(name)
        return real(name)

    monkeypatch.setattr(found_module, "import_module", load)
    found = tracking.search(order="began")
    table = pq.read_table(found.to_parquet(tmp_path / "runs.parquet"))
    assert table["id"].to_pylist() == [run.id for run in found]
    missing |= {"pandas", "pyarrow"}
    for method in (found.to_pandas, found.to_polars, lambda: found.to_parquet(tmp_path / "x")):
        with pytest.raises(Unsupported, match="is not installed"):
            method()
    assert not (tmp_path / "x").exists()


def test_deleted_runs_and_those_of_other_projects_are_not_found(
    stores: Stores, tracking: TrackingService
) -> None:
    (run,) = tracking.search("name = 'r0'").runs
    tracking.reported.delete(run.id)
    assert len(tracking.search("name = 'r0'")) == 0
    other = TrackingService(stores, Scope(project="churn", actor="ada"))
    assert len(other.search()) == 0
    assert other.finder.get([run.id]) == []
    assert tracking.finder.get([run.id])[0].experiment == "digits"


def test_a_renamed_experiment_keeps_its_runs(tracking: TrackingService) -> None:
    number = tracking.experiments.by_name("digits").number
    tracking.experiments.rename(number, "numerals")
    assert len(tracking.search("experiment = 'numerals'")) == 2
    assert {run.experiment for run in tracking.search(experiment="numerals")} == {"numerals"}


def test_times_that_no_calendar_has_are_left_out() -> None:
    odd = FoundRun(
        id="a", name="a", experiment="e", status="running", user="", began_ms=2**62, ended_ms=0,
        parameters={}, metrics={}, tags={},
    )  # fmt: skip
    row = odd.row
    assert row["began"] is None
    assert row["ended"] == datetime(1970, 1, 1, tzinfo=UTC)
    assert FoundRuns(runs=(odd,)).to_polars().height == 1


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**40), 2**40))
def test_every_number_is_found_as_one(value: float) -> None:
    assert as_numbers({"x": str(value)}) == {"numbers.x": value}


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_000", " 1", "1e999", "0x1", "٣", "9" * 400])
def test_what_is_no_number_stays_text(text: str) -> None:
    assert as_numbers({"x": text}) == {}


@given(st.text(max_size=30))
def test_any_text_is_a_filter_or_a_typed_error(text: str) -> None:
    from trivet.testing.memory_stores import memory_stores

    service = TrackingService(memory_stores(), Scope(project="p", actor="a"))
    try:
        service.search(text)
    except TrivetError as refused:
        assert str(refused)  # noqa: PT017
