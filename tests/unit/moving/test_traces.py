"""Importing traces from MLflow's databases and folders."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.moving.conftest import Bring

from trivet.core.catalog import Compare
from trivet.core.errors import NotFound
from trivet.core.facts import Scope
from trivet.moving.facts import Moved
from trivet.moving.wishes import Wishes
from trivet.tracking.traces.facts import Assessment, Failure, Trace, TraceReport
from trivet.tracking.traces.service import Traces
from trivet.workspace.holdings import mlflow_holdings
from trivet.workspace.rebuilding import make_catalog_anew
from trivet.workspace.workspace import Workspace

NEWEST = pytest.mark.parametrize("database", ["3.17"], indirect=True)
BEGAN = 1_700_000_000_000
SPANS = [
    {"trace_id": "kmUEz8XM2rp4qM3YB6cjVA==", "span_id": "C2UF32CXwSE=", "name": "outer"},
    {"trace_id": "kmUEz8XM2rp4qM3YB6cjVA==", "span_id": "K2RBp37pvm0=", "name": "inner"},
]

Change = Callable[..., None]


TABLES = """
CREATE TABLE trace_info (request_id VARCHAR(50) NOT NULL PRIMARY KEY,
    experiment_id INTEGER NOT NULL, timestamp_ms BIGINT NOT NULL, execution_time_ms BIGINT,
    status VARCHAR(50) NOT NULL);
CREATE TABLE trace_tags (key VARCHAR(250), value VARCHAR(8000), request_id VARCHAR(50));
CREATE TABLE trace_request_metadata (key VARCHAR(250), value VARCHAR(8000), request_id VARCHAR(50));
"""
COLUMNS = ("client_request_id", "request_preview", "response_preview", "trace_name", "session_id")
NEWER_TABLES = """
ALTER TABLE trace_info ADD COLUMN input_tokens BIGINT;
CREATE TABLE assessments (assessment_id VARCHAR(50), trace_id VARCHAR(50), name VARCHAR(250),
    assessment_type VARCHAR(50), value TEXT, error TEXT, created_timestamp BIGINT,
    last_updated_timestamp BIGINT, source_type VARCHAR(50), source_id VARCHAR(250),
    span_id VARCHAR(50), rationale TEXT, overrides VARCHAR(50), valid BOOLEAN,
    assessment_metadata TEXT);
CREATE TABLE spans (trace_id VARCHAR(50), span_id VARCHAR(50), start_time_unix_nano BIGINT,
    end_time_unix_nano BIGINT, content TEXT);
CREATE TABLE entity_associations (association_id VARCHAR(36), source_type VARCHAR(36),
    source_id VARCHAR(36), destination_type VARCHAR(36), destination_id VARCHAR(36),
    created_time BIGINT);
