"""What is said about traces: kept as said, overridden, changed, withdrawn, found."""

from typing import Any

import pytest

from trivet.core.clock import SystemClock
from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Scope
from trivet.core.filtering import parse_filter
from trivet.core.ports import Stores
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.traces.assessments import Assessments, all_dated
from trivet.tracking.traces.facts import (
    Assessment,
    AssessmentKind,
    Failure,
    Source,
    TraceAssessed,
    TraceReport,
    TracesDeleted,
)
from trivet.tracking.traces.searching import trace_grammar
from trivet.tracking.traces.service import Traces


class Room:
    """Two traces, and what is said about them."""

    def __init__(self, stores: Stores) -> None:
        scope, clock = Scope(project="flights", actor="ada"), SystemClock()
        experiments = Experiments(stores, scope, clock)
        self.ledger = stores.ledger
        self.traces = Traces(stores, scope, experiments, Artifacts(stores, scope))
        self.said = Assessments(self.traces, clock)
        for trace in ("tr-1", "tr-2"):
            self.traces.put(trace, 0, TraceReport(began_ms=1))

    def say(
        self, value: Any, name: str = "good", kind: AssessmentKind = "feedback", **more: Any
    ) -> Assessment:
        more = {"made_ms": 5, "changed_ms": 0, **more}
        return self.said.make("tr-1", Assessment(id="", name=name, kind=kind, value=value, **more))

    def found(self, text: str) -> list[str]:
        where = parse_filter(text, trace_grammar(self.traces.most_links))
        return [trace.id for trace in self.traces.search([0], where)[0]]


@pytest.fixture
def room(stores: Stores) -> Room:
    return Room(stores)


@pytest.mark.parametrize("value", [True, 4, 0.5, "yes", None, [1, {"a": None}], {"b": "ü"}])
def test_a_value_comes_back_as_it_was_said(room: Room, value: Any) -> None:
    made = room.say(value, rationale="so it is", source=Source(kind="judge", id="m"), span="s")
    assert room.said.get("tr-1", made.id) == made
    assert (made.value, made.rationale, made.span) == (value, "so it is", "s")
    assert room.traces.get("tr-1").assessments == (made,)


def test_saying_the_same_twice_is_one_assessment(room: Room) -> None:
    assert room.say(True) == room.say(True)
    assert room.say(True, source=Source(kind="human", id="bo")).id != room.say(True).id
    assert len(room.traces.get("tr-1").assessments) == 2


def test_a_report_that_is_repeated_says_its_assessments_once(room: Room) -> None:
    said = [Assessment(id="", name="n", kind="feedback", value=1, made_ms=3, changed_ms=3)]
    for _ in range(2):
        room.traces.put("tr-3", 0, TraceReport(began_ms=1), all_dated("tr-3", said, 9))
    assert len(room.traces.get("tr-3").assessments) == 1
    assert len(room.ledger.find(TraceAssessed.KIND).entries) == 1


def test_what_is_overridden_is_valid_again_when_the_other_is_withdrawn(room: Room) -> None:
    first = room.say(True)
    second = room.say(False, overrides=first.id, made_ms=6)
    assert not room.said.get("tr-1", first.id).is_valid
    assert room.found("feedback.good = 'false'") == ["tr-1"]
    assert room.found("feedback.good = 'true'") == []
    room.said.withdraw("tr-1", second.id)
    assert room.said.get("tr-1", first.id).is_valid
    assert room.found("feedback.good = 'true'") == ["tr-1"]
    room.said.withdraw("tr-1", second.id)  # once more is fine
    with pytest.raises(NotFound, match=f"Assessment with ID '{second.id}' not found"):
        room.said.get("tr-1", second.id)
    with pytest.raises(NotFound, match="'a-none' not found"):
        room.say(False, overrides="a-none")


def test_fields_change_and_metadata_is_added(room: Room) -> None:
    made = room.say(3, metadata={"a": "1"})
    now = room.said.change(
        "tr-1", made.id, {"value": 5, "rationale": "better", "metadata": {"b": "2"}}
    )
    assert (now.value, now.rationale, now.metadata) == (5, "better", {"a": "1", "b": "2"})
    assert now.changed_ms > made.changed_ms
    assert room.found("feedback.good > 4") == ["tr-1"]
    with pytest.raises(Invalid, match="cannot become one of another kind"):
        room.said.change("tr-1", made.id, {"kind": "expectation", "value": 1})
    renamed = room.said.change("tr-1", made.id, {"name": "stars"})
    assert renamed.value == 5
    assert room.found("feedback.stars = 5") == ["tr-1"]
    assert room.found("feedback.good IS NOT NULL") == []


def test_filters_compare_numbers_in_quotes_as_numbers_too(room: Room) -> None:
    room.say(5, name="stars")
    room.say("fine", name="word", kind="expectation")
    room.say("?", name="broken", failure=Failure(code="TIMEOUT"))
    assert room.found("feedback.stars = '5'") == ["tr-1"]
    assert room.found("feedback.stars != '5'") == []
    assert room.found("feedback.stars != 'fine'") == ["tr-1"]
    assert room.found("feedback.stars >= 5 AND expectation.word LIKE 'f%'") == ["tr-1"]
    assert room.found("feedback.broken IS NOT NULL") == ["tr-1"]
    assert room.found("feedback.stars IS NULL") == ["tr-2"]
    with pytest.raises(Invalid, match="LIKE"):
        room.found("feedback.stars > 'a'")


def test_an_assessment_without_a_name_or_with_too_long_a_text_is_refused(room: Room) -> None:
    with pytest.raises(Invalid, match="assessment is empty"):
        room.say(1, name="")
    with pytest.raises(Invalid, match="rationale"):
        room.say(1, rationale="x" * 100_001)
    with pytest.raises(NotFound, match="'tr-9' not found"):
        room.said.make(
            "tr-9", Assessment(id="", name="n", kind="feedback", made_ms=1, changed_ms=1)
        )
    assert room.traces.get("tr-1").assessments == ()


def test_what_was_said_is_forgotten_with_its_trace(room: Room) -> None:
    room.say("Ada was right", rationale="Ada told me")
    room.traces.delete(0, traces=["tr-1"])
    payloads = [entry.payload for entry in room.ledger.since(0) if entry.payload]
    assert not [payload for payload in payloads if b"Ada" in payload]
    assert room.ledger.find(TracesDeleted.KIND).entries
