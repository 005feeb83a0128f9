"""Traces: told of once or twice, tagged, linked, searched, and gone when they are deleted."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.catalog import Compare, Order, Position
from trivet.core.clock import SystemClock
from trivet.core.errors import Invalid, NotFound, TrivetError
from trivet.core.facts import Scope
from trivet.core.moving import SPANS_FILE
from trivet.core.ports import Stores
from trivet.testing.memory_stores import memory_stores
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import Opening, ReportedRuns
from trivet.tracking.traces.facts import TraceReport, TraceReported
from trivet.tracking.traces.service import Traces


class Room:
    """The traces of a project, and what they need."""

    def __init__(self, stores: Stores, project: str = "flights") -> None:
        scope = Scope(project=project, actor="ada")
        self.stores = stores
        self.experiments = Experiments(stores, scope, SystemClock())
        self.runs = ReportedRuns(stores, scope, self.experiments, Metrics(stores))
        self.files = Artifacts(stores, scope)
        self.traces = Traces(stores, scope, self.experiments, self.files)

    def put(self, trace: str = "tr-1", experiment: int = 0, **said: object) -> None:
        self.traces.put(trace, experiment, TraceReport(**{"began_ms": 1000, **said}))  # type: ignore[arg-type]  # any field

    def facts(self, kind: str = TraceReported.KIND) -> int:
        return len(self.stores.ledger.find(kind).entries)


@pytest.fixture
def room(stores: Stores) -> Room:
    return Room(stores)


def test_what_is_said_later_is_added_to_what_was_said_before(room: Room) -> None:
    room.put(state="running", tags={"a": "1", "b": "1"}, metadata={"m": "1"}, request="why?")
    room.put(state="succeeded", duration_ms=250, tags={"b": "2"}, response="because")
    found = room.traces.get("tr-1")
    assert (found.state, found.began_ms, found.duration_ms) == ("succeeded", 1000, 250)
    assert (found.tags, found.metadata) == ({"a": "1", "b": "2"}, {"m": "1"})
    assert (found.request, found.response) == ("why?", "because")
    assert found.location == "mlflow-artifacts:/0/traces/tr-1/artifacts"


def test_saying_the_same_again_writes_nothing(room: Room) -> None:
    for _ in range(3):
        room.put(state="succeeded", duration_ms=5, tags={"k": "v"}, request="why?", run="nobody")
    assert room.facts() == 1


def test_a_trace_is_a_fact_about_its_experiment_and_its_run(room: Room) -> None:
    run = room.runs.open(Opening()).id
    room.put(run=run)
    entry = room.stores.ledger.find(TraceReported.KIND).entries[0]
    assert entry.parents == (room.experiments.get(0).id, run)


def test_a_trace_stays_in_its_experiment(room: Room) -> None:
    other = room.experiments.make("other").number
    room.put()
    with pytest.raises(Invalid, match="belongs to experiment 0"):
        room.put(experiment=other)
    room.experiments.delete(other)
    with pytest.raises(Invalid, match="'active' state"):
        room.put("tr-2", experiment=other)
    with pytest.raises(NotFound, match="No Experiment with id=77"):
        room.put("tr-2", experiment=77)


def test_projects_choose_identifiers_each_for_itself(stores: Stores) -> None:
    ours, theirs = Room(stores), Room(stores, "trains")
    ours.put(tags={"whose": "ours"})
    with pytest.raises(NotFound):
        theirs.traces.get("tr-1")
    theirs.put(tags={"whose": "theirs"})
    assert ours.traces.get("tr-1").tags == {"whose": "ours"}
    assert theirs.traces.several(["tr-1", "tr-none", "tr-1"]) == (theirs.traces.get("tr-1"),)
    theirs.traces.delete(0, until_ms=10_000)
    assert ours.traces.get("tr-1").tags == {"whose": "ours"}


@pytest.mark.parametrize("trace", ["", "-x", "a/b", "..", "a b", "é", "x" * 201, "a\n", "a%2e"])
def test_an_identifier_that_could_not_stand_in_an_address_is_refused(
    room: Room, trace: str
) -> None:
    with pytest.raises(Invalid, match="trace_id"):
        room.put(trace)


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"tags": {"k" * 251: "v"}}, "exceeds the maximum length of 250"),
        ({"metadata": {"": "v"}}, "metadata is empty"),
        ({"request": "x" * 100_001}, "exceeds the maximum length of 100000"),
        ({"tags": {f"k{n}": "v" for n in range(1001)}}, "1001 keys of tag"),
        ({"began_ms": -1}, "began_ms of a trace is -1"),
        ({"duration_ms": 1 << 60}, "duration_ms"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(
    room: Room, said: dict[str, object], complaint: str
) -> None:
    with pytest.raises(Invalid, match=complaint):
        room.put(**said)
    assert room.facts() == 0


def test_a_tag_is_set_and_taken_away(room: Room) -> None:
    room.put(name="old", tags={"k": "v"})
    room.traces.change("tr-1", TraceReport(tags={"k": "w"}))
    assert room.traces.get("tr-1").tags == {"k": "w"}
    room.traces.untag("tr-1", "k")
    assert room.traces.get("tr-1").tags == {}
    with pytest.raises(NotFound, match="No trace tag with key 'k'"):
        room.traces.untag("tr-1", "k")
    with pytest.raises(NotFound, match="Trace with ID 'tr-2' not found"):
        room.traces.change("tr-2", TraceReport(tags={"k": "w"}))


def test_a_trace_that_is_put_by_many_at_once_is_one_trace(room: Room) -> None:
    room.experiments.default()
    troubles: list[TrivetError] = []

    def put(number: int) -> None:
        try:
            room.put(tags={f"k{number}": "v"})
        except TrivetError as error:
            troubles.append(error)

    threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not troubles
    assert room.traces.get("tr-1").tags == {f"k{number}": "v" for number in range(8)}


def test_a_trace_belongs_to_all_runs_that_it_is_linked_to(room: Room) -> None:
    runs = [room.runs.open(Opening()).id for _ in range(3)]
    room.put(run=runs[0])
    for run in (*runs, runs[1]):
        room.traces.link(["tr-1", "tr-1"], run)
    assert room.traces.most_links() == 2  # its own run needs no link
    with pytest.raises(NotFound, match="Run with id=nobody not found"):
        room.traces.link(["tr-1"], "nobody")
    with pytest.raises(NotFound, match="'tr-2' not found"):
        room.traces.link(["tr-2"], runs[0])


def test_links_made_at_once_are_all_kept(room: Room) -> None:
    runs = [room.runs.open(Opening()).id for _ in range(6)]
    room.put()
    threads = [threading.Thread(target=room.traces.link, args=(["tr-1"], run)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert room.traces.most_links() == 6


def test_a_deleted_trace_is_gone_with_what_was_asked_and_its_files(room: Room) -> None:
    room.put(request="my name is Ada")
    room.put(response="hello Ada")
    room.put("tr-2")
    room.files.put("trace:tr-1", SPANS_FILE, b"{}")
    assert room.traces.spans(room.traces.get("tr-1")) == b"{}"
    assert room.traces.spans(room.traces.get("tr-2")) is None

    assert room.traces.delete(0, traces=["tr-1", "tr-none"]) == 1
    with pytest.raises(NotFound):
        room.traces.get("tr-1")
    kept = [e.payload for e in room.stores.ledger.since(0) if e.payload and b"Ada" in e.payload]
    assert not kept
    assert room.files.list("trace:tr-1") == ()
    assert room.traces.get("tr-2").began_ms == 1000
    assert list(room.stores.ledger.verify())

    room.put(request="again")  # the identifier is free
    assert room.traces.get("tr-1").response is None
    assert room.traces.spans(room.traces.get("tr-1")) is None


def test_the_oldest_go_first(room: Room) -> None:
    for number in range(250):
        room.put(f"tr-{number}", began_ms=number)
    assert room.traces.delete(0, until_ms=9, limit=4) == 4
    assert room.traces.delete(0, until_ms=9, limit=100) == 6
    left, _ = room.traces.search([0], order=[Order("timestamp")], limit=1)
    assert left[0].began_ms == 10
    assert room.traces.delete(0, until_ms=10_000) == 240
    assert room.traces.delete(0, until_ms=10_000) == 0


def test_spans_of_a_size_that_nobody_can_read_are_refused(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trivet.tracking.traces.service._MOST_SPANS_BYTES", 3)
    room.put()
    room.files.put("trace:tr-1", SPANS_FILE, b"long")
    with pytest.raises(Invalid, match="4 bytes"):
        room.traces.spans(room.traces.get("tr-1"))


def test_a_search_looks_into_the_experiments_it_names(room: Room) -> None:
    other = room.experiments.make("other").number
    room.put("tr-a", began_ms=1)
    room.put("tr-b", experiment=other, began_ms=2)
    assert [trace.id for trace in room.traces.search([0, other])[0]] == ["tr-b", "tr-a"]
    assert [trace.id for trace in room.traces.search([0, 99])[0]] == ["tr-a"]
    assert room.traces.search([])[0] == ()


@given(
    times=st.lists(st.integers(0, 5), max_size=30),
    limit=st.integers(1, 8),
    order=st.sampled_from([(), ("timestamp", True), ("execution_time", False), ("name", True)]),
)
def test_pages_hold_every_trace_once_in_order(
    times: list[int], limit: int, order: tuple[str, bool] | tuple[()]
) -> None:
    room = Room(memory_stores())
    for number, time in enumerate(times):
        room.put(f"tr-{number}", began_ms=time, duration_ms=time % 3, name=f"n{time % 2}")
    wanted: Sequence[Order] = [Order(order[0], falls=order[1])] if order else []
    where = Compare("timestamp", ">=", 1)
    pages: list[str] = []
    after: Position | None = None
    while True:
        page, after = room.traces.search([0], where, order=wanted, after=after, limit=limit)
        assert page or not pages
        pages += [trace.id for trace in page]
        if after is None:
            break
    whole, end = room.traces.search([0], where, order=wanted, limit=1000)
    assert pages == [trace.id for trace in whole]
    assert len(pages) == sum(time >= 1 for time in times)
    assert end is None