"""


@pytest.fixture
def traced(database: Path, request: pytest.FixtureRequest) -> Path:
    """A database with the tables of traces, as its version has them."""
    connection = sqlite3.connect(database)
    connection.executescript(TABLES)
    if request.node.callspec.params["database"] == "3.17":
        for name in COLUMNS:
            connection.execute(f"ALTER TABLE trace_info ADD COLUMN {name} TEXT")
        connection.executescript(NEWER_TABLES)
    connection.close()
    return database


@pytest.fixture
def traces(workspace: Workspace) -> Traces:
    tracking = workspace.tracking
    scope = Scope(project="moved", actor="ada")
    return Traces(workspace.stores, scope, tracking.experiments, tracking.artifacts)


@pytest.fixture
def load(bring: Bring, traced: Path) -> Callable[..., Moved]:
    def load(**wishes: Any) -> Moved:
        return bring(mlflow_holdings(f"sqlite:///{traced}", []), Wishes(**wishes))

    return load


def add_trace(change: Change, trace: str, status: str = "OK", **labels: str) -> None:
    change(
        "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, "
        "status) VALUES (?, 1, ?, 25, ?)",
        *(trace, BEGAN, status),
    )
    for key, value in labels.items():
        table = "trace_tags" if key.startswith("t_") else "trace_request_metadata"
        change(f"INSERT INTO {table} VALUES (?, ?, ?)", key, value, trace)  # noqa: S608  # own words


def assess(change: Change, assessment: str, trace: str, kind: str, value: Any) -> None:
    change(
        "INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, "
        "created_timestamp, last_updated_timestamp, source_type, source_id, valid, rationale) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 'HUMAN', 'ada', 1, 'because')",
        *(assessment, trace, f"name of {kind}", kind, json.dumps(value), BEGAN + 5, BEGAN + 6),
    )


def all_traces(workspace: Workspace, traces: Traces) -> dict[str, Trace]:
    homes = [home.number for home in workspace.tracking.experiments.search()[0]]
    return {trace.id: trace for trace in traces.search(homes)[0]}


def said(trace: Trace) -> dict[str, Assessment]:
    return {each.id: each for each in trace.assessments}


def counts(moved: Moved) -> tuple[int, int, int]:
    return moved.counts.traces_new, moved.counts.traces_changed, moved.counts.traces_same


def test_traces_come_in_once_with_all_that_is_known_of_them(
    load: Callable[..., Moved], workspace: Workspace, traces: Traces, change: Change
) -> None:
    add_trace(change, "tr-1", t_team="vision", m_user="ada")
    add_trace(change, "tr-2", "ERROR")
    add_trace(change, "tr-3", "IN_PROGRESS")
    assert counts(load(is_dry=True)) == (3, 0, 0)
    assert all_traces(workspace, traces) == {}
    assert counts(load()) == (3, 0, 0)
    found = all_traces(workspace, traces)
    assert counts(load()) == (0, 0, 3)
    assert all_traces(workspace, traces) == found
    first = found["tr-1"]
    assert (first.began_ms, first.duration_ms, first.state) == (BEGAN, 25, "succeeded")
    assert (first.tags, first.metadata) == ({"t_team": "vision"}, {"m_user": "ada"})
    assert (found["tr-2"].state, found["tr-3"].state) == ("failed", "running")


def test_what_was_added_there_arrives_and_what_was_changed_here_stays(
    load: Callable[..., Moved], workspace: Workspace, traces: Traces, change: Change
) -> None:
    for trace in ("tr-1", "tr-2"):
        add_trace(change, trace, t_team="vision")
    load()
    for trace in ("tr-1", "tr-2"):
        traces.change(trace, TraceReport(tags={"t_team": "here"}))
    change("INSERT INTO trace_tags VALUES ('late', 'yes', 'tr-1')")
    change("UPDATE trace_info SET status = 'ERROR' WHERE request_id = 'tr-1'")
    assert counts(load()) == (0, 1, 1)
    found = all_traces(workspace, traces)
    assert found["tr-1"].tags == {"t_team": "vision", "late": "yes"}
    assert found["tr-1"].state == "failed"
    assert found["tr-2"].tags == {"t_team": "here"}
    assert counts(load(again=True)) == (0, 1, 1)


def test_a_trace_that_was_deleted_here_does_not_come_back(
    load: Callable[..., Moved], workspace: Workspace, traces: Traces, change: Change
) -> None:
    add_trace(change, "tr-1")
    add_trace(change, "tr-2")
    load()
    home = workspace.tracking.experiments.by_name("alpha").number
    traces.delete(home, traces=["tr-1"])
    assert counts(load(is_dry=True)) == (0, 0, 2)
    assert counts(load(again=True))[0] == 0
    assert set(all_traces(workspace, traces)) == {"tr-2"}
    with pytest.raises(NotFound):
        traces.get("tr-1")


def test_what_cannot_be_kept_is_told_and_keeps_nothing_else_out(
    load: Callable[..., Moved], workspace: Workspace, traces: Traces, change: Change
) -> None:
    add_trace(change, "tr-1", **{"t_" + "k" * 300: "v", "t_fine": "v"})
    add_trace(change, "../../etc", t_k="v")
    change("UPDATE trace_info SET timestamp_ms = -5, execution_time_ms = -1")
    moved = load()
    found = all_traces(workspace, traces)
    assert list(found) == ["tr-1"]
    assert (found["tr-1"].tags, found["tr-1"].began_ms) == ({"t_fine": "v"}, 0)
    assert any("../../etc" in remark for remark in moved.remarks)
    assert any("kkkk" in remark for remark in moved.remarks)


def test_a_database_that_minds_no_types_brings_what_can_be_read(
    load: Callable[..., Moved], workspace: Workspace, traces: Traces, change: Change
) -> None:
    for trace in ("tr-1", "tr-2", "tr-3"):
        add_trace(change, trace)
    change("UPDATE trace_info SET request_id = ? WHERE request_id = 'tr-1'", b"tr-1")
    change(
        "UPDATE trace_info SET timestamp_ms = 'late', execution_time_ms = 'x', status = ?", b"OK"
    )
    change("UPDATE trace_info SET timestamp_ms = 1.5 WHERE request_id = 'tr-3'")
    assert counts(load()) == (3, 0, 0)
    found = all_traces(workspace, traces)
    assert {id: each.began_ms for id, each in found.items()} == {"tr-1": 0, "tr-2": 0, "tr-3": 1}
    assert found["tr-1"].state == "succeeded"
    report = make_catalog_anew(workspace.opened, "somebody")
    assert (report.added, report.changed, report.removed) == (0, 0, 0)


@NEWEST
def test_assessments_come_in_as_far_as_they_can_be_kept_and_hold_up_nothing(
    load: Callable[..., Moved], traces: Traces, change: Change, workspace: Workspace
) -> None:
    add_trace(change, "tr-1")
    change("UPDATE trace_info SET request_preview = ?, client_request_id = ?", b"w\xff", b"c")
    for id in ("a-nan", "a-deep", "a-bytes", "a-long", "a-far", "x" * 300, "a-great"):
        assess(change, id, "tr-1", "feedback", 1)
    alter = "UPDATE assessments SET {} = ? WHERE assessment_id = ?"
    for id, column, value in (
        ("a-nan", "value", '{"score": NaN}'),
        ("a-nan", "assessment_metadata", '{"cost": 1, "by": "x"}'),
        ("a-deep", "value", "[" * 3000 + "]" * 3000),
        ("a-bytes", "source_id", b"\xff"),
        ("a-long", "error", json.dumps({"stack_trace": "s" * 2_000_000})),
        ("a-far", "created_timestamp", 10**17),
        ("a-far", "source_id", "s" * 2_000_000),
        ("a-great", "value", "1" + "0" * 40),
    ):
        change(alter.format(column), value, id)
    moved = load()
    assert counts(moved) == (1, 0, 0)
    trace = traces.get("tr-1")
    found = said(trace)
    assert (trace.request, trace.client_id) == ("w\ufffd", "c")
    assert set(found) == {"a-nan", "a-deep", "a-bytes", "a-long", "a-far"}
    assert found["a-nan"].value == '{"score": NaN}'
    assert found["a-nan"].metadata == {"cost": "1", "by": "x"}
    assert found["a-far"].made_ms == 253_402_300_799_999
    assert len((found["a-long"].failure or Failure()).stack) == 100_000
    assert sum("is left out" in remark for remark in moved.remarks) == 2
    report = make_catalog_anew(workspace.opened, "somebody")
    assert (report.added, report.changed, report.removed) == (0, 0, 0)


@NEWEST
def test_spans_assessments_and_links_come_from_the_tables_that_hold_them(
    load: Callable[..., Moved], workspace: Workspace, traces: Traces, change: Change
) -> None:
    load()
    home = workspace.tracking.experiments.by_name("alpha").number
    runs = [run.id for run in workspace.tracking.reported.search([home])[0]][:2]
    add_trace(change, "tr-1", **{"mlflow.sourceRun": runs[0]})
    change(
        "UPDATE trace_info SET trace_name = 'answer', session_id = 's1', input_tokens = 7, "
        "request_preview = 'why?', response_preview = 'because', client_request_id = 'c9'"
    )
    for number, span in enumerate(SPANS):
        change(
            "INSERT INTO spans VALUES ('tr-1', ?, ?, ?, ?)",
            *(str(number), number, number + 1, json.dumps(span)),
        )
    assess(change, "a-1", "tr-1", "feedback", True)  # a judgement
    assess(change, "a-2", "tr-1", "expectation", {"rows": [1, 2]})
    for run in runs:
        change(
            "INSERT INTO entity_associations VALUES (?, 'trace', 'tr-1', 'run', ?, 1)",
            *(f"link-{run}", run),
        )
    assert counts(load()) == (1, 0, 0)
    trace = traces.get("tr-1")
    assert (trace.request, trace.response, trace.client_id) == ("why?", "because", "c9")
    assert trace.tags == {"mlflow.traceName": "answer"}
    assert trace.metadata["mlflow.trace.session"] == "s1"
    assert json.loads(trace.metadata["mlflow.trace.tokenUsage"]) == {"input_tokens": 7}
    assert json.loads(traces.spans(trace) or b"{}") == {"spans": SPANS}
    feedback, expected = said(trace)["a-1"], said(trace)["a-2"]
    assert (feedback.value, feedback.source.kind, feedback.rationale) == (True, "human", "because")
    assert (expected.form, expected.value) == ("JSON_FORMAT", '{"rows": [1, 2]}')
    for where in (
        Compare("name", "=", "answer"),
        Compare("feedback.name of feedback", "=", "true"),
        Compare("runs.0", "=", runs[1]),
        Compare("run_id", "=", runs[0]),
    ):
        assert [each.id for each in traces.search([home], where)[0]] == ["tr-1"], where


@NEWEST
def test_assessments_and_links_that_came_later_arrive_and_a_rebuild_finds_all_of_it(
    load: Callable[..., Moved], workspace: Workspace, traces: Traces, change: Change
) -> None:
    load()
    home = workspace.tracking.experiments.by_name("alpha").number
    run = workspace.tracking.reported.search([home])[0][0].id
    add_trace(change, "tr-1")
    assess(change, "a-1", "tr-1", "feedback", 0.5)
    load()
    assess(change, "a-2", "tr-1", "feedback", 0.75)
    change("UPDATE assessments SET value = '0.25' WHERE assessment_id = 'a-1'")
    change(
        "INSERT INTO entity_associations VALUES ('l', 'trace', 'tr-1', 'run', ?, 1)",
        run,
    )
    assert counts(load()) == (0, 1, 0)
    found = said(traces.get("tr-1"))
    assert {id: each.value for id, each in found.items()} == {"a-1": 0.25, "a-2": 0.75}
    by_run = traces.search([home], Compare("runs.0", "=", run))[0]
    assert [each.id for each in by_run] == ["tr-1"]
    report = make_catalog_anew(workspace.opened, "somebody")
    assert (report.added, report.changed, report.removed) == (0, 0, 0)
    assert counts(load()) == (0, 0, 1)


def test_traces_come_from_folders_with_their_files(
    bring: Bring, traces: Traces, unpacked: Callable[[str], Path]
) -> None:
    folder = unpacked("mlruns-2.22")
    home = next(path.parent for path in folder.glob("*/meta.yaml") if path.parent.name != "0")
    trace = home / "traces" / "0123456789abcdef0123456789abcdef"
    for part in ("tags", "request_metadata", "artifacts", "assessments"):
        (trace / part).mkdir(parents=True)
    (trace / "trace_info.yaml").write_text(
        f"experiment_id: '{home.name}'\nrequest_id: {trace.name}\nstatus: OK\n"
        f"timestamp_ms: {BEGAN}\nexecution_time_ms: 12\nassessments: []\n"
    )
    (trace / "tags" / "mlflow.artifactLocation").write_text(str(trace / "artifacts"))
    (trace / "tags" / "team").write_text("vision")
    (trace / "request_metadata" / "mlflow.traceInputs").write_text('{"x": 1}')
    (trace / "artifacts" / "traces.json").write_text(json.dumps({"spans": SPANS}))
    (trace / "assessments" / "a-1.yaml").write_text(
        "assessment_id: a-1\nassessment_name: good\nfeedback:\n  value: 4\n"
        "create_time: '2026-01-02T03:04:05.678Z'\nsource: {source_type: CODE, source_id: c}\n"
    )
    for name, text in {
        "a-2": "assessment_id: a-2\nname: x\nvalid: perhaps\nfeedback: {value: 1}\n",
        "a-3": "assessment_id: a-3\nname: x\nfeedback: {value: {? null : 1}}\n",
        "a-4": "assessment_id: a-4\nname: x\nfeedback: {value: [.nan, 2026-01-02]}\n",
    }.items():
        (trace / "assessments" / f"{name}.yaml").write_text(text)
    (home / "traces" / "half").mkdir()
    (home / "traces" / "half" / "trace_info.yaml").write_text("")
    (home / "traces" / "broken").mkdir()
    (home / "traces" / "broken" / "trace_info.yaml").write_text("timestamp_ms: [not a number]\n")
    moved = bring(mlflow_holdings(str(folder), []))
    assert counts(moved) == (1, 0, 0)
    for odd in ("broken", "half", "a-2.yaml", "a-3.yaml"):
        assert any(odd in remark for remark in moved.remarks), odd
    found = traces.get(trace.name)
    assert (found.tags, found.duration_ms) == ({"team": "vision"}, 12)
    assert set(said(found)) == {"a-1", "a-4"}
    assert said(found)["a-4"].value == ["NaN", "2026-01-02"]
    assert (said(found)["a-1"].value, said(found)["a-1"].made_ms) == (4, 1_767_323_045_678)
    assert json.loads(traces.spans(found) or b"{}") == {"spans": SPANS}
