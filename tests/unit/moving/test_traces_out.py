"""Traces that go out to a server that speaks MLflow's interface: Trivet's own."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.unit.moving.conftest import send

from trivet.cli.importing import describe
from trivet.core.clock import SystemClock
from trivet.core.errors import Unavailable
from trivet.core.moving import SPANS_FILE
from trivet.moving.facts import Counts, Moved
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.facts import Report
from trivet.tracking.traces.assessments import Assessments
from trivet.tracking.traces.documents import TRACES
from trivet.tracking.traces.facts import Assessment, Failure, Source, Trace, TraceReport
from trivet.tracking.traces.service import Traces
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

ADA = Source(kind="human", id="ada")
JUDGE = Source(kind="judge", id="judge-1")
SPAN = {"context": {"span_id": "1", "trace_id": "2"}, "name": "ask"}


class Room:
    """The traces of an open workspace."""

    def __init__(self, workspace: Workspace) -> None:
        stores, scope = workspace.stores, workspace.scope
        self.workspace = workspace
        self.experiments = Experiments(stores, scope, SystemClock())
        self.files = Artifacts(stores, scope)
        self.traces = Traces(stores, scope, self.experiments, self.files)
        self.assessments = Assessments(self.traces, SystemClock())

    def runs(self) -> tuple[str, str]:
        with self.workspace.tracking.begin("digits", name="first", system=False) as run:
            run.log(loss=1.0)
        with self.workspace.tracking.begin("digits", name="second", system=False) as second:
            second.log(loss=2.0)
        return run.id, second.id

    def number(self) -> int:
        return self.experiments.by_name("digits").number

    def add(self, trace: str, run: str = "", **said: object) -> None:
        report = TraceReport(
            began_ms=1_700_000_000_123,
            duration_ms=45_678,
            state="failed",
            name="ask",
            run=run or None,
            client_id="request-1",
            request='{"question": "why?"}',
            response="because",
            metadata={"mlflow.sourceRun": run, "x": "y"} if run else {},
            tags={"k": "v", "mlflow.traceName": "ask", "mlflow.trace.spansLocation": "ELSEWHERE"},
        )
        report = msgspec.structs.replace(report, **said)
        self.traces.put(trace, self.number(), report)
        self.files.put(f"trace:{trace}", SPANS_FILE, json.dumps({"spans": [SPAN]}).encode())

    def assess(self, trace: str, **said: object) -> Assessment:
        whole = {"id": "", "name": "good", "source": ADA, "made_ms": 1_700_000_001_000, **said}
        return self.assessments.make(
            trace,
            Assessment(**{"kind": "feedback", "changed_ms": 0, **whole}),  # type: ignore[arg-type]  # any field
        )

    def linked(self, trace: str) -> set[str]:
        name = f"{self.workspace.scope.project}/{trace}"
        (found,) = self.workspace.stores.catalog.get(TRACES, [name])
        return {str(found.attributes[key]) for key in found.attributes if key.startswith("runs.")}


@pytest.fixture
def room(workspace: Workspace) -> Room:
    return Room(workspace)


@pytest.fixture
def away(other: str, tmp_path: Path) -> Iterator[Room]:
    """What the server of the other project has; it runs on."""
    with open_workspace(tmp_path / "other") as opened:
        yield Room(opened)


def traces_of(counts: object) -> tuple[int, int, int]:
    return counts.traces_new, counts.traces_changed, counts.traces_same  # type: ignore[attr-defined]  # Counts


def plain(trace: Trace) -> Trace:
    """A trace without what says where it is kept."""
    kept = {key: value for key, value in trace.tags.items() if not key.startswith("trivet.")}
    kept.pop("mlflow.trace.spansLocation", None)
    return msgspec.structs.replace(
        trace, fact="", experiment=0, location="", metadata={}, tags=kept
    )


def test_a_trace_goes_out_whole_with_its_runs_by_their_names_there(
    room: Room, away: Room, other: str
) -> None:
    first, second = room.runs()
    room.add("tr-1", first)
    room.files.put("trace:tr-1", "attachments/a.bin", bytes(1000))
    room.traces.link(["tr-1"], second)
    room.assess(
        "tr-1", value=True, rationale="it is", metadata={"mlflow.assessment.sourceRunId": second}
    )
    sent = send(room.workspace, other)
    assert (traces_of(sent.counts), sent.left, sent.remarks) == ((1, 0, 0), (), ())
    there = away.traces.get("tr-1")
    found, _ = away.workspace.tracking.reported.search([away.number()])
    names = {run.name: run.id for run in found}
    assert there.experiment == away.number()
    assert there.metadata == {"x": "y", "mlflow.sourceRun": names["first"]}
    assert away.linked("tr-1") == {names["second"]}
    assert there.assessments[0].metadata == {"mlflow.assessment.sourceRunId": names["second"]}
    here = room.traces.get("tr-1")
    judged = [msgspec.structs.replace(one, metadata={}) for one in here.assessments]
    before = msgspec.structs.replace(here, assessments=tuple(judged))
    judged = [msgspec.structs.replace(one, metadata={}) for one in there.assessments]
    assert plain(msgspec.structs.replace(there, assessments=tuple(judged))) == plain(before)
    assert away.traces.spans(there) == room.traces.spans(here)
    assert away.files.get("trace:tr-1", "attachments/a.bin").size_bytes == 1000
    assert "mlflow.trace.spansLocation" not in there.tags


def test_what_does_not_change_is_not_sent_again(room: Room, away: Room, other: str) -> None:
    room.runs()
    for number in range(3):
        room.add(f"tr-{number}")
    for dry, counted in (
        (True, (3, 0, 0)),
        (False, (3, 0, 0)),
        (True, (0, 0, 3)),
        (False, (0, 0, 3)),
    ):
        moved = send(room.workspace, other, is_dry=dry)
        assert traces_of(moved.counts) == counted
    assert moved.counts.files == 0


def test_what_changes_goes_out_with_the_next_export(room: Room, away: Room, other: str) -> None:
    room.runs()
    for number in range(3):
        room.add(f"tr-{number}")
    room.add("tr-open", state="running", duration_ms=None)
    said = room.assess("tr-0", value=0.5)
    send(room.workspace, other)
    assert away.traces.get("tr-open").duration_ms is None
    room.traces.change("tr-open", TraceReport(state="succeeded", duration_ms=7))
    room.assessments.change("tr-0", said.id, {"value": 0.75, "rationale": "no: better"})
    room.files.put("trace:tr-1", SPANS_FILE, b'{"spans": []}')
    sent = send(room.workspace, other)
    assert (traces_of(sent.counts), sent.counts.files) == ((0, 3, 1), 1)
    ended = away.traces.get("tr-open")
    assert (ended.state, ended.duration_ms) == ("succeeded", 7)
    (now,) = away.traces.get("tr-0").assessments
    assert (now.id, now.value, now.rationale) == (said.id, 0.75, "no: better")
    assert away.traces.spans(away.traces.get("tr-1")) == b'{"spans": []}'


def test_assessments_of_every_kind_go_out_once(room: Room, away: Room, other: str) -> None:
    room.runs()
    room.add("tr-1")
    first = room.assess("tr-1", name="score", value=0.5, source=JUDGE)
    room.assess("tr-1", name="score", value=1.0, overrides=first.id, made_ms=1_700_000_002_000)
    room.assess("tr-1", name="parts", value={"a": [1, "b", None]}, span="1")
    room.assess("tr-1", name="none", failure=Failure(code="LATE", message="m", stack="s"))
    said = {"kind": "expectation", "value": '{"a": ["b"]}', "form": "JSON_FORMAT"}
    room.assess("tr-1", name="facts", **said)
    room.assess("tr-1", name="right", kind="expectation", value="four")
    send(room.workspace, other)
    gone = room.assess("tr-1", name="later", value=1.0, made_ms=1_700_000_003_000)
    room.assess("tr-1", name="last", value=2.0, overrides=gone.id, made_ms=1_700_000_004_000)
    for _ in range(2):
        send(room.workspace, other)
        assert away.traces.get("tr-1").assessments == room.traces.get("tr-1").assessments
    validity = {one.id: one.is_valid for one in away.traces.get("tr-1").assessments}
    assert [id for id, is_valid in validity.items() if not is_valid] == [first.id, gone.id]


def test_a_trace_that_came_there_in_another_way_stays_as_it_is(
    room: Room, away: Room, other: str
) -> None:
    room.runs()
    send(room.workspace, other)
    away.traces.put("tr-theirs", away.number(), TraceReport(began_ms=1, request="theirs"))
    away.traces.put("tr-moved", 0, TraceReport(began_ms=1, request="theirs"))
    room.add("tr-theirs")
    room.add("tr-moved")
    sent = send(room.workspace, other)
    assert sent.counts.traces_same == 1
    assert any("no export" in remark for remark in sent.remarks)
    assert any("tr-moved is not sent" in remark for remark in sent.remarks)
    for trace in ("tr-theirs", "tr-moved"):
        assert away.traces.get(trace).request == "theirs"


def test_traces_of_a_deleted_experiment_go_out_and_it_stays_deleted(
    room: Room, away: Room, other: str
) -> None:
    room.runs()
    room.add("tr-1")
    room.experiments.delete(room.number())
    send(room.workspace, other)
    room.experiments.restore(room.number())
    room.add("tr-2")
    room.experiments.delete(room.number())
    sent = send(room.workspace, other)
    assert (traces_of(sent.counts), sent.remarks) == ((1, 0, 1), ())
    assert len(away.traces.several(["tr-1", "tr-2"])) == 2
    assert away.experiments.by_name("digits").stage == "deleted"


def test_an_export_that_broke_off_is_completed(
    room: Room, away: Room, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.runs()
    for number in range(5):
        room.add(f"tr-{number}")
        room.assess(f"tr-{number}", value=True)

    def breaks(*_: object) -> None:
        raise Unavailable("it broke off", code="no-answer")

    place = "trivet.adapters.mlflow.receiving_traces.TraceReceiving.finish"
    with monkeypatch.context() as patched:
        patched.setattr(place, breaks)
        with pytest.raises(Unavailable):
            send(room.workspace, other)
    sent = send(room.workspace, other)
    assert traces_of(sent.counts) == (5, 0, 0)
    assert traces_of(send(room.workspace, other).counts) == (0, 0, 5)
    for number in range(5):
        assert len(away.traces.get(f"tr-{number}").assessments) == 1


def test_spans_in_a_bucket_stay_there_and_are_told_of(room: Room, other: str) -> None:
    made = room.experiments.make("elsewhere", location="s3://bucket/elsewhere")
    room.traces.put("tr-1", made.number, TraceReport(began_ms=1))
    sent = send(room.workspace, other)
    assert sent.counts.traces_new == 1
    (left,) = sent.left
    assert "s3 storage" in left.reason
    assert left.location.startswith("s3://bucket/elsewhere/traces/tr-1")


def test_more_traces_than_a_page_go_out(room: Room, away: Room, other: str) -> None:
    room.runs()
    for number in range(230):
        room.traces.put(f"tr-{number}", room.number(), TraceReport(began_ms=number))
    assert traces_of(send(room.workspace, other).counts) == (230, 0, 0)
    assert traces_of(send(room.workspace, other).counts) == (0, 0, 230)
    room.workspace.tracking.reported.report(room.runs()[0], Report(tags={"late": "yes"}))
    assert len(away.traces.several([f"tr-{number}" for number in range(230)])) == 230


def test_people_are_told_of_traces_where_there_are_any() -> None:
    counts = Counts(traces_new=1200, traces_same=3)
    moved = Moved(source="a", target="b", is_dry=True, counts=counts, left=(), remarks=())
    said = "1,200 would be new, 0 would be brought up to date, 3 as they were"
    assert [said in line for line in describe(moved, "sent").splitlines() if "traces" in line] == [
        True
    ]
    none = msgspec.structs.replace(moved, counts=Counts(runs_new=1))
    assert "traces" not in describe(none, "sent")


def test_long_texts_are_cut_as_mlflow_demands(room: Room, away: Room, other: str) -> None:
    room.runs()
    room.add("tr-1", tags={"long": "x" * 9000}, request="y" * 5000, client_id="z" * 60)
    send(room.workspace, other)
    there = away.traces.get("tr-1")
    assert (len(there.tags["long"]), len(there.request or "")) == (8000, 1000)
    assert len(there.client_id or "") == 50
